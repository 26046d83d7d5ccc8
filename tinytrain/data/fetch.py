"""From indices to a batch: what a loader does for one step, in this process or in a worker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from tinytrain.data.array_dataset import ArrayBatch
from tinytrain.data.iterable import ShardedIterableDataset

__all__ = ["Fetcher", "IterableFetcher", "merged_remainders"]

Collate = Callable[[Any], Any]


class Fetcher:
    """Fetches the samples at some indices of a map-style data set and collates them.

    It can be pickled where the data set and the collate function can.

    Parameters
    ----------
    dataset
        Anything with ``dataset[i]``. If it has ``__getitems__``, a batch is one call of it.
    collate_fn
        Makes a batch of a list of samples (without batching: converts one sample).
    auto_collation
        Whether `fetch` takes a list of indices (True) or one index.

    Examples
    --------
    >>> Fetcher("abcd", "".join, auto_collation=True).fetch([3, 0])
    'da'
    """

    def __init__(self, dataset: Any, collate_fn: Collate, auto_collation: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.auto_collation = auto_collation

    def fetch(self, indices: Any) -> Any:
        """The batch of the samples at the indices.

        Raises
        ------
        ValueError
            If ``__getitems__`` returns more or fewer samples than it was asked for.
        RuntimeError
            If the data set or the collate function raises StopIteration, which would look like
            the end of the epoch.
        """
        try:
            return self._fetch(indices)
        except StopIteration as error:
            raise RuntimeError(
                f"{type(self.dataset).__name__} or the collate_fn raised StopIteration while "
                f"fetching {indices}"
            ) from error

    def _fetch(self, indices: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[indices])
        fetch_together = getattr(self.dataset, "__getitems__", None)
        if not fetch_together:
            dataset = self.dataset
            return self.collate_fn([dataset[index] for index in indices])
        samples = fetch_together(indices)
        if len(samples) != len(indices):
            raise ValueError(
                f"{type(self.dataset).__name__}.__getitems__ must return one sample per index, "
                f"but returned {len(samples)} for {len(indices)} indices"
            )
        takes_arrays = getattr(self.collate_fn, "takes_array_batch", False)
        if isinstance(samples, ArrayBatch) and not takes_arrays:
            # Collate functions sort, add and change the list that PyTorch hands them.
            samples = list(samples)
        return self.collate_fn(samples)


class IterableFetcher:
    """Takes the samples of an iterable data set as they come, and collates them in batches.

    Of a `ShardedIterableDataset` one of several workers reads its shard, gives full batches only,
    and leaves the samples after the last of them in `remainder`: the loader makes the last
    batches of the remainders of all shards (see `merged_remainders`).

    Parameters
    ----------
    dataset
        An iterable.
    collate_fn
        Makes a batch of a list of samples (without batching: converts one sample).
    batch_size
        Samples per batch; None turns batching off.
    drop_last
        Whether a last batch that is smaller is left out.
    shard, shards
        Which worker of how many reads; 0 of 1 reads everything.

    Attributes
    ----------
    ended
        Whether the data set has come to its end.
    remainder
        The samples of the shard that filled no batch; empty before its end.

    Examples
    --------
    >>> fetcher = IterableFetcher(range(5), list, batch_size=2, drop_last=False)
    >>> fetcher.next_batch(), fetcher.next_batch(), fetcher.next_batch()
    ([0, 1], [2, 3], [4])
    """

    def __init__(
        self,
        dataset: Iterable[Any],
        collate_fn: Collate,
        batch_size: int | None,
        drop_last: bool,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        self.collate_fn = collate_fn
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.ended = False
        self.remainder: list[Any] = []
        self._samples: Iterator[Any]
        self._leaves_remainder = shards > 1 and isinstance(dataset, ShardedIterableDataset)
        if self._leaves_remainder:
            self._samples = iter(cast("ShardedIterableDataset[Any]", dataset).shard(shard, shards))
        else:
            self._samples = iter(dataset)

    def next_batch(self) -> Any:
        """The next batch.

        Raises
        ------
        StopIteration
            At the end of the data set (or of the shard).
        """
        samples = self._take()
        return self.collate_fn(samples[0] if self.batch_size is None else samples)

    def skip_batch(self) -> None:
        """Read the samples of the next batch without collating them; StopIteration as above."""
        self._take()

    def _take(self) -> list[Any]:
        if self.ended:
            raise StopIteration
        wanted = 1 if self.batch_size is None else self.batch_size
        samples = list(itertools.islice(self._samples, wanted))
        if len(samples) == wanted:
            return samples
        self.ended = True
        if self._leaves_remainder:
            self.remainder = samples
        elif samples and not self.drop_last:
            return samples
        raise StopIteration


def merged_remainders(
    remainders: Sequence[Sequence[Any]], batch_size: int, drop_last: bool
) -> list[list[Any]]:
    """The last batches of a sharded data set, not collated: the remainders in turn, regrouped.

    Parameters
    ----------
    remainders
        What each shard left over, in the order of the shards.
    batch_size
        Samples per batch.
    drop_last
        Whether a last batch that is smaller is left out: at most ``batch_size - 1`` samples of
        the whole data set are then lost.

    Examples
    --------
    >>> merged_remainders([[7, 8], [], [9]], batch_size=2, drop_last=False)
    [[7, 8], [9]]
    >>> merged_remainders([[7, 8], [], [9]], batch_size=2, drop_last=True)
    [[7, 8]]
    """
    samples = itertools.chain.from_iterable(remainders)
    batches = []
    while batch := list(itertools.islice(samples, batch_size)):
        if len(batch) == batch_size or not drop_last:
            batches.append(batch)
    return batches
