"""The worker processes as the loader sees them: start, tasks out, answers in, death, end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any, NoReturn

import numpy as np

from tinytrain.data.workers.arena import new_arena
from tinytrain.data.workers.child import Start, run_worker
from tinytrain.data.workers.context import choose_context, warm_up
from tinytrain.data.workers.failure import failure_of
from tinytrain.data.workers.interrupts import QuietName, hold_interrupts
from tinytrain.data.workers.luggage import Luggage, packed_luggage
from tinytrain.data.workers.messages import Answer, BeginEpoch, Initialized, Ready, Task
from tinytrain.data.workers.pieces import has_room, pieces_of
from tinytrain.data.workers.process import (
    ENDED_EARLY,
    Worker,
    death_report,
    start_report,
    stop,
    timeout_report,
)
from tinytrain.data.workers.settings import WorkerSettings
from tinytrain.data.workers.transport import Packed, unpack
from tinytrain.generator import Generator

__all__ = ["WorkerPool"]

_LOOK_SECONDS = 0.1  # how often to look at the clock while a worker takes nothing
_START_SECONDS = 300.0  # how long a worker may take to start, if there is a timeout at all


class WorkerPool:
    """The worker processes of a loader: started at construction, gone after `close`.

    They are also stopped when the pool is garbage, at the end of the program, and within a second
    of the death of this process. A loader with ``persistent_workers`` keeps one pool and hands it
    to the `WorkerIterator` of every epoch.

    Parameters
    ----------
    settings
        What the workers do.
    base_seed
        Worker w seeds Python's `random` and tinytrain's default generator with ``base_seed + w``,
        and NumPy's global state with both numbers.

    Raises
    ------
    pickle.PicklingError
        If the data set, `collate_fn` or `worker_init_fn` cannot be sent to a worker.

    Warns
    -----
    UserWarning
        If the data set holds a random generator: each worker gets a copy in the same state.
    """

    def __init__(self, settings: WorkerSettings, base_seed: int) -> None:
        self.settings = settings
        self.epoch = 0
        self._arrived: deque[tuple[int, Answer]] = deque()
        self._workers: list[Worker] = []
        self._begin = time.monotonic()
        # The workers outlive the pool by the time they take to stop: nothing here refers to it.
        self._finalizer = weakref.finalize(self, stop, self._workers, os.getpid())
        self._in_use = threading.RLock()  # for a signal handler of the same thread
        self._used_by = ""
        _warn_about_generators(settings.dataset)
        try:
            self._start(base_seed)
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[Any]:
        """The process objects, in the order of the workers."""
        return [worker.process for worker in self._workers]

    @property
    def closed(self) -> bool:
        """Whether the workers are gone: closed, or after the death of one."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Stop the workers and wait until they are gone: half a second at most if all is well.

        An idle worker ends by itself. One that is at work may finish its batch within half a
        second, then it is terminated, and if need be killed.
        """
        self._finalizer()
        self._arrived.clear()

    def _start(self, base_seed: int) -> None:
        settings = self.settings
        context = choose_context(settings.multiprocessing_context)
        objects = {
            "dataset": settings.dataset,
            "collate_fn": settings.collate_fn,
            "worker_init_fn": settings.worker_init_fn,
        }
        may_fork = settings.multiprocessing_context is None and (
            multiprocessing.get_start_method(allow_none=True) in (None, "fork")
        )
        luggage, context = packed_luggage(objects, context, may_fork)
        with contextlib.closing(luggage):
            warm_up(context)
            for number in range(settings.num_workers):
                # Not for the fork server, whose children inherit nothing from here.
                quiet = context.get_start_method() != "forkserver"
                with hold_interrupts() if quiet else contextlib.nullcontext():
                    self._start_one(number, luggage, context, base_seed)

    def _start_one(self, number: int, luggage: Luggage, context: Any, base_seed: int) -> None:
        settings = self.settings
        arena = new_arena(settings.prefetch_factor)
        their_tasks, tasks = context.Pipe(duplex=False)
        results, their_results = context.Pipe(duplex=False)
        forked = context.get_start_method() == "fork"
        others = [end for worker in self._workers for end in (worker.tasks, worker.results)]
        start = Start(
            number=number,
            num_workers=settings.num_workers,
            base_seed=base_seed,
            slots=settings.prefetch_factor,
            iterable=settings.iterable,
            auto_collation=settings.auto_collation,
            batch_size=settings.batch_size,
            drop_last=settings.drop_last,
            luggage=luggage,
            tasks=their_tasks,
            results=their_results,
            arena=arena,
            not_mine=[tasks, results, *others] if forked else [],
        )
        process = context.Process(
            target=run_worker,
            args=(start,),
            name=QuietName(f"DataLoaderWorker-{number}"),
            daemon=True,
        )
        try:
            process.start()
        except BaseException as error:
            for part in (tasks, results, arena):
                part.close()
            if isinstance(error, BrokenPipeError):
                raise RuntimeError(
                    f"DataLoader worker {number} cannot start. {ENDED_EARLY}"
                ) from error
            raise
        finally:
            their_tasks.close()
            their_results.close()
        worker = Worker(number, process, tasks, results, arena)
        worker.initializing = settings.worker_init_fn is not None
        self._workers.append(worker)

    @contextlib.contextmanager
    def used_by_one_thread(self) -> Iterator[None]:
        """Keep other threads out of the block: two that read the same connection may wait for ever.

        Raises
        ------
        RuntimeError
            If another thread is in such a block. It goes on undisturbed.
        """
        this = threading.current_thread().name
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError(
                f"thread {this!r} asked the workers of a DataLoader for a batch while thread "
                f"{self._used_by!r} was waiting for one. Let one thread iterate and hand the "
                "batches on, for example by a queue.Queue, or hold a lock around next(iterator)"
            )
        self._used_by = this
        try:
            yield
        finally:
            self._in_use.release()

    # ------------------------------------------------------------ tasks out

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Let the workers begin anew; what is left of an epoch under way is thrown away."""
        self.epoch += 1
        for worker in self._workers:
            self._send(worker, pieces_of(BeginEpoch(self.epoch, seed, epoch)))
        since = time.monotonic()
        while any(worker.in_flight for worker in self._workers):
            self._collect(since)
        self._arrived.clear()

    def send(self, number: int, task: Task, pieces: Sequence[bytes]) -> None:
        """Give a worker a task; it must have fewer than `prefetch_factor` waiting.

        Parameters
        ----------
        number
            Of the worker.
        task
            The task.
        pieces
            Its pickle: ``pieces_of(task)``.
        """
        worker = self._workers[number]
        worker.in_flight.append(task)
        self._send(worker, pieces)

    def _send(self, worker: Worker, pieces: Sequence[bytes]) -> None:
        since = time.monotonic()
        try:
            for piece in pieces:
                while not has_room(worker.tasks, _LOOK_SECONDS):
                    self._collect(since, longest=0.0)
                worker.tasks.send_bytes(piece)
        except (BrokenPipeError, ConnectionResetError):
            self._report_death([worker])

    # ------------------------------------------------------------ answers in

    def receive(self, since: float) -> tuple[int, Answer]:
        """The next answer of any worker, with the number of the worker.

        Parameters
        ----------
        since
            When the wait for it began, in seconds of ``time.monotonic``. The timeout counts from
            there, but not before all workers have started.

        Raises
        ------
        RuntimeError
            If a worker has died, or none answered in time. The workers are then stopped.
        """
        while not self._arrived:
            self._collect(since)
        return self._arrived.popleft()

    def _deadline(self, since: float) -> float | None:
        """When a wait is too long."""
        if self.settings.timeout <= 0:
            return None
        begins = [worker.ready_at for worker in self._workers]
        if None in begins:
            return self._begin + _START_SECONDS + self.settings.timeout
        return max(since, *filter(None, begins)) + self.settings.timeout

    def _collect(self, since: float, longest: float = 1.0) -> None:
        """Wait until something happens, and take what has arrived."""
        deadline = self._deadline(since)
        worker_of: dict[Any, Worker] = {}
        for worker in self._workers:
            worker_of[worker.results] = worker_of[worker.process.sentinel] = worker
        # Not for ever at once: on Windows Ctrl-C does not end this wait.
        left = longest if deadline is None else max(0.0, deadline - time.monotonic())
        seconds = min(longest, left)
        happened = wait(list(worker_of), seconds)
        talking = [source for source in happened if not isinstance(source, int)]
        gone = [worker_of[source] for source in talking if not self._read(worker_of[source])]
        if not talking:
            gone = [worker_of[source] for source in happened]
        if gone:
            # What the others have sent may be what the caller waits for, but an epoch with a
            # dead worker cannot be finished: say so at once.
            self._report_death(gone)
        if not happened and deadline is not None and time.monotonic() >= deadline:
            if all(worker.ready for worker in self._workers):
                self._abandon(timeout_report(self.settings.timeout, self._workers))
            self._abandon(start_report(time.monotonic() - self._begin, self._workers))

    def _read(self, worker: Worker) -> bool:
        """Take one piece of a message of a worker; False if there will be none any more."""
        try:
            is_complete, message = worker.assembly.add(worker.results.recv_bytes())
        except (EOFError, OSError):
            return False
        if not is_complete:
            return True
        if isinstance(message, Ready):
            worker.ready_at = time.monotonic()
        elif isinstance(message, Initialized):
            worker.initializing = False
        else:
            task = worker.in_flight.popleft()
            self._arrived.append((worker.number, self._opened(message, task, worker)))
        return True

    def _opened(self, answer: Answer, task: Task, worker: Worker) -> Answer:
        """The answer with the batch in place of its parcel."""
        if not isinstance(answer.value, Packed):
            return answer
        try:
            return Answer(answer.number, answer.kind, unpack(answer.value, worker.arena))
        except Exception as error:
            error.add_note(
                f"(while {task} of DataLoader worker {worker.number} was unpickled "
                "in the main process)"
            )
            return Answer(answer.number, "failed", failure_of(error, worker.number))

    # ------------------------------------------------------------ what can go wrong

    def _report_death(self, gone: Sequence[Worker]) -> NoReturn:
        for worker in gone:
            worker.process.join(1.0)
        self._abandon(death_report(gone))

    def _abandon(self, message: str) -> NoReturn:
        for worker in self._workers:
            worker.process.terminate()
        self.close()
        raise RuntimeError(message)


def _warn_about_generators(dataset: Any) -> None:
    kinds = (np.random.Generator, np.random.RandomState, Generator)
    names = (
        [name for name, value in vars(dataset).items() if isinstance(value, kinds)]
        if hasattr(dataset, "__dict__")
        else []
    )
    if names:
        warnings.warn(
            f"the data set {type(dataset).__name__} holds a random generator ({', '.join(names)}). "
            "Every worker gets a copy of it in the same state, so that all workers draw the same "
            "numbers. Draw from tinytrain.data.sample_rng(index) in __getitem__ instead: its "
            "numbers depend on the seed of the loader, the epoch and the index only.",
            stacklevel=6,
        )
