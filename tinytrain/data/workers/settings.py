"""What the workers of a loader do: the arguments of the loader that reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["WorkerSettings"]


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """The arguments of a `DataLoader` that concern its workers, already checked by it.

    Parameters
    ----------
    dataset
        The data set; every worker gets a copy.
    collate_fn
        Makes a batch of a list of samples (without batching: converts one sample).
    auto_collation
        Whether a task is a list of indices (True) or one index.
    iterable
        Whether the data set is read by ``iter(dataset)`` instead of by indices.
    batch_size, drop_last
        Of an iterable data set: how many samples make a batch (None: no batching), and whether a
        last smaller batch is left out.
    num_workers
        The number of processes, at least 1.
    prefetch_factor
        How many tasks a worker may have waiting, the one it works at included; at least 1.
    timeout
        How many seconds to wait for a batch; 0 waits for ever.
    worker_init_fn
        Called with the number of the worker in each worker before its first task.
    multiprocessing_context
        A context of `multiprocessing`; None chooses (see `choose_context`).
    in_order
        Whether batches come in the order of their tasks (True) or as they are ready.
    """

    dataset: Any
    collate_fn: Callable[[Any], Any]
    auto_collation: bool
    num_workers: int
    prefetch_factor: int = 2
    iterable: bool = False
    batch_size: int | None = None
    drop_last: bool = False
    timeout: float = 0
    worker_init_fn: Callable[[int], Any] | None = None
    multiprocessing_context: Any = None
    in_order: bool = True
