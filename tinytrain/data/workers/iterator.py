"""One epoch over a pool of workers: which worker gets which task, and in which order they return.

Tasks go round: worker 0, 1, 2, ..., and again. At most ``prefetch_factor`` tasks of a worker, and
``prefetch_factor * num_workers`` in all, are under way, batches that wait for their turn
included. A new one is sent when a batch is handed out, not when it arrives. So which worker does
what depends on the order of the batches only, not on how fast they are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from tinytrain.data.fetch import merged_remainders
from tinytrain.data.sample_random import fetching
from tinytrain.data.workers.failure import Failure, raise_failure
from tinytrain.data.workers.messages import Answer, Task
from tinytrain.data.workers.pieces import pieces_of
from tinytrain.data.workers.pool import WorkerPool

__all__ = ["WorkerIterator"]


class WorkerIterator:
    """The batches of one epoch, fetched by workers.

    An error in a worker is raised here, in its own type where that can be done, and the iteration
    may go on after it. The death of a worker, a timeout, an error of `worker_init_fn`, and whatever
    interrupts the waiting (Ctrl-C, an exception of a signal handler) end it: the workers are then
    gone, and every further ``next`` raises an error that says why.

    Parameters
    ----------
    pool
        Running workers. An epoch of theirs that is under way is ended.
    tasks
        For a map-style data set pairs of the number of a batch and its indices; they are taken as
        tasks are sent. None for an iterable data set.
    seed, epoch
        What `sample_rng` depends on.
    keep_pool
        Whether the workers go on to run at the end of the epoch (persistent workers).
    skip
        How many batches of an iterable data set the workers read without handing them out. (Of a
        map-style one leave them out of `tasks`.)

    Attributes
    ----------
    number
        The number of the batch that was handed out last: as in `tasks`, or how many an iterable
        data set has given before it, those skipped included.
    indices
        The indices of that batch, as in `tasks`; None for an iterable data set.

    Raises
    ------
    ValueError
        If `skip` is not 0 for workers with ``in_order=False``: nobody knows which batches they
        handed out first.
    RuntimeError
        From ``next``: if a worker died or the timeout is over; the message says which worker, how,
        and what it was doing. Also if two threads ask at the same time, the second of them; the
        first goes on.
    """

    def __init__(
        self,
        pool: WorkerPool,
        tasks: Iterable[tuple[int, Any]] | None,
        *,
        seed: int,
        epoch: int,
        keep_pool: bool = False,
        skip: int = 0,
    ) -> None:
        settings = pool.settings
        if skip and tasks is None and not settings.in_order:
            if not keep_pool:
                pool.close()
            raise ValueError(
                "cannot resume an iterable data set in the middle of an epoch with workers and "
                "in_order=False: which batches came first is not known. Use in_order=True, or "
                "begin a new epoch"
            )
        self.number = -1
        self.indices: Any = None
        self._pool = pool
        self._keep_pool = keep_pool
        self._tasks = None if tasks is None else iter(tasks)
        self._seed_and_epoch = seed, epoch
        self._skip = skip
        self._sent = 0  # the number of the next task to be sent
        self._next = 0  # and of the next one to be handed out, if they keep their order
        self._error: Exception | None = None
        # The batches of the tasks under way: their numbers and indices.
        self._batch_of: dict[int, tuple[int, Any]] = {}
        self._parked: dict[int, tuple[int, Answer]] = {}
        self._turn = 0
        self._underway = [0] * settings.num_workers
        self._ended = [False] * settings.num_workers
        self._remainders: list[list[Any]] = [[] for _ in range(settings.num_workers)]
        self._last_batches: deque[list[Any]] | None = None
        self._closed = False
        self._broken: Failure | None = None
        with pool.used_by_one_thread():
            try:
                pool.begin_epoch(seed, epoch)
                self._epoch = pool.epoch
                self._send_tasks()
            except BaseException as error:
                self._break(error)
                raise

    @property
    def _workers(self) -> Sequence[Any]:
        """The processes, as PyTorch's iterator has them."""
        return self._pool.processes

    def __iter__(self) -> WorkerIterator:
        return self

    def __next__(self) -> Any:
        with self._pool.used_by_one_thread():
            return self._next_batch()

    def _next_batch(self) -> Any:
        if self._broken is not None:
            raise_failure(self._broken)
        if self._closed:
            raise StopIteration
        if self._pool.epoch != self._epoch:
            raise RuntimeError(
                "a newer epoch has begun on these persistent workers; only the newest iterator "
                "of a loader with persistent_workers=True can go on"
            )
        try:
            outcome = self._next_outcome()
        except BaseException as error:
            self._break(error)
            raise
        if outcome is None:
            self.close()
            raise StopIteration
        if isinstance(outcome, Exception):
            raise outcome
        if outcome.kind == "unready":
            self._end_with(outcome.value)
        if outcome.kind != "batch":
            raise_failure(outcome.value)
        return outcome.value

    def _break(self, error: BaseException) -> None:
        """End for good: a message may be lost or half-read, wherever an exception came from."""
        text = str(error)
        if not self._pool.closed:
            text = (
                f"this iterator has been ended by a {type(error).__name__} in the main process"
                f"{': ' if text else ''}{text}. iter(loader) begins anew; state_dict() of the "
                "loader still says how far this one had come"
            )
        self._end_with(Failure(None, text))

    def _end_with(self, failure: Failure) -> None:
        self._broken = failure
        self._pool.close()
        self.close()

    def close(self) -> None:
        """End the epoch, and stop the workers unless they are kept."""
        self._closed = True
        if not self._keep_pool:
            self._pool.close()

    # ------------------------------------------------------------ tasks out

    def _send_tasks(self) -> None:
        """Send tasks until enough are under way, or there are none."""
        settings = self._pool.settings
        most = settings.prefetch_factor * settings.num_workers
        while self._error is None and sum(self._underway) < most:
            worker = self._next_worker()
            if worker is None:
                return
            try:
                task = self._next_task()
                if task is None:
                    return
                pieces = pieces_of(task)
            except Exception as error:  # of the sampler, or of an index that cannot be pickled
                self._error = error
                return
            self._pool.send(worker, task, pieces)
            # A copy: a batch sampler may fill the same list again.
            index = list(task.index) if isinstance(task.index, list) else task.index
            self._batch_of[task.number] = task.batch, index
            self._underway[worker] += 1
            self._sent += 1
            self._turn = (worker + 1) % settings.num_workers

    def _next_task(self) -> Task | None:
        """The next task; None if there is none."""
        batch, index = self._sent, None
        if self._tasks is not None:
            task = next(self._tasks, None)
            if task is None:
                return None
            batch, index = task
        skipped = self._tasks is None and batch < self._skip
        return Task(self._epoch, self._sent, batch, index, skipped)

    def _next_worker(self) -> int | None:
        """Who gets the next task; None if that has to wait."""
        settings = self._pool.settings
        for step in range(settings.num_workers):
            worker = (self._turn + step) % settings.num_workers
            if self._ended[worker]:
                continue
            if self._underway[worker] < settings.prefetch_factor:
                return worker
            if settings.in_order:
                return None
        return None

    # ------------------------------------------------------------ batches in

    def _next_outcome(self) -> Answer | Exception | None:
        """A batch or a failure of a worker; an exception of this process to raise; or the end."""
        self._send_tasks()
        while sum(self._underway):
            worker, answer = self._next_answer()
            batch, self.indices = self._batch_of.pop(answer.number)
            self._underway[worker] -= 1
            self._next += 1
            if answer.kind == "ended":
                self._ended[worker] = True
                self._remainders[worker] += answer.value or []
            self._send_tasks()
            if answer.kind == "ended":
                continue
            # A worker of an iterable data set may have ended before: its tasks are no batches.
            self.number = self.number + 1 if self._tasks is None else batch
            if answer.kind != "batch" and answer.kind != "skipped":
                return answer
            if self.number >= self._skip:
                return answer
        if self._error is not None:
            # The sampler failed. It is said where it would be without workers: after the batches
            # of the indices that came before.
            error, self._error = self._error, None
            return error
        return self._next_of_the_last()

    def _next_answer(self) -> tuple[int, Answer]:
        """The answer whose turn it is: of the next task, or the first one to come."""
        since = time.monotonic()
        if not self._pool.settings.in_order:
            return self._pool.receive(since)
        while self._next not in self._parked:
            worker, answer = self._pool.receive(since)
            self._parked[answer.number] = worker, answer
        return self._parked.pop(self._next)

    def _next_of_the_last(self) -> Answer | Exception | None:
        """The batches that are made of what the workers have left over."""
        settings = self._pool.settings
        if self._last_batches is None:
            size = settings.batch_size or 1
            last = merged_remainders(self._remainders, size, settings.drop_last)
            self._last_batches = deque(last)
        while self._last_batches:
            samples = self._last_batches.popleft()
            self.number += 1
            if self.number >= self._skip:
                try:
                    with fetching(*self._seed_and_epoch):
                        return Answer(self.number, "batch", settings.collate_fn(samples))
                except Exception as error:
                    return error
        return None
