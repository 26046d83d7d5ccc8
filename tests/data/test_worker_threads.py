"""Threads that share an iterator: one at a time, and never a wait without end."""

import threading
import time

import pytest

from tests import worker_datasets as wd
from tinytrain.data import DataLoader


def in_thread(function, name):
    outcome = []

    def run():
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread, outcome


def test_a_second_thread_gets_an_error_and_the_first_goes_on():
    iterator = iter(
        DataLoader(wd.Numbers(6, hang=1), num_workers=1, collate_fn=wd.as_list, timeout=2)
    )
    assert next(iterator) == [0]
    first, outcome = in_thread(lambda: next(iterator), "the first")
    while iterator._source._pool._used_by != "the first":
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match=r"thread 'MainThread' asked .* thread 'the first' was"):
        next(iterator)
    first.join(10)
    assert "timed out" in str(outcome[0])  # its own end, not that of a broken connection


@pytest.mark.parametrize("persistent_workers", [False, True])
def test_many_threads_get_every_batch_once_or_an_error(persistent_workers):
    loader = DataLoader(range(300), num_workers=2, persistent_workers=persistent_workers)
    iterator = iter(loader)
    batches, errors = [], []

    def take():
        while True:
            try:
                batches.append(int(next(iterator)[0]))
            except StopIteration:
                return
            except RuntimeError as error:
                errors.append(str(error))
                time.sleep(0.001)

    threads = [in_thread(take, f"taker {number}")[0] for number in range(3)]
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(batches) == list(range(300))
    assert all("taker" in error for error in errors)
    if loader._pool is not None:
        loader._pool.close()


def test_another_thread_may_go_on_after_the_first():
    iterator = iter(DataLoader(range(4), num_workers=1))
    next(iterator)
    thread, outcome = in_thread(lambda: [batch.tolist() for batch in iterator], "the next")
    thread.join(10)
    assert outcome == [[[1], [2], [3]]]


def test_a_new_epoch_of_persistent_workers_waits_for_no_other_thread():
    options = {"num_workers": 1, "persistent_workers": True, "timeout": 2}
    loader = DataLoader(wd.Numbers(6, hang=1), collate_fn=wd.as_list, **options)
    iterator = iter(loader)
    next(iterator)
    first, outcome = in_thread(lambda: next(iterator), "the first")
    while loader._pool._used_by != "the first":
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match="thread 'the first' was waiting"):
        iter(loader)
    first.join(10)
    assert "timed out" in str(outcome[0])
