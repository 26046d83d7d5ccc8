"""A worker process, seen from the process of the loader: how it ends and what is said of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tinytrain.data.workers.arena import Arena
from tinytrain.data.workers.messages import Task
from tinytrain.data.workers.pieces import Assembly

__all__ = ["ENDED_EARLY", "Worker", "death_report", "start_report", "stop", "timeout_report"]

ENDED_EARLY = (
    "It ended before it was ready. A worker imports the main script again: is what the script "
    "does below `if __name__ == '__main__':`?"
)

_IDLE_GRACE = 5.0  # seconds that a worker without a task gets to exit by itself
_BUSY_GRACE = 0.5  # and one that is at work


@dataclass
class Worker:
    """A worker process, the connections to it, and the tasks it has not answered yet."""

    number: int
    process: Any
    tasks: Connection
    results: Connection
    arena: Arena
    ready_at: float | None = None  # in seconds of time.monotonic; None before
    initializing: bool = False  # whether its worker_init_fn may still be at work
    in_flight: deque[Task] = field(default_factory=deque)
    assembly: Assembly = field(default_factory=Assembly)  # of its answers

    @property
    def ready(self) -> bool:
        """Whether it has started, with its imports done and the data set at hand."""
        return self.ready_at is not None

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.process.pid})"

    def tasks_in_flight(self) -> str:
        """What it was asked for: batches and indices."""
        return ", ".join(map(str, self.in_flight))

    @property
    def in_init(self) -> bool:
        """Whether it is in its `worker_init_fn`, as far as is known."""
        return self.ready and self.initializing


def death_report(gone: Sequence[Worker]) -> str:
    """What to say of workers that have exited: which, how, and what is lost with them."""
    pids = ", ".join(str(worker.process.pid) for worker in gone)
    lines = [f"DataLoader worker (pid(s) {pids}) exited unexpectedly"]
    for worker in gone:
        lines.append(f"{worker} {_ending(worker)}")
        if not worker.ready and (worker.process.exitcode or 0) > 0:
            lines.append(ENDED_EARLY)
    return "\n".join(lines)


def timeout_report(timeout: float, workers: Sequence[Worker]) -> str:
    """What to say when no batch came in time: who works at what."""
    lines = [f"DataLoader timed out after {timeout} seconds"]
    for worker in workers:
        if worker.in_init:
            lines.append(f"{worker} was still in worker_init_fn, for which the timeout counts, too")
        elif worker.in_flight:
            lines.append(f"{worker} was still at work on {worker.tasks_in_flight()}")
    return "\n".join(lines)


def start_report(seconds: float, workers: Sequence[Worker]) -> str:
    """What to say when a worker does not come to its first task: who has not started."""
    late = [worker for worker in workers if not worker.ready]
    lines = [
        f"{worker} has not started yet after {seconds:.0f} seconds. A worker imports the main "
        "script and the modules of the data set before its first batch"
        for worker in late
    ]
    return "\n".join(["DataLoader timed out while its workers start", *lines])


def _ending(worker: Worker) -> str:
    code = worker.process.exitcode
    if code is None:
        how = "closed its connection"
    elif code >= 0:
        how = f"exited with code {code}"
    else:
        with contextlib.suppress(ValueError):
            code = signal.Signals(-code).name
        how = f"was killed by signal {code}"
        if code == "SIGKILL":
            how += " (which is also what the system does when memory is short)"
    if worker.in_init:
        how += " in worker_init_fn,"
    if worker.in_flight:
        how += f" with these tasks in flight: {worker.tasks_in_flight()}"
    return how


def stop(workers: Sequence[Worker], owner: int) -> None:
    """Stop workers: ask, terminate, kill. (A fork of this process owns no workers.)"""
    if os.getpid() != owner:
        return
    for worker in workers:
        # A worker takes the end of its tasks for the end of its work.
        worker.tasks.close()
        worker.results.close()
    begin = time.monotonic()
    for worker in workers:
        grace = _BUSY_GRACE if worker.in_flight or not worker.ready else _IDLE_GRACE
        worker.process.join(max(0.0, begin + grace - time.monotonic()))
    for harder in ("terminate", "kill"):
        left = [worker.process for worker in workers if worker.process.is_alive()]
        for process in left:
            getattr(process, harder)()
        begin = time.monotonic()
        for process in left:
            process.join(max(0.0, begin + _BUSY_GRACE - time.monotonic()))
    for worker in workers:
        worker.arena.close()
