"""An order that begins in the middle, where nobody has to walk there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any, cast

from tinytrain.data.sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["iterate_from"]


def iterate_from(sampler: Iterable[Any], position: int) -> tuple[Iterator[Any], int]:
    """``iter(sampler)``, begun at a position where that costs no more than at the start.

    That is so for `SequentialSampler`, `RandomSampler` and `BatchSampler` over them,
    not for subclasses, which may define another ``__iter__``.

    Returns
    -------
    tuple of iterator and int
        How many items the iterator has left out: `position`, or none.

    Examples
    --------
    >>> indices, left_out = iterate_from(SequentialSampler(range(1000)), 998)
    >>> list(indices), left_out
    ([998, 999], 998)
    """
    if position and _can_begin_at(sampler) and position <= len(cast("Sized", sampler)):
        return _begun_at(sampler, position), position
    return iter(sampler), 0


def _can_begin_at(sampler: object) -> bool:
    if type(sampler) is BatchSampler:
        return _can_begin_at(sampler.sampler)
    return type(sampler) in (SequentialSampler, RandomSampler)


def _begun_at(sampler: Iterable[Any], position: int) -> Iterator[Any]:
    if isinstance(sampler, BatchSampler):
        indices = _begun_at(sampler.sampler, position * sampler.batch_size)
        return sampler.batches(indices)
    if isinstance(sampler, RandomSampler):
        return itertools.chain.from_iterable(_without_first(sampler.lists(), position))
    return iter(range(position, len(cast("SequentialSampler", sampler))))


def _without_first(lists: Iterator[list[int]], count: int) -> Iterator[list[int]]:
    """Lists without the first `count` of their items."""
    for items in lists:
        if count < len(items):
            yield items[count:] if count else items
        count = max(count - len(items), 0)
