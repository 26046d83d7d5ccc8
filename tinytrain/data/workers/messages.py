"""What the loader and a worker say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Answer", "BeginEpoch", "Initialized", "Ready", "Task"]

_SHOWN_INDICES = 20


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """To a worker: make a new fetcher.

    `number` counts the epochs of these workers; `seed` and `epoch` are for `sample_rng`.
    """

    number: int
    seed: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Task:
    """To a worker: fetch the batch of an index or of a list of indices (None: the next one).

    `epoch` is the number of the `BeginEpoch` it belongs to, `number` counts the tasks of the epoch,
    and `batch` is what the user calls the batch. One to be skipped is read, but not sent.
    """

    epoch: int
    number: int
    batch: int
    index: Any
    skipped: bool = False

    def __str__(self) -> str:
        return f"batch {self.batch}" + ("" if self.index is None else f" (indices {self._shown()})")

    def _shown(self) -> str:
        if isinstance(self.index, (list, tuple)) and len(self.index) > _SHOWN_INDICES:
            first = ", ".join(map(str, self.index[:_SHOWN_INDICES]))
            return f"[{first}, ... {len(self.index)} in all]"
        return str(self.index)


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: it has started, and has the data set."""


@dataclass(frozen=True, slots=True)
class Initialized:
    """From a worker: its `worker_init_fn` has come to an end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """From a worker: what became of a task.

    ============  ===================================================================
    kind          value
    ============  ===================================================================
    ``batch``     the batch (between the processes: `Packed`)
    ``failed``    a `Failure`
    ``ended``     the samples that the worker has left over at the end of its iterable
                  data set (between the processes: `Packed`)
    ``unready``   a `Failure`: the worker cannot do any task
    ``skipped``   None
    ============  ===================================================================
    """

    number: int
    kind: Literal["batch", "failed", "unready", "ended", "skipped"]
    value: Any = None
