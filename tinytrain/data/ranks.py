"""Shares of a common plan: every rank gets the same number of batches.

A rank that has one batch more than another waits for it for ever in the next exchange of
gradients. So every rank makes the same plan of all batches, and takes every n-th one. What does
not divide by the number of ranks is dealt with by a policy, `UNEVEN`:

- ``"split"``: the largest batches are cut in two until it does. Nothing is lost or given twice.
- ``"drop"``: the last batches of the epoch are left out.
- ``"repeat"``: the first batches of the epoch are given again at its end.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TypeVar

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.data.length_checks import IntArray, true_or_false

__all__ = ["UNEVEN", "check_rank", "checked_drop_last", "evened", "split_evenly"]

UNEVEN = ("split", "drop", "repeat")

Item = TypeVar("Item")


def check_rank(rank: int, num_replicas: int, uneven: str = "split") -> None:
    """Raise a ValueError unless the rank is one of 0 ... num_replicas - 1, and the policy known.

    Examples
    --------
    >>> check_rank(2, 2, "split")
    Traceback (most recent call last):
        ...
    ValueError: rank must be one of the 2 ranks from 0, but got 2
    """
    whole_number("num_replicas", num_replicas)
    if whole_number("rank", rank, least=0) >= num_replicas:
        raise ValueError(f"rank must be one of the {num_replicas} ranks from 0, but got {rank}")
    if uneven not in UNEVEN:
        raise ValueError(f"uneven must be 'split', 'drop' or 'repeat', but got {uneven!r}")


def checked_drop_last(drop_last: bool, num_replicas: int = 1, uneven: str = "drop") -> bool:
    """`drop_last` as a `bool`, unless the policy of the ranks would break what it promises.

    Examples
    --------
    >>> checked_drop_last(True, 2, "split")
    Traceback (most recent call last):
        ...
    ValueError: drop_last=True promises batches of one size, and uneven='split' would cut some; \
choose uneven='drop' or uneven='repeat'
    """
    checked = true_or_false("drop_last", drop_last)
    if checked and num_replicas != 1 and uneven == "split":
        raise ValueError(
            "drop_last=True promises batches of one size, and uneven='split' would cut some; "
            "choose uneven='drop' or uneven='repeat'"
        )
    return checked


def split_evenly(sizes: IntArray, num_replicas: int) -> IntArray:
    """Cut the largest batches in two, the last of equals first, until the ranks get equally many.

    The halves stand where the whole stood, so that the same items in the same order fill them.

    Raises
    ------
    ValueError
        If there are fewer items than would be needed for one in every batch.

    Examples
    --------
    >>> split_evenly(np.array([4, 4, 3]), num_replicas=2)
    array([4, 2, 2, 3])
    """
    target = -(-len(sizes) // num_replicas) * num_replicas
    if sizes.sum() < target:
        raise ValueError(
            f"{sizes.sum()} items in {len(sizes)} batches cannot be split into the same number "
            f"of batches for each of {num_replicas} ranks; choose uneven='drop' or "
            "uneven='repeat', or fewer ranks"
        )
    # The first item of a batch tells its place. Both numbers are negative, since the smallest
    # entry of a heap comes first: the largest batch, and of equal ones the last.
    firsts = np.cumsum(sizes) - sizes
    parts = list(zip((-sizes).tolist(), (-firsts).tolist(), strict=True))
    heapify(parts)
    while len(parts) < target:
        size, first = (-number for number in heappop(parts))
        half = size // 2
        heappush(parts, (half - size, -first))
        heappush(parts, (-half, -(first + size - half)))
    in_order = sorted(parts, key=lambda part: -part[1])
    return np.array([-size for size, _ in in_order], dtype=np.int64)


def evened(batches: list[Item], num_replicas: int, uneven: str) -> list[Item]:
    """Drop the last batches or repeat the first, so that the ranks get equally many.

    Raises
    ------
    ValueError
        If nothing would be left, or the batches divide unevenly though they were to be split.

    Examples
    --------
    >>> evened(["a", "b", "c"], 2, "drop"), evened(["a", "b", "c"], 2, "repeat")
    (['a', 'b'], ['a', 'b', 'c', 'a'])
    """
    rest = len(batches) % num_replicas
    if rest == 0:
        return batches
    if uneven == "repeat":
        missing = num_replicas - rest
        again = batches * -(-missing // len(batches))
        return batches + again[:missing]
    if uneven != "drop":
        raise ValueError(f"{len(batches)} batches for {num_replicas} ranks: split them first")
    if rest == len(batches):
        raise ValueError(
            f"{len(batches)} batches for {num_replicas} ranks: uneven='drop' would leave none; "
            "choose smaller batches or uneven='repeat'"
        )
    return batches[: len(batches) - rest]
