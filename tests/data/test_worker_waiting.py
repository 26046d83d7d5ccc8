"""Waiting for workers: what the timeout counts, and what may come in between."""

import os
import signal
import sys
import time

import pytest

from tests import worker_datasets as wd
from tinytrain.data import DataLoader
from tinytrain.data.workers import WorkerIterator, WorkerPool, WorkerSettings
from tinytrain.data.workers import pool as pool_module

if sys.platform == "win32":
    pytest.skip("needs POSIX signals", allow_module_level=True)


class Alarm(Exception):
    """What a signal handler raises."""


@pytest.fixture
def alarm():
    def handler(number, frame):
        # Between the loader's return and a test's own line, a batch is the test's to lose.
        if frame.f_code.co_filename != __file__:
            raise Alarm("it is time")

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def begun(dataset, tasks, num_workers=1, **settings):
    pool = WorkerPool(
        WorkerSettings(
            dataset=dataset,
            collate_fn=wd.as_list,
            auto_collation=True,
            num_workers=num_workers,
            **settings,
        ),
        base_seed=0,
    )
    return WorkerIterator(pool, tasks, seed=0, epoch=0)


@pytest.mark.slow
def test_a_stopped_worker_and_a_full_pipe_do_not_hold_up_the_timeout():
    many = list(range(50_000))
    iterator = begun(wd.Numbers(50_000), [(0, [0]), *((i, many) for i in range(1, 4))], timeout=1)
    next(iterator)
    os.kill(iterator._workers[0].pid, signal.SIGSTOP)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        list(iterator)
    assert time.monotonic() - begin < 4


def test_long_lists_of_indices_arrive_whole():
    many = list(range(30_000))
    assert list(begun(wd.Numbers(30_000), [(i, many[i:]) for i in range(3)])) == [
        many,
        many[1:],
        many[2:],
    ]


@pytest.mark.slow
def test_a_slow_start_does_not_count_against_the_timeout():
    iterator = begun(wd.SlowToArrive(4), [(i, [i]) for i in range(4)], timeout=0.5)
    assert list(iterator) == [[0], [1], [2], [3]]


def test_a_worker_that_does_not_start_is_named(monkeypatch):
    monkeypatch.setattr(pool_module, "_START_SECONDS", 0.1)
    iterator = begun(wd.SlowToArrive(4), [(0, [0])], timeout=0.1)
    with pytest.raises(RuntimeError, match=r"worker 0 \(pid \d+\) has not started yet after \d+"):
        next(iterator)


@pytest.mark.slow
def test_what_worker_init_fn_takes_counts():
    iterator = begun(wd.Numbers(), [(0, [0])], timeout=0.5, worker_init_fn=wd.slow_init)
    with pytest.raises(RuntimeError, match=r"0 \(pid \d+\) was still in worker_init_fn, for"):
        next(iterator)


def test_an_exception_of_a_signal_handler_ends_the_iterator_and_not_the_epoch(alarm):
    loader = DataLoader(wd.Numbers(hang=4), batch_size=1, num_workers=2)
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    alarm(0.1)
    with pytest.raises(Alarm):
        next(iterator)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"ended by a Alarm in the main process: it is time"):
            next(iterator)
    assert loader.state_dict()["batches_yielded"] == 4


@pytest.mark.slow
def test_no_batch_is_lost_silently_whenever_a_signal_comes(alarm):
    """Resumed from the state after each exception, an epoch gives every batch in its order."""
    loader = DataLoader(wd.Numbers(3000), batch_size=10, num_workers=2, collate_fn=wd.as_list)
    taken, interruptions = [], 0
    while len(taken) < 300:
        iterator = iter(loader)
        try:
            alarm(0.1)
            for batch in iterator:
                alarm(0)
                taken.append(batch[0])
                alarm(0.0002)
            alarm(0)
        except (Alarm, RuntimeError):
            alarm(0)
            interruptions += 1
            if interruptions > 15:
                alarm = lambda seconds: None  # noqa: E731
            loader.load_state_dict(loader.state_dict())
    assert interruptions > 3
    assert taken == list(range(0, 3000, 10))


def test_a_stream_without_order_cannot_be_resumed_and_says_so():
    options = {"batch_size": 2, "num_workers": 2, "in_order": False}
    loader = DataLoader(wd.Shards(20), **options)
    next(iter(loader))
    resumed = DataLoader(wd.Shards(20), **options)
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match=r"cannot resume an iterable.*in_order=False"):
        iter(resumed)


def test_a_thread_that_a_sample_has_left_does_not_hold_up_the_end():
    iterator = begun(wd.Lingering(), [(i, [i]) for i in range(3)])
    begin = time.monotonic()
    assert list(iterator) == [[0], [1], [2]]
    assert time.monotonic() - begin < 4
    assert iterator._workers[0].exitcode == 0


def test_a_worker_stopped_amid_a_long_answer_does_not_hold_up_the_timeout():
    """The complaint is 10 MB long, and passes through a pipe in small pieces."""
    iterator = begun(wd.Verbose(3), [(0, [0]), (1, [1]), (2, [2])], timeout=1)
    with pytest.raises(ValueError, match="0 is no good: a") as caught:
        next(iterator)
    assert len(str(caught.value)) > 10_000_000
    time.sleep(0.2)  # the worker is in the next one now, and the pipe is full
    os.kill(iterator._workers[0].pid, signal.SIGSTOP)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        next(iterator)
    assert time.monotonic() - begin < 10
