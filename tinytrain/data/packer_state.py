"""Whether the state of a packer can be true: checked in full before any of it is taken over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.cutting import as_tokens

__all__ = ["check_keys", "checked_counts", "checked_rows"]


def check_keys(state: Any, expected: Iterable[str], what: str) -> None:
    """Raise a ValueError unless it is a mapping with just these keys.

    Examples
    --------
    >>> check_keys({"rows": []}, {"rows", "added"}, "the state of a packer")
    Traceback (most recent call last):
        ...
    ValueError: not the state of a packer: expected the keys ['added', 'rows'], but got ['rows']
    """
    if not isinstance(state, Mapping) or set(state) != set(expected):
        found = sorted(map(str, state)) if isinstance(state, Mapping) else repr(state)
        raise ValueError(f"not {what}: expected the keys {sorted(expected)}, but got {found}")


def checked_rows(
    rows: Any, added: int, capacity: int, open_rows: int
) -> list[tuple[int, list[NDArray[np.int64]]]]:
    """Return the open rows of a state: by which sequence each was opened, and what it holds.

    Raises
    ------
    ValueError
        If they are no rows, or more than `open_rows`, or one cannot be: empty, full, or opened by
        none of the `added` sequences.
    TypeError
        If a row does not hold integers.

    Examples
    --------
    >>> checked_rows([{"opened": 0, "sequences": [[5, 6]]}], added=1, capacity=4, open_rows=2)
    [(0, [array([5, 6])])]
    """
    if not isinstance(rows, list):
        raise ValueError(f"the open rows of a state must be a list, but are {rows!r}")
    if len(rows) > open_rows:
        raise ValueError(
            f"the state has {len(rows)} open rows, but the packer has at most {open_rows}"
        )
    return [_checked_row(number, row, added, capacity) for number, row in enumerate(rows)]


def _checked_row(
    number: int, row: Any, added: int, capacity: int
) -> tuple[int, list[NDArray[np.int64]]]:
    check_keys(row, ("opened", "sequences"), f"the open row {number} of a packer")
    opened = whole_number(f"'opened' of the open row {number}", row["opened"], least=0)
    if opened >= added:
        raise ValueError(
            f"the open row {number} of the state was opened by sequence {opened}, but only {added} "
            "came before the state was taken, counted from 0"
        )
    if not isinstance(row["sequences"], list):
        raise ValueError(
            f"the open row {number} of the state must hold a list of sequences, but holds "
            f"{row['sequences']!r}"
        )
    sequences = [as_tokens(tokens).astype(np.int64) for tokens in row["sequences"]]
    filled = sum(map(len, sequences))
    if not 0 < filled < capacity:
        raise ValueError(
            f"the open row {number} of the state holds {filled} tokens, but a row that is open has "
            f"1 to {capacity - 1} of {capacity}"
        )
    least = min(int(tokens.min()) for tokens in sequences)
    if least < 0:
        raise ValueError(f"tokens must be at least 0, but the open row {number} holds {least}")
    return opened, sequences


def checked_counts(counts: Any, tokens: int, capacity: int) -> Counter[int]:
    """Return how many sequences of each length are in closed rows, from pairs of the two.

    Raises
    ------
    ValueError
        If they are no such pairs, or the sequences do not add up to the tokens in closed rows.

    Examples
    --------
    >>> checked_counts([[2, 3], [4, 1]], tokens=10, capacity=5)
    Counter({2: 3, 4: 1})
    """
    if not isinstance(counts, list) or not all(_is_pair(each) for each in counts):
        raise ValueError(
            f"the counts of a state must be pairs of a length and a count, but are {counts!r}"
        )
    checked: Counter[int] = Counter()
    for length, count in counts:
        checked[whole_number("a length", length)] += whole_number("a count", count)
    together = sum(length * count for length, count in checked.items())
    if together != tokens or max(checked, default=0) > capacity:
        raise ValueError(
            f"the sequences that a state counts have {together} tokens, the longest of them "
            f"{max(checked, default=0)}, but {tokens} tokens are in closed rows, at most "
            f"{capacity} in each"
        )
    return checked


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2
