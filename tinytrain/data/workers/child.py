"""The worker process: it takes tasks, fetches batches and sends them, until it is told to stop."""

from __future__ import annotations

import multiprocessing.util
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from tinytrain.data.fetch import Fetcher, IterableFetcher
from tinytrain.data.sample_random import fetching
from tinytrain.data.workers.arena import Arena
from tinytrain.data.workers.blas import use_one_blas_thread
from tinytrain.data.workers.failure import Failure, failure_of, unsendable
from tinytrain.data.workers.info import WorkerInfo, set_worker_info
from tinytrain.data.workers.interrupts import ignore_interrupts
from tinytrain.data.workers.lifeline import die_with_parent, parent_is_gone
from tinytrain.data.workers.luggage import Luggage
from tinytrain.data.workers.messages import Answer, BeginEpoch, Initialized, Ready, Task
from tinytrain.data.workers.pieces import Assembly, pieces_of
from tinytrain.data.workers.transport import pack
from tinytrain.generator import manual_seed

__all__ = ["Start", "numpy_seed", "run_worker"]

_WATCH_SECONDS = 0.25  # how often a worker looks whether its parent lives


@dataclass
class Start:
    """What a worker needs to know to begin."""

    number: int
    num_workers: int
    base_seed: int
    slots: int
    iterable: bool
    auto_collation: bool
    batch_size: int | None
    drop_last: bool
    luggage: Luggage
    tasks: Connection
    results: Connection
    arena: Arena
    not_mine: list[Connection]


def numpy_seed(base_seed: int, worker: int) -> list[int]:
    """What NumPy's global random state of a worker starts from: as in PyTorch."""
    entropy = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return [int(word) for word in np.random.SeedSequence(entropy).generate_state(4)]


def run_worker(start: Start) -> None:
    """Be worker `start.number`: the whole life of the process."""
    # Ctrl-C goes to all processes of a terminal. The main process stops the workers.
    ignore_interrupts()
    die_with_parent()
    # A forked process has the ends of the main process too: with them open, neither side would
    # see that the other is gone.
    for connection in start.not_mine:
        connection.close()
    inbox = _Inbox(start.tasks)
    worker = _Worker(start)
    try:
        _send(start.results, Ready())
        if worker.initialize():
            _send(start.results, Initialized())
        for message in inbox:
            if isinstance(message, BeginEpoch):
                worker.begin(message)
            else:
                answer = worker.answer(message, is_stale=message.epoch < inbox.epoch)
                _send(start.results, answer)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the main process has closed its ends: it wants no more batches
    finally:
        start.arena.close()
    _leave()


def _send(connection: Connection, message: Ready | Initialized | Answer) -> None:
    for piece in pieces_of(message):
        connection.send_bytes(piece)


