"""Staging: what arrives on the device, what it costs, and in which order streams wait."""

import inspect
import warnings
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.backend import StagedArray
from tinytrain.data import pad_collate
from tinytrain.data.pinned import Staging, StagingRing
from tinytrain.testing import mock
from tinytrain.testing.mock import streams

Point = namedtuple("Point", ["x", "y"])


@pytest.fixture
def on_mock():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


def staging():
    return Staging(True).begin_epoch()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4)),
        np.arange(12, dtype=np.int16)[::2],
        np.array([True, False, True]),
        np.array(3, dtype=np.int32),
        np.zeros((0, 5), dtype=np.float32),
        np.arange(3, dtype=np.float16),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_arrives_as_it_is(on_mock, array):
    staged = staging()([array, np.full(1000, 7, np.uint8)])[0]
    arrived = tt.to_device(staged)
    assert arrived.device == "mock"
    assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(arrived.numpy(), array)
    np.testing.assert_array_equal(np.asarray(staged), array)


def test_a_batch_costs_one_copy_and_no_wait(on_mock):
    stage = staging()
    batches = [(np.full((4, 3), k, np.float32), np.arange(k, k + 4)) for k in range(6)]
    with mock.record() as ledger, mock.forbid_sync():
        arrived = [tt.to_device(stage(batch)) for batch in batches]
    assert ledger.copies_to_device == len(batches)
    assert (ledger.copies_to_host, ledger.launch_count, ledger.waits.total()) == (0, 0, 0)
    for batch, tensors in zip(batches, arrived, strict=True):  # kept ones are not written over
        for array, tensor in zip(batch, tensors, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)


def test_to_device_twice_gives_the_same_memory(on_mock):
    staged = staging()(np.arange(3))
    assert tt.to_device(staged).data is tt.to_device(staged).data


def test_the_range_of_ids_is_known_without_asking_the_gpu(on_mock):
    table = tt.nn.Embedding(5, 2)
    good, bad = staging()((np.array([0, 4]), np.array([0, 7])))
    with mock.forbid_sync():
        table(tt.to_device(good))
        with pytest.raises(IndexError, match="embedding id 7"):
            table(tt.to_device(bad))


def test_batches_that_grow_and_shrink(on_mock):
    stage = staging()
    for size in (3, 700, 5, 70_000, 1, 0, 70_001):
        array = np.arange(size, dtype=np.float32)
        np.testing.assert_array_equal(tt.to_device(stage(array)).numpy(), array)


def test_containers_keep_their_types(on_mock):
    array = np.arange(3)
    batch = OrderedDict(
        point=Point(array, [array, "text"]), packed=pad_collate([array]), pair=(1, array)
    )
    staged = staging()(batch)
    assert type(staged) is OrderedDict
    assert list(staged) == list(batch)
    assert type(staged["point"]) is Point
    assert type(staged["point"].x) is StagedArray
    assert staged["point"].y[1] == "text"
    assert type(staged["packed"].input_ids) is StagedArray
    assert staged["packed"].num_supervised == 2
    assert type(staged["pair"]) is tuple
    assert type(batch["pair"][1]) is np.ndarray  # the batch itself is not changed


def test_what_cannot_travel_stays(on_mock):
    batch = [np.array(["a"]), np.zeros(2), np.float32(3), None, np.arange(2).astype(">i4")]
    with mock.record() as ledger:
        staged = staging()(batch)
    assert all(new is old for new, old in zip(staged, batch, strict=True))
    assert ledger.copies_to_device == 0
    with pytest.raises(TypeError, match="float64"):
        tt.to_device(staged[1])


def test_an_object_that_pins_itself_is_asked(on_mock):
    class Own:
        def pin_memory(self):
            return "pinned"

    assert staging()({"own": Own()}) == {"own": "pinned"}


