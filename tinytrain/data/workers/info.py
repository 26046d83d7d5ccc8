"""Who am I: what a worker process knows about itself."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Any, NoReturn

__all__ = ["WorkerInfo", "get_worker_info", "set_worker_info"]


class _CannotAssignError(FrozenInstanceError, RuntimeError):
    """Both errors that PyTorch's versions raise here: older ones a plain RuntimeError."""


@dataclass(eq=False)
class WorkerInfo:
    """What a worker process of a loader knows about itself; it cannot be changed.

    Attributes
    ----------
    id
        The number of the worker, from 0 to ``num_workers - 1``.
    num_workers
        How many workers the loader has.
    seed
        What Python's `random` and tinytrain's default generator of this process started from:
        the seed that the loader drew for the epoch in which the workers started, plus `id`.
    dataset
        The copy of the data set in this process.

    Raises
    ------
    RuntimeError
        If an attribute is assigned.

    Examples
    --------
    >>> info = WorkerInfo(1, 4, 2025, [10, 20, 30])
    >>> info.dataset[info.id :: info.num_workers]
    [20]
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "_complete", True)

    def __setattr__(self, name: str, value: object) -> None:
        if "_complete" in self.__dict__:
            _refuse()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        _refuse()


def _refuse() -> NoReturn:
    raise _CannotAssignError("Cannot assign attributes to WorkerInfo objects")


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The `WorkerInfo` of this process, or None in a process that is no worker.

    An iterable data set reads it in ``__iter__`` to take its share of the samples.

    Examples
    --------
    >>> get_worker_info() is None
    True
    """
    return _info


def set_worker_info(info: WorkerInfo) -> None:
    """Make this process a worker: called once, at its start."""
    global _info
    _info = info
