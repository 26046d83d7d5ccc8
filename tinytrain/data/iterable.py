"""Iterable data sets whose samples are divided among workers, none lost and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from tinytrain.data.dataset import IterableDataset

__all__ = ["ShardedIterableDataset"]

Sample_co = TypeVar("Sample_co", covariant=True)


class ShardedIterableDataset(IterableDataset[Sample_co]):
    """Base class of iterable data sets that can be read in disjoint shards: define ``shard``.

    With W worker processes, worker w reads shard w of W. Every sample comes exactly once, for
    any W; the order of the batches depends on W. A worker sends full batches only. The samples
    that it has left at its end go to the process of the loader, which makes the last batches of
    those of all workers, in the order of the workers: ``drop_last`` then drops n mod batch_size
    of the n samples, and ``len(loader)`` is exact. Those samples travel before they are collated,
    so with workers each sample has to be one that can be pickled.

    Define ``__len__``, the number of samples of all shards together, where it is known.

    Examples
    --------
    >>> class Lines(ShardedIterableDataset[str]):
    ...     def __init__(self, text):
    ...         self.lines = text.split()
    ...     def shard(self, index, count):
    ...         return iter(self.lines[index::count])
    ...     def __len__(self):
    ...         return len(self.lines)
    >>> lines = Lines("a b c d e")
    >>> list(lines.shard(0, 2)), list(lines.shard(1, 2)), list(lines)
    (['a', 'c', 'e'], ['b', 'd'], ['a', 'b', 'c', 'd', 'e'])
    """

    def shard(self, index: int, count: int) -> Iterator[Sample_co]:
        """An iterator over shard `index` of `count` shards that are disjoint and miss nothing."""
        raise NotImplementedError(f"{type(self).__name__} must define shard(index, count)")

    def __iter__(self) -> Iterator[Sample_co]:
        return iter(self.shard(0, 1))
