"""The mock GPU's streams: work beside the computation is put off until somebody waits for it."""

import inspect

import numpy as np
import pytest

from tinytrain.testing import mock
from tinytrain.testing.mock import streams

ONES = np.ones(3, np.float32)


def queued_copy():
    side, event = mock.cuda.Stream(non_blocking=True), mock.cuda.Event()
    target = mock.zeros(3, dtype="float32")
    target.set(ONES, stream=side)
    event.record(side)
    return side, event, target


def test_work_of_another_stream_is_put_off():
    _, event, target = queued_copy()
    assert not event.done
    assert np.isnan(target.get()).all()  # it has not arrived


WAITING = {
    "a stream waits for the event": lambda side, event: mock.cuda.get_current_stream().wait_event(
        event
    ),
    "the host waits for the event": lambda side, event: event.synchronize(),
    "the host waits for the stream": lambda side, event: side.synchronize(),
}


@pytest.mark.parametrize("wait", WAITING)
def test_waiting_brings_it_about(wait):
    side, event, target = queued_copy()
    with mock.record() as ledger:
        WAITING[wait](side, event)
    assert event.done
    np.testing.assert_array_equal(target.get(), ONES)
    assert ledger.waits.total() == wait.startswith("the host")


def test_an_event_stands_for_what_was_queued_before_it():
    side, event, target = queued_copy()
    target.set(2 * ONES, stream=side)
    event.synchronize()
    np.testing.assert_array_equal(target.get(), ONES)
    event.record(side)
    event.synchronize()
    np.testing.assert_array_equal(target.get(), 2 * ONES)


def test_a_stream_that_waits_passes_the_wait_on():
    _, event, target = queued_copy()
    other = mock.cuda.Stream(non_blocking=True)
    other.wait_event(event)
    assert not event.done
    mock.cuda.get_current_stream().wait_event(other.record())
    np.testing.assert_array_equal(target.get(), ONES)


def test_an_event_that_was_never_recorded_has_happened():
    assert mock.cuda.Event().done
    event = mock.cuda.Event()
    event.record()
    assert event.done


def test_the_mock_offers_only_what_cupy_has():
    cupy = pytest.importorskip("cupy")
    for kind in (streams.Stream, streams.Event):
        theirs = getattr(cupy.cuda, kind.__name__)
        ours = inspect.signature(kind).parameters
        assert ours.keys() <= inspect.signature(theirs).parameters.keys()


def test_set_on_the_mock_is_as_strict_as_cupys():
    target = mock.zeros((2, 3), dtype="float32")
    with pytest.raises(TypeError, match="host array"):
        target.set(target)
    with pytest.raises(ValueError, match="float64"):
        target.set(np.zeros((2, 3)))
    with pytest.raises(RuntimeError, match="contiguous"):
        target.T.set(np.zeros((3, 2), np.float32))
    target.set(np.ones((2, 3), np.float32))
    assert target.get().sum() == 6
