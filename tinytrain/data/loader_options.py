"""The checks of a loader's arguments: PyTorch's, in its order and with its messages."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from multiprocessing.context import BaseContext
from typing import Any

from tinytrain.data.iterable import ShardedIterableDataset

__all__ = [
    "check_batching",
    "check_iterable",
    "check_workers",
    "checked_context",
    "checked_prefetch_factor",
    "warn_about_workers",
]

# A few processes more than processors are no mistake where samples wait for a disk.
_WORKERS_PER_PROCESSOR = 4


def checked_prefetch_factor(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> int | None:
    """Check the arguments about workers; the prefetch factor, 2 where workers have none.

    Raises
    ------
    ValueError
        If one is negative, or given without workers; or if `prefetch_factor` is 0 with workers
        (where PyTorch fails at the first ``iter(loader)``, as it does for a `timeout` without).
    """
    _check_not_negative(num_workers, timeout)
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    check_workers(num_workers, timeout, prefetch_factor)
    return 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor


def check_workers(num_workers: int, timeout: float, prefetch_factor: int | None) -> None:
    """Check what may be set after the construction of a loader: at the start of each epoch.

    A `prefetch_factor` without workers is of no effect here, since the number of workers may have
    been set to 0.

    Raises
    ------
    ValueError
        If a value is negative or no number, `prefetch_factor` is 0 with workers, or there is a
        `timeout` without workers.
    """
    _check_not_negative(num_workers, timeout)
    if num_workers > 0 and prefetch_factor is not None:
        if prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if prefetch_factor == 0:
            raise ValueError(
                "prefetch_factor option must be greater than 0 (the batches that a worker fetches "
                "ahead), but got prefetch_factor=0"
            )
    if num_workers == 0 and timeout > 0:
        raise ValueError(
            "a loader without workers requires timeout == 0 (let num_workers > 0 to wait for "
            f"batches with a limit), but got timeout={timeout}"
        )


def _check_not_negative(num_workers: int, timeout: float) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if not timeout >= 0:
        raise ValueError("timeout option should be non-negative")


def checked_context(context: object, num_workers: int) -> BaseContext | None:
    """The multiprocessing context of an argument: itself, by its name, or None.

    Raises
    ------
    ValueError
        If one is given without workers, or the name is unknown.
    TypeError
        If it is neither a context nor a name.
    """
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading "
            f"(num_workers > 0), but got num_workers={num_workers}"
        )
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context


def check_iterable(shuffle: object, sampler: object, batch_sampler: object) -> None:
    """Refuse, for an iterable data set, what chooses an order (ValueError)."""
    given = {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        # False and 0, but no other empty value, are as good as None: as in PyTorch.
        unspecified = value is None or (name == "shuffle" and value in (False, None))
        if not unspecified:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, "
                f"but got {name}={value}"
            )


def check_batching(
    batch_size: object, shuffle: object, sampler: object, batch_sampler: object, drop_last: object
) -> None:
    """Refuse arguments that exclude each other (ValueError)."""
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                "and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


def warn_about_workers(num_workers: int, iterable: Any, drop_last: bool) -> None:
    """Warn of far more workers than processors, and of samples that workers would each drop.

    Parameters
    ----------
    num_workers
        How many workers there will be.
    iterable
        The data set, if it is an iterable one, otherwise None.
    drop_last
        Whether a last batch that is smaller is left out.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    if num_workers > _WORKERS_PER_PROCESSOR * processors:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total. There are "
            f"{processors} processors for them. Please be aware that excessive worker creation "
            "might get DataLoader running slow or even freeze, lower the worker number to avoid "
            "potential slowness/freeze if necessary.",
            stacklevel=3,
        )
    plain = iterable is not None and not isinstance(iterable, ShardedIterableDataset)
    if plain and drop_last and num_workers > 1:
        warnings.warn(
            f"drop_last with {num_workers} workers and an IterableDataset: each worker drops its "
            "own last batch, up to num_workers * (batch_size - 1) samples in all. With a "
            "ShardedIterableDataset at most batch_size - 1 are dropped.",
            stacklevel=3,
        )
