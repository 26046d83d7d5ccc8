"""What ``iter(loader)`` returns: the batches of one epoch, fetched here or by workers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from tinytrain.data.epoch import Epoch, too_short
from tinytrain.data.fetch import Fetcher, IterableFetcher
from tinytrain.data.sample_random import fetching
from tinytrain.data.workers import WorkerIterator

__all__ = [
    "ExcessWarning",
    "IndexedBatches",
    "LoaderIterator",
    "NumberedBatches",
    "StreamedBatches",
]


class NumberedBatches(Protocol):
    """A source of batches that says which batch of the epoch its last one was, and of what.

    Attributes
    ----------
    number
        The number of the batch.
    indices
        The indices of its samples; None for an iterable data set.
    """

    number: int
    indices: Any

    def __next__(self) -> Any:
        """The next batch that is due."""


class IndexedBatches:
    """Batches of a map-style data set, fetched in this process.

    Parameters
    ----------
    fetcher
        Makes a batch of indices.
    tasks
        Pairs of the number of a batch and its indices.
    seed, epoch
        What the random numbers of samples depend on.
    """

    def __init__(
        self, fetcher: Fetcher, tasks: Iterator[tuple[int, Any]], seed: int, epoch: int
    ) -> None:
        self.number = -1
        self.indices: Any = None
        self.fetch: Callable[[Any], Any] = fetcher.fetch
        self._tasks = tasks
        self._random = fetching(seed, epoch)

    def __next__(self) -> Any:
        self.number, self.indices = next(self._tasks)
        with self._random:
            return self.fetch(self.indices)


class StreamedBatches:
    """Batches of an iterable data set, read in this process.

    Parameters
    ----------
    make_fetcher
        Opens the data set.
    epoch
        The epoch. Batches that are not due are read, but not collated.
    first
        The number of the first batch that the data set will give.
    """

    def __init__(
        self, make_fetcher: Callable[[], IterableFetcher], epoch: Epoch, first: int
    ) -> None:
        self.number = first - 1
        self.indices: Any = None
        self._epoch = epoch
        self._random = fetching(epoch.seed, epoch.number)
        with self._random:
            self._fetcher = make_fetcher()
        self.fetch: Callable[[], Any] = self._fetcher.next_batch

    def __next__(self) -> Any:
        with self._random:
            while not self._epoch.is_due(self.number + 1):
                self._skip()
            self.number += 1
            try:
                return self.fetch()
            finally:
                self._epoch.exhausted = self._fetcher.ended

    def _skip(self) -> None:
        try:
            self._fetcher.skip_batch()
        except StopIteration:
            if self.number + 1 < self._epoch.position:
                raise too_short(self._epoch.position, self.number + 1) from None
            raise
        self.number += 1


class LoaderIterator:
    """The batches of one epoch of a loader; it goes on after an error in a sample.

    Parameters
    ----------
    source
        Gives the batches.
    epoch
        Learns which batches are handed out, and says which are to be left out.
    end
        Called at the end of the epoch.
    length
        The number of batches that ``len(loader)`` promises, or None.
    stage
        What is done to each batch just before it is handed out; None for nothing.
    excess
        For an iterable data set whose length was asked for: warns of more batches than samples.
    tell
        Learns the indices of each batch that is handed out.
    """

    def __init__(
        self,
        source: NumberedBatches,
        epoch: Epoch,
        end: Callable[[Epoch], None],
        length: int | None,
        stage: Callable[[Any], Any] | None,
        excess: ExcessWarning | None,
        tell: Callable[[Any], None],
    ) -> None:
        self._source = source
        self._epoch = epoch
        self._end = end
        self._length = length
        self._stage = stage
        self._excess = excess
        self._tell = tell

    def __iter__(self) -> LoaderIterator:
        return self

    def __next__(self) -> Any:
        source, epoch = self._source, self._epoch
        try:
            batch = next(source)
            # A worker may have fetched it before it was named to be skipped.
            while source.number in epoch.skipped:
                epoch.hand_out(source.number)
                batch = next(source)
        except StopIteration:
            self._end(epoch)
            raise
        if self._excess is not None:
            self._excess.count()
        if self._stage is not None:
            batch = self._stage(batch)
        self._tell(source.indices)
        # Last of all: an exception of a signal handler must not lose a batch that was counted.
        epoch.hand_out(source.number)
        return batch

    def __len__(self) -> int:
        """The number of batches of the whole epoch."""
        if self._length is None:
            raise TypeError("the number of batches is not known: the sampler has no length")
        return self._length

    @property
    def _workers(self) -> Sequence[Any]:
        """The worker processes, as PyTorch's iterator has them; none without workers."""
        return self._source._workers if isinstance(self._source, WorkerIterator) else []


class ExcessWarning:
    """Warns when an iterable data set gives more than the length that it was asked for.

    Parameters
    ----------
    dataset
        The data set.
    length
        Its length, as ``len(loader)`` read it.
    num_workers
        The number of workers, which may each have read all of it.
    """

    def __init__(self, dataset: Any, length: int, num_workers: int) -> None:
        self._dataset = dataset
        self._length = length
        self._num_workers = num_workers
        self._handed_out = 0

    def count(self) -> None:
        """Note one more batch."""
        self._handed_out += 1
        if self._handed_out <= self._length:
            return
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {self._length}"
            f"(when accessing len(dataloader)), but {self._handed_out} samples have been fetched. "
        )
        if self._num_workers > 0:
            message += (
                "For multiprocessing data-loading, this could be caused by not properly "
                "configuring the IterableDataset replica at each worker. Please see "
                "tinytrain.data.ShardedIterableDataset."
            )
        warnings.warn(message, stacklevel=3)
