"""What a data set is: samples by index or one after the other; and the sum of two of a kind."""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset"]

Sample_co = TypeVar("Sample_co", covariant=True)


class Dataset(Generic[Sample_co]):
    """Base class of map-style data sets: define ``__getitem__`` and ``__len__``.

    Inheriting is optional; a list works as well. A data set that can fetch several samples
    faster together than one by one may define ``__getitems__(indices)`` too, which returns a
    sequence with one sample per index. The sum of two data sets is their `ConcatDataset`.

    Examples
    --------
    >>> class Squares(Dataset[int]):
    ...     def __getitem__(self, index):
    ...         return index * index
    ...     def __len__(self):
    ...         return 5
    >>> Squares()[3]
    9
    >>> len(Squares() + Squares())
    10
    """

    # There is no __len__ here that raises: list(dataset) would call it.

    def __getitem__(self, index: int) -> Sample_co:
        """The sample at a position."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __add__(self, other: Any) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample_co]):
    """Base class of data sets that are read from start to end: define ``__iter__``.

    Every worker process of a loader has a copy of its own and reads all of it, so that each
    sample comes ``num_workers`` times, unless ``__iter__`` takes its share by
    `get_worker_info`. A `ShardedIterableDataset` divides the samples for you, exactly.

    The sum of two is their `ChainDataset`. Define ``__len__``, the number of samples over all
    workers, where it is known. With ``state_dict()`` and ``load_state_dict(state)`` a loader
    without workers resumes at once in the middle of an epoch; without, it reads and drops the
    samples that were handed out.

    Examples
    --------
    >>> class Countdown(IterableDataset[int]):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> list(Countdown() + Countdown())
    [3, 2, 1, 3, 2, 1]
    """

    def __iter__(self) -> Iterator[Sample_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def __add__(self, other: Any) -> Dataset[Any]:
        return ChainDataset([self, other])


class ConcatDataset(Dataset[Sample_co]):
    """Map-style data sets one after the other.

    Parameters
    ----------
    datasets
        The data sets, at least one.

    Attributes
    ----------
    datasets
        The data sets, a list.
    cumulative_sizes
        The number of samples up to the end of each.

    Raises
    ------
    AssertionError
        If there is none, or one of them is an `IterableDataset` (PyTorch's kind of error).

    Examples
    --------
    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[2], both[-1], both.cumulative_sizes
    (5, 'c', 'e', [2, 5])
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError(
                    "ConcatDataset does not support IterableDataset; chain iterable data sets "
                    "with ChainDataset"
                )
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        """The number of samples of all data sets together."""
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample_co:
        """The sample at a position; a negative one counts from the end.

        Raises
        ------
        ValueError
            If a negative index lies before the start (PyTorch's kind of error).
        IndexError
            If the index lies behind the end.
        """
        position = operator.index(index)
        if position < 0:
            position += len(self)
            if position < 0:
                raise ValueError("absolute value of index should not exceed dataset length")
        if position >= len(self):
            raise IndexError(f"index {index} is behind the end: there are {len(self)} samples")
        which = bisect.bisect_right(self.cumulative_sizes, position)
        start = self.cumulative_sizes[which - 1] if which else 0
        sample: Sample_co = self.datasets[which][position - start]
        return sample


class ChainDataset(IterableDataset[Sample_co]):
    """Iterable data sets, read one after the other.

    Parameters
    ----------
    datasets
        The data sets. They are looked at when their turn comes.

    Raises
    ------
    AssertionError
        When the turn of one comes that is no `IterableDataset` (PyTorch's kind of error).

    Examples
    --------
    >>> class Numbers(IterableDataset):
    ...     def __init__(self, stop):
    ...         self.stop = stop
    ...
    ...     def __iter__(self):
    ...         return iter(range(self.stop))
    >>> list(ChainDataset([Numbers(2), Numbers(3)]))
    [0, 1, 0, 1, 2]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Sample_co]:
        for dataset in self.datasets:
            yield from _iterable(dataset)

    def __len__(self) -> int:
        """The number of samples of all data sets together."""
        return sum(len(_iterable(dataset)) for dataset in self.datasets)


def _iterable(dataset: Any) -> Any:
    if not isinstance(dataset, IterableDataset):
        raise AssertionError(
            f"ChainDataset only supports IterableDataset, but got a {type(dataset).__name__}"
        )
    return dataset
