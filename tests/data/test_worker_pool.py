"""Worker processes: what they fetch, in which order, what they are, and how errors return."""

import gc
import multiprocessing
import os
import random
import sys
import threading
import time

import numpy as np
import pytest

from tests import worker_datasets as wd
from tinytrain.data.workers import (
    WorkerInfo,
    WorkerIterator,
    WorkerPool,
    WorkerSettings,
    get_worker_info,
)
from tinytrain.data.workers.context import choose_context
from tinytrain.generator import default_generator


def make_pool(dataset, collate_fn=wd.as_list, num_workers=2, base_seed=42, **settings):
    return WorkerPool(
        WorkerSettings(
            dataset=dataset,
            collate_fn=collate_fn,
            auto_collation=True,
            num_workers=num_workers,
            **settings,
        ),
        base_seed,
    )


def pairs(n):
    """Batches of two indices below n, as tasks."""
    return list(enumerate([[i, i + 1] for i in range(0, n, 2)]))


def epoch(pool, tasks=None, seed=0, number=0, keep_pool=False, **options):
    return WorkerIterator(pool, tasks, seed=seed, epoch=number, keep_pool=keep_pool, **options)


def all_of(dataset, tasks=None, num_workers=2, **settings):
    return list(epoch(make_pool(dataset, num_workers=num_workers, **settings), tasks))


@pytest.fixture(scope="module")
def persistent():
    """One pool for the tests that do not end it: a start costs more than most tests."""
    pool = make_pool(wd.State(), worker_init_fn=None)
    yield pool
    pool.close()


# What is fetched.