def _leave() -> None:
    """End the process here if a thread of a sample's would hold it up, else in the usual way."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    if all(thread.daemon for thread in others):
        return
    multiprocessing.util._exit_function()  # type: ignore[attr-defined]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Inbox:
    """The messages to a worker, read by a thread of its own.

    So the main process never waits for a worker that is at work, however long its messages are,
    and the end of the main process is seen in the middle of a fetch.
    """

    def __init__(self, connection: Connection) -> None:
        self.epoch = 0  # the newest that was begun: tasks of an older one are not worth the work
        self._ended = False
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._assembly = Assembly()
        self._parent = os.getppid()
        threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def __iter__(self) -> _Inbox:
        return self

    def __next__(self) -> Any:
        message = self._messages.get()
        if message is None or self._ended:
            raise StopIteration
        if isinstance(message, BaseException):
            raise message
        return message

    def _read(self, connection: Connection) -> None:
        try:
            while True:
                while not connection.poll(_WATCH_SECONDS):
                    self._exit_if_orphaned()
                complete, message = self._assembly.add(connection.recv_bytes())
                if not complete:
                    continue
                if isinstance(message, BeginEpoch):
                    self.epoch = message.number
                self._messages.put(message)
        except (EOFError, OSError):
            self._ended = True
            self._messages.put(None)
        except Exception as error:  # indices of a class that cannot be imported here
            self._messages.put(error)
        # The main process has ended the work, or has died. In the first case it waits a moment
        # for a fetch to be finished; in the second there is nothing to wait for.
        while True:
            self._exit_if_orphaned()
            time.sleep(_WATCH_SECONDS)

    def _exit_if_orphaned(self) -> None:
        if parent_is_gone(self._parent):
            os._exit(1)


class _Worker:
    """Does the tasks, and makes an answer of whatever happens."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._tasks_done = 0
        self._fetcher: Fetcher | IterableFetcher | None = None
        self._never_ready = self._failure_in(self._prepare)
        self._failure: Failure | None = None

    def _failure_in(self, step: Callable[[], None]) -> Failure | None:
        try:
            step()
        except BaseException as error:
            return failure_of(error, self._start.number)
        return None

    def _prepare(self) -> None:
        start = self._start
        use_one_blas_thread()
        seed = start.base_seed + start.number
        random.seed(seed)
        manual_seed(seed)
        np.random.seed(numpy_seed(start.base_seed, start.number))  # noqa: NPY002 (as promised)
        self._dataset, self._collate, self._init = start.luggage.open()
        set_worker_info(WorkerInfo(start.number, start.num_workers, seed, self._dataset))

    def initialize(self) -> bool:
        """Call `worker_init_fn`, for which the loader's `timeout` counts already: is there one?"""
        if self._never_ready is not None or self._init is None:
            return False
        init = self._init
        self._never_ready = self._failure_in(lambda: init(self._start.number))
        return True

    def begin(self, epoch: BeginEpoch) -> None:
        """Make the fetcher of an epoch."""
        self._context = fetching(epoch.seed, epoch.epoch)
        if self._never_ready is None:
            self._failure = self._failure_in(self._make_fetcher)
        self._failure_told = False

    def _make_fetcher(self) -> None:
        start = self._start
        if not start.iterable:
            self._fetcher = Fetcher(self._dataset, self._collate, start.auto_collation)
            return
        with self._context:
            self._fetcher = IterableFetcher(
                self._dataset,
                self._collate,
                start.batch_size,
                start.drop_last,
                shard=start.number,
                shards=start.num_workers,
            )

    def answer(self, task: Task, is_stale: bool) -> Answer:
        """Do a task."""
        slot = self._tasks_done % self._start.slots
        self._tasks_done += 1
        if is_stale:
            return Answer(task.number, "skipped")
        if self._never_ready is not None:
            return Answer(task.number, "unready", self._never_ready)
        if self._failure is not None:
            return self._failed_at_the_start(task)
        try:
            with self._context:
                kind, value = self._do(task)
        except BaseException as error:
            return Answer(task.number, "failed", failure_of(error, self._start.number))
        if kind == "skipped":
            return Answer(task.number, "skipped")
        try:
            return Answer(task.number, kind, pack(value, self._start.arena, slot))
        except Exception as error:
            failure = unsendable(error, value, task, self._start.number)
            return Answer(task.number, "failed", failure)

    def _failed_at_the_start(self, task: Task) -> Answer:
        # There is no last task for an iterable data set: without an end this would go on for ever.
        if self._failure_told and self._start.iterable:
            return Answer(task.number, "ended")
        self._failure_told = True
        return Answer(task.number, "failed", self._failure)

    def _do(self, task: Task) -> Any:
        fetcher = self._fetcher
        if isinstance(fetcher, Fetcher):
            return "batch", fetcher.fetch(task.index)
        assert isinstance(fetcher, IterableFetcher)
        try:
            if task.skipped:
                fetcher.skip_batch()
                return "skipped", None
            return "batch", fetcher.next_batch()
        except StopIteration:
            if not fetcher.ended:
                raise
            remainder, fetcher.remainder = fetcher.remainder, []
            return "ended", remainder
