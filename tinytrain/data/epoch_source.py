"""Where the batches of an epoch come from: this process or workers, indices or a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinytrain.data.epoch import Epoch
from tinytrain.data.fetch import Fetcher, IterableFetcher
from tinytrain.data.iterable import ShardedIterableDataset
from tinytrain.data.loader_iterator import IndexedBatches, NumberedBatches, StreamedBatches
from tinytrain.data.workers import WorkerIterator, WorkerSettings

__all__ = ["open_source", "readers_of", "worker_settings"]


def open_source(loader: Any, epoch: Epoch, indices: Iterator[Any]) -> NumberedBatches:
    """Open the source of a loader's batches for an epoch.

    Parameters
    ----------
    loader : DataLoader
    epoch
        The epoch that begins, or goes on.
    indices
        Its order; of no use for an iterable data set.
    """
    if loader.num_workers > 0:
        return WorkerIterator(
            loader._workers_for(epoch),
            None if loader._iterable else epoch.tasks(indices),
            seed=epoch.seed,
            epoch=epoch.number,
            keep_pool=loader.persistent_workers,
            skip=epoch.position if loader._iterable else 0,
        )
    if not loader._iterable:
        fetcher = Fetcher(loader.dataset, loader.collate_fn, loader._auto_collation)
        return IndexedBatches(fetcher, epoch.tasks(indices), epoch.seed, epoch.number)
    first = 0
    if epoch.dataset_state is not None:
        loader.dataset.load_state_dict(epoch.dataset_state)
        first = epoch.position

    def open_dataset() -> IterableFetcher:
        return IterableFetcher(
            loader.dataset, loader.collate_fn, loader.batch_size, loader.drop_last
        )

    return StreamedBatches(open_dataset, epoch, first)


def readers_of(loader: Any) -> tuple[int, ...] | None:
    """How many workers read the iterable data set of a loader; None for a map-style data set.

    The number comes first. Another one follows if it would read the same: a single worker reads a
    `ShardedIterableDataset` as the process of the loader does, unless the data set has a state of
    its own, which is kept in that process only.
    """
    if not loader._iterable:
        return None
    count = int(loader.num_workers)
    if count > 0 and loader._pool is not None and not loader._pool.closed:
        count = loader._pool.settings.num_workers  # persistent workers stay as many as they are
    sharded = isinstance(loader.dataset, ShardedIterableDataset)
    if count <= 1 and sharded and not hasattr(loader.dataset, "state_dict"):
        return count, 1 - count
    return (count,)


def worker_settings(loader: Any) -> WorkerSettings:
    """The arguments of a loader that its workers need."""
    return WorkerSettings(
        dataset=loader.dataset,
        collate_fn=loader.collate_fn,
        auto_collation=loader._auto_collation,
        num_workers=loader.num_workers,
        prefetch_factor=2 if loader.prefetch_factor is None else loader.prefetch_factor,
        iterable=loader._iterable,
        batch_size=loader.batch_size,
        drop_last=loader.drop_last,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        in_order=loader.in_order,
    )
