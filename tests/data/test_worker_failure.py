"""Exceptions on their way from a worker: they arrive whatever they hold."""

import pickle

import pytest

from tests.worker_datasets import DEEDS, OwnError
from tinytrain.data.workers.failure import (
    failure_of,
    find_unpicklable,
    raise_failure,
    unsendable,
)


def arrived(deed):
    """Catch what a deed raises, send it, and return what is raised at the other end."""
    try:
        DEEDS[deed]()
    except BaseException as error:
        failure = pickle.loads(pickle.dumps(failure_of(error, worker=1)))
    with pytest.raises(Exception) as caught:
        raise_failure(failure)
    return caught.value


@pytest.mark.parametrize(
    ("deed", "kind", "original"),
    [
        ("own", OwnError, "OwnError"),
        ("key", KeyError, "KeyError"),
        ("unpicklable", ValueError, "ValueError"),
        ("demanding", RuntimeError, "DemandingError"),
        ("local", RuntimeError, "LocalError"),
        ("system_exit", RuntimeError, "SystemExit"),
        ("stop", RuntimeError, "StopIteration"),
    ],
)
def test_type_and_text_of_an_error_arrive(deed, kind, original):
    error = arrived(deed)
    assert type(error) is kind
    begin = f"Caught {original} in DataLoader worker process 1.\nOriginal Traceback (most recent"
    assert str(error).startswith(begin)
    assert "worker_datasets.py" in str(error)


def test_the_newlines_of_a_key_error_are_shown():
    assert str(arrived("key")).count("\n") > 3


def test_the_part_that_cannot_be_pickled_is_named():
    failure = unsendable(TypeError("no"), {"x": [1, (2, lambda: 0)]}, "batch 3", worker=1)
    with pytest.raises(RuntimeError, match=r"worker process 1 cannot send batch 3 .* batch\['x'\]"):
        raise_failure(failure)
    assert "batch['x'][1][1] is a function" in failure.text


def test_the_search_enters_objects_and_ends():
    error = OwnError()
    error.held = {"f": lambda: 0}
    path, culprit = find_unpicklable([error])
    assert path == "[0].held['f']"
    assert callable(culprit)
    endless = [lambda: 0]
    endless.append(endless)
    assert find_unpicklable(endless)[0] == "[0]"