@pytest.mark.parametrize("num_workers", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_batches_come_in_the_order_of_their_tasks(num_workers):
    iterator = epoch(make_pool(wd.Rows(11), wd.stacked, num_workers), pairs(10))
    rows = wd.Rows(11).rows
    numbers = []
    for batch in iterator:
        first = 2 * iterator.number
        assert batch["numbers"].tolist() == [first, first + 1]
        np.testing.assert_array_equal(batch["rows"], rows[first : first + 2])
        batch["rows"] += 1
        numbers.append(iterator.number)
    assert numbers == [0, 1, 2, 3, 4]
    assert all(process.exitcode == 0 for process in iterator._workers)


def test_the_numbers_of_a_sample_do_not_depend_on_the_workers():
    tasks = list(enumerate([[i, i + 1, i + 2] for i in range(0, 24, 3)]))
    runs = [np.array(all_of(wd.Augmented(), tasks, n)).reshape(24, 4) for n in (1, 3)]
    np.testing.assert_array_equal(*runs)
    assert len(np.unique(runs[0])) == runs[0].size


def test_any_batch_comes_through_a_worker():
    (batch,) = all_of(wd.Many(), [(0, [0])], num_workers=1)
    for name, value in wd.odd_batch().items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(batch[0][name], value)
            assert batch[0][name].flags.writeable
    assert batch[0]["error"] is wd.OwnError


def test_batches_of_very_different_sizes_in_turn():
    sizes = [0, 1, 3_000_000, 5, 100_000, 2, 0, 700_000, 9]
    batches = all_of(wd.Shapes(), [(i, [size]) for i, size in enumerate(sizes)])
    assert [len(batch[0]) for batch in batches] == sizes
    assert all((batch[0] == len(batch[0]) % 251).all() for batch in batches)


@pytest.mark.slow
def test_a_batch_of_hundred_megabytes():
    batches = all_of(wd.Shapes(), [(i, [10**8]) for i in range(4)])
    assert all((batch[0] == 10**8 % 251).all() for batch in batches)


@pytest.mark.slow
def test_thousands_of_small_batches():
    assert len(all_of(wd.Rows(20_000), pairs(20_000))) == 10_000


# Which worker does what, and when.


def test_never_more_tasks_out_than_agreed():
    pool = make_pool(wd.Rows(100), prefetch_factor=3)
    taken = []
    tasks = (taken.append(task) or task for task in pairs(60))
    iterator = epoch(pool, tasks)
    assert len(taken) == 6
    for handed_out, _ in enumerate(iterator, start=1):
        under_way = len(taken) - handed_out
        assert under_way <= 6
        assert all(len(worker.in_flight) <= 3 for worker in pool._workers)
        assert under_way == min(6, 30 - handed_out)


def test_batches_as_they_come():
    """Worker 0 naps over its first batch and has one more to do."""
    batches = all_of(
        wd.Numbers(nap=0), [(i, [i]) for i in range(8)], in_order=False, prefetch_factor=2
    )
    assert batches == [[1], [3], [4], [5], [6], [7], [None], [2]]


def test_workers_persist_and_keep_their_state(persistent):
    first = [state for batch in epoch(persistent, pairs(8), keep_pool=True) for state in batch]
    again = [state for batch in epoch(persistent, pairs(8), keep_pool=True) for state in batch]
    assert [state["pid"] for state in first] == [state["pid"] for state in again]
    assert [s["calls"] for s in again] == [s["calls"] + 4 for s in first]
    assert [state["id"] for state in again] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_an_epoch_can_be_left_in_the_middle(persistent):
    old = epoch(persistent, pairs(100), keep_pool=True)
    next(old)
    new = epoch(persistent, pairs(12), keep_pool=True)
    assert len(list(new)) == 6
    with pytest.raises(RuntimeError, match="newer epoch"):
        next(old)


# What a worker is.


def test_a_worker_knows_itself_and_its_random_numbers_start_as_in_pytorch():
    pool = make_pool(wd.State())
    for batch in epoch(pool, [(0, [0]), (1, [1])], keep_pool=True):
        state = batch[0]
        worker = state["id"]
        assert state["own_dataset"]
        assert state["num_workers"] == 2
        assert state["pid"] == pool.processes[worker].pid
        assert state["seed"] == state["initial_seed"] == 42 + worker
        assert state["python"] == random.Random(42 + worker).random()
        words = np.random.SeedSequence([worker, 42, 0, 0]).generate_state(4)
        assert state["numpy"] == np.random.RandomState(words).random_sample()
    pool.close()
    assert get_worker_info() is None


def test_what_a_worker_knows_cannot_be_changed():
    info = WorkerInfo(id=1, num_workers=2, seed=3, dataset=None)
    for change in (lambda: setattr(info, "id", 5), lambda: setattr(info, "new", 5)):
        with pytest.raises(RuntimeError, match="Cannot assign attributes to WorkerInfo objects"):
            change()
    with pytest.raises(AttributeError):
        del info.id
    assert repr(info) == "WorkerInfo(id=1, num_workers=2, seed=3, dataset=None)"


def test_a_method_of_the_data_set_starts_the_workers():
    dataset = wd.State()
    batches = all_of(dataset, [(i, [i]) for i in range(4)], worker_init_fn=dataset.mark)
    assert [batch[0]["marked"] for batch in batches] == [0, 1, 0, 1]
    assert not hasattr(dataset, "marked")


def test_nothing_random_moves_in_the_main_process():
    before = random.getstate(), np.random.get_state()[1].tolist(), default_generator().get_state()
    all_of(wd.Augmented(), pairs(4))
    after = random.getstate(), np.random.get_state()[1].tolist(), default_generator().get_state()
    assert before == after


@pytest.mark.parametrize("held", [np.random.default_rng(0), np.random.RandomState(0)])
def test_a_data_set_with_a_generator_is_warned_about(held):
    with pytest.warns(UserWarning, match=r"Holder holds a random generator \(held\).*sample_rng"):
        make_pool(wd.Holder(held), num_workers=1).close()


# Errors.


def test_an_epoch_goes_on_after_errors():
    deeds = {
        "own": 1,
        "key": 3,
        "local": 4,
        "returns_lambda": 6,
        "demanding": 7,
        "system_exit": 9,
        "stop": 10,
    }
    iterator = epoch(make_pool(wd.Numbers(**deeds)), [(i, [i]) for i in range(12)])
    good, errors = [], {}
    for number in range(12):
        try:
            good += next(iterator)
        except (RuntimeError, ValueError, KeyError) as error:
            errors[number] = error
    with pytest.raises(StopIteration):
        next(iterator)
    assert good == [0, 2, 5, 8, 11]
    assert {number: type(error) for number, error in errors.items()} == {
        1: wd.OwnError,
        3: KeyError,
        4: RuntimeError,
        6: RuntimeError,
        7: RuntimeError,
        9: RuntimeError,
        10: RuntimeError,
    }
    assert str(errors[1]).startswith("Caught OwnError in DataLoader worker process 1.\nOriginal")
    assert "cannot send batch 6 (indices [6])" in str(errors[6])
    assert "batch[0] is a function" in str(errors[6])


def test_an_error_in_worker_init_fn_is_raised():
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0"):
        all_of(wd.Rows(4), pairs(4), worker_init_fn=wd.failing_init)


def test_an_error_of_the_sampler_comes_after_the_batches_before_it():
    def tasks():
        yield from pairs(6)
        raise wd.OwnError("no more")

    pool = make_pool(wd.Numbers())
    iterator = epoch(pool, tasks())
    assert [next(iterator) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(wd.OwnError, match="no more"):
        next(iterator)
    assert list(iterator) == []
    assert pool.closed


# Iterable data sets.


def stream(dataset, batch_size=2, drop_last=False, skip=0, **settings):
    pool = make_pool(dataset, iterable=True, batch_size=batch_size, drop_last=drop_last, **settings)
    return list(epoch(pool, skip=skip))


def test_every_worker_reads_its_copy_of_a_plain_stream():
    batches = stream(wd.Stream(5))
    assert batches == [[0, 1], [0, 1], [2, 3], [2, 3], [4], [4]]


def test_a_worker_without_more_samples_is_passed_over():
    assert stream(wd.Share([0, 3, 7]), num_workers=3) == [[1, 1], [2, 2], [1], [2, 2], [2, 2], [2]]


def test_skipped_batches_are_read_but_not_handed_out():
    assert stream(wd.Share([3, 7]), skip=3) == stream(wd.Share([3, 7]))[3:]


def test_an_error_in_iter_is_raised_once():
    iterator = epoch(make_pool(wd.BrokenStream(), num_workers=1, iterable=True, batch_size=1))
    with pytest.raises(wd.OwnError, match="not today"):
        next(iterator)
    assert list(iterator) == []


# What cannot be sent.


def local_dataset():
    class Local(wd.Rows):
        pass

    return Local(8)


def test_a_local_class_is_an_error_in_a_program_with_another_thread():
    """Even if it is seen waiting: the next moment it may compute."""
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait, name="waiter")
    thread.start()
    try:
        with pytest.raises(
            Exception, match=r"cannot send dataset \(a .*Local\).*top.*\"fork\".*threads.*waiter"
        ):
            make_pool(local_dataset())
    finally:
        waiting.set()
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_a_local_class_forks_the_workers_where_nothing_speaks_against_it(monkeypatch):
    monkeypatch.setattr("tinytrain.data.workers.context.other_threads", lambda: [])
    monkeypatch.setattr("tinytrain.data.workers.context.foreign_threads", lambda: False)
    pool = make_pool(local_dataset())
    assert type(pool.processes[0]).__name__ == "ForkProcess"
    assert len(list(epoch(pool, pairs(8)))) == 4


def test_a_lambda_is_named_where_a_start_method_was_asked_for():
    with pytest.raises(Exception, match=r"cannot send worker_init_fn .*'spawn'.*lambda"):
        make_pool(wd.Rows(4), worker_init_fn=lambda worker: None, multiprocessing_context="spawn")
    with pytest.raises(Exception, match=r"cannot send dataset\.held\['x'\] \(a lock\)"):
        make_pool(wd.Holder({"x": threading.Lock()}), multiprocessing_context="forkserver")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_every_start_method_gives_the_same(method):
    batches = all_of(wd.Rows(10), pairs(10), multiprocessing_context=method)
    assert [row[1] for batch in batches for row in batch] == list(range(10))


class Unpicklable(int):
    def __reduce__(self):
        raise TypeError("not this index")


def test_an_index_that_cannot_be_sent_is_an_error_and_no_hang():
    iterator = epoch(
        make_pool(wd.Numbers(), prefetch_factor=1),
        [
            (0, [0]),
            (1, [1]),
            (2, [Unpicklable()]),
            (3, [3]),
        ],
    )
    assert [next(iterator), next(iterator)] == [[0], [1]]
    with pytest.raises(TypeError, match="not this index"):
        next(iterator)
    assert list(iterator) == [[3]]


# Systems without memfd_create.


def test_named_segments_carry_batches_and_leave_no_name(monkeypatch):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("needs /dev/shm")
    monkeypatch.delattr(os, "memfd_create", raising=False)
    before = wd.shared_names()
    sizes = [3, 1000, 0, 5, 100_000, 7, 7, 300_000]
    iterator = epoch(make_pool(wd.Shapes()), [(i, [size]) for i, size in enumerate(sizes)])
    assert [len(batch[0]) for batch in iterator] == sizes
    iterator = epoch(make_pool(wd.Rows(40), wd.stacked), pairs(40))
    assert next(iterator)["numbers"].tolist() == [0, 1]
    iterator.close()
    assert wd.shared_names() == before


# How workers are started.


def test_the_choice_of_a_context(monkeypatch):
    def chosen(context=None, method=None):
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
        return choose_context(context).get_start_method()

    fresh = "forkserver" if sys.platform == "linux" else "spawn"
    assert chosen() == chosen(method="fork") == fresh
    assert chosen(method="spawn") == chosen("spawn") == "spawn"
    context = multiprocessing.get_context("spawn")
    assert choose_context(context) is context


def test_the_settings_of_the_fork_server_are_left_as_they_were(persistent):
    from multiprocessing import forkserver

    assert forkserver._forkserver._preload_modules == ["__main__"]


def test_a_worker_uses_one_blas_thread():
    (batch,) = all_of(wd.BlasThreads(), [(0, [0])], num_workers=1)
    if batch[0] is None:
        pytest.skip("no BLAS library that tells its number of threads")
    assert batch == [1]


# Nothing is left behind.


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_process_descriptor_or_name_is_left(persistent):
    """Whether an epoch is finished, left, or given up by an error. (The fixture: a warm server.)"""
    gc.collect()
    names, before = wd.shared_names(), descriptors()
    processes = []

    def used(dataset, take):
        iterator = epoch(make_pool(dataset), pairs(20))
        processes.extend(iterator._workers)
        for _ in range(take):
            next(iterator)

    used(wd.Rows(20), 10)
    used(wd.Rows(20), 1)
    with pytest.raises(wd.OwnError):
        used(wd.Numbers(own=3), 10)
    gc.collect()
    assert not any(process.is_alive() for process in processes)
    processes.clear()
    gc.collect()
    assert descriptors() == before
    assert wd.shared_names() == names


def test_a_forgotten_iterator_stops_its_workers_at_once():
    iterator = epoch(make_pool(wd.Rows(100)), pairs(100))
    next(iterator)
    processes = list(iterator._workers)
    begin = time.monotonic()
    del iterator
    assert time.monotonic() - begin < 2
    assert [process.exitcode for process in processes] == [0, 0]