def test_writing_into_a_staged_array_is_an_error_and_not_a_loss(on_mock):
    staged = staging()(np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        staged += 1
    changed = staged.copy()
    changed += 1
    assert tt.to_device(changed).tolist() == [1, 2, 3]
    assert tt.to_device(staged + 1).tolist() == [1, 2, 3]
    assert tt.to_device(staged[1:]).tolist() == [1, 2]


def test_staged_for_one_device_used_on_another(on_mock):
    staged = staging()(np.arange(3))
    tt.set_device("cpu")
    tensor = tt.to_device(staged)
    assert type(tensor.data) is np.ndarray
    assert tensor.tolist() == [0, 1, 2]


# ---------------------------------------------------------------- on the CPU


def test_on_the_cpu_it_says_so_once():
    pinning = Staging(True)
    with pytest.warns(UserWarning, match="no accelerator is found, then device pinned memory") as w:
        assert pinning.begin_epoch() is None
    assert "tt.set_device('cuda')" in str(w[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pinning.begin_epoch() is None
        assert Staging(False, "cuda").begin_epoch() is None


def test_a_named_device_is_deprecated_as_in_pytorch(on_mock):
    with pytest.warns(UserWarning, match="ignore pin_memory_device='cuda'"):
        Staging(True, "cuda").begin_epoch()


def test_the_device_may_be_chosen_between_epochs():
    pinning = Staging(True)
    with pytest.warns(UserWarning, match="pinned"):
        pinning.begin_epoch()
    tt.set_device("mock")
    first = pinning.begin_epoch()
    assert type(first(np.arange(2))) is StagedArray
    assert pinning.begin_epoch() == first  # one ring, all epochs long
    tt.set_device("cpu")
    assert pinning.begin_epoch() is None


# ---------------------------------------------------------------- streams and events


def test_without_the_wait_for_the_copy_the_mock_shows_it(on_mock, monkeypatch):
    monkeypatch.setattr(streams.Stream, "wait_event", lambda self, event: None)
    staged = staging()(np.arange(3, dtype=np.float32))
    assert np.isnan(tt.to_device(staged).numpy()).all()


def test_without_claiming_a_buffer_the_mock_shows_it(on_mock, monkeypatch):
    monkeypatch.setattr(streams.Event, "done", True)
    ring = StagingRing(mock, slots=1)
    waits = [lambda self, event: None, streams.Stream.wait_event]
    arrived = []
    for value, wait in zip((1, 2), waits, strict=True):
        monkeypatch.setattr(streams.Stream, "wait_event", wait)
        arrived.append(tt.to_device(ring.stage(np.full(3, value, np.int32))))
    assert arrived[0].tolist() == [2, 2, 2]  # the first batch, written over before it was copied


class Recorder:
    """A library that computes with NumPy and writes down what streams and events are told."""

    ndarray = np.ndarray

    def __init__(self):
        self.log = []
        self.names = iter(("copied 0", "copied 1", "free"))  # in the order they are made
        self.compute = self._stream("compute")
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking: self._stream("side"),
            Event=self._event,
            get_current_stream=lambda: self.compute,
            alloc_pinned_memory=bytearray,
        )

    def _stream(self, name):
        def wait_event(event):
            self.log.append(f"{name} waits for {event.name}")

        return SimpleNamespace(name=name, wait_event=wait_event)

    def _event(self, disable_timing):
        event = SimpleNamespace(done=False, name=next(self.names))
        event.record = lambda stream: self.log.append(f"{event.name} in {stream.name}")
        event.synchronize = lambda: self.log.append(f"host waits for {event.name}")
        return event

    def empty(self, size, dtype):
        recorder = self

        class DeviceBytes(np.ndarray):
            def set(self, host, stream):
                recorder.log.append(f"copy in {stream.name}")
                self[...] = host

        return np.zeros(size, dtype).view(DeviceBytes)


def test_the_order_of_events():
    recorder = Recorder()
    ring = StagingRing(recorder, slots=2)
    logs = []
    for _ in range(3):
        recorder.log.clear()
        ring.stage(np.arange(4))
        logs.append(list(recorder.log))
    assert logs[1] == [
        "host waits for copied 1",
        "side waits for free",
        "copy in side",
        "copied 1 in side",
        "compute waits for copied 1",
        "free in compute",
    ]
    assert logs[0][0] == "free in compute"  # the first batch has to allocate
    assert logs[2] == [line.replace("copied 1", "copied 0") for line in logs[1]]


def test_cupy_has_what_staging_calls():
    cupy = pytest.importorskip("cupy")
    assert "non_blocking" in inspect.signature(cupy.cuda.Stream).parameters
    assert "disable_timing" in inspect.signature(cupy.cuda.Event).parameters
    assert hasattr(cupy.cuda.Event, "done")
    assert list(inspect.signature(cupy.cuda.Stream.wait_event).parameters) == ["self", "event"]
    assert list(inspect.signature(cupy.cuda.Event.record).parameters) == ["self", "stream"]
    assert callable(cupy.cuda.alloc_pinned_memory)
    assert "set(self, arr, stream=None)" in cupy.ndarray.set.__doc__
