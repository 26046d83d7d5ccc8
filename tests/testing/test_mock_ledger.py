"""What the mock GPU counts: copies, waits and launches, and who asked for them."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import backend
from tinytrain.nn import functional as F
from tinytrain.testing import mock
from tinytrain.testing.mock.report import step_report


@pytest.fixture(autouse=True)
def _on_the_mock():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


def floats(*shape):
    return tt.ones(*shape)


def test_a_copy_to_the_device_is_counted_with_its_bytes():
    with mock.record() as ledger:
        tt.from_numpy(np.zeros((3, 4), dtype=np.float32))
        tt.tensor([1, 2])
    assert (ledger.copies_to_device, ledger.bytes_to_device) == (2, 48 + 16)
    assert (ledger.copies_to_host, ledger.launch_count, ledger.waits.total()) == (0, 0, 0)


def test_reading_on_purpose_is_a_copy_and_a_wait():
    x = floats(5)
    with mock.record() as ledger, mock.forbid_sync():
        x.numpy()
        x.cpu()
        tt.synchronize()
    assert (ledger.copies_to_host, ledger.bytes_to_host) == (2, 40)
    assert ledger.waits.total() == 3
    assert not ledger.implicit_waits


SYNCHRONIZING = {
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "bool": lambda x: bool(x.sum() > 0),
    "complex": lambda x: complex(x.sum()),
    "branch": lambda x: 1 if x.sum() > 0 else 2,
    "python's max": lambda x: max(x.sum(), 1),
    "format": lambda x: f"{x.sum():.3f}",
    "print": lambda x: str(x),
    "repr": lambda x: repr(x),
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "mask": lambda x: x[x > 0],
    "mask assignment": lambda x: x.__setitem__(x > 0, 0.0),
    "nonzero": lambda x: mock.nonzero(x),
    "nonzero method": lambda x: x.nonzero(),
    "where of one": lambda x: mock.where(x),
    "unique": lambda x: mock.unique(x),
    "containment": lambda x: 1.0 in x,
    "bytes": lambda x: x.tobytes(),
    "text": lambda x: mock.array_str(x),
    "average": lambda x: mock.average(x),
    "compress": lambda x: x.compress(x > 0),
    "True as an index": lambda x: x[True],
    "a mask in add.at": lambda x: mock.add.at(x, x > 0, 1.0),
    "sizes on the device": lambda x: mock.repeat(x, mock.ones(3, dtype="int64")),
}
COPYING = {
    "list index": lambda x: x[[0, 1]],
    "host index": lambda x: x[np.array([0, 1])],
    "list assignment": lambda x: x.__setitem__([0, 1], 0.0),
    "take": lambda x: x.take([0, 1]),
    "take function": lambda x: mock.take(x, [0, 1]),
}


@pytest.mark.parametrize("act", SYNCHRONIZING.values(), ids=SYNCHRONIZING)
def test_implicit_waits_are_counted_and_can_be_forbidden(act):
    x = floats(3).data
    with mock.record() as ledger:
        act(x)
    assert ledger.implicit_waits.total() >= 1
    with mock.forbid_sync(), pytest.raises(mock.ImplicitSynchronization, match="wait for the GPU"):
        act(x)
    act(x)  # after the block it is allowed again


@pytest.mark.parametrize("act", COPYING.values(), ids=COPYING)
def test_implicit_copies_are_counted_and_can_be_forbidden(act):
    x = floats(3).data
    with mock.record() as ledger:
        act(x)
    assert (ledger.copies_to_device, ledger.bytes_to_device) == (1, 16)
    with mock.forbid_sync(), pytest.raises(mock.ImplicitSynchronization, match="copies host"):
        act(x)


def test_a_refused_wait_reads_nothing():
    x = floats(3).data
    with mock.record() as ledger, mock.forbid_sync():
        with pytest.raises(mock.ImplicitSynchronization):
            x.tolist()
        assert ledger.copies_to_host == 0


def test_forbidding_can_be_lifted_inside():
    x = floats(3)
    with mock.forbid_sync():
        with mock.forbid_sync(False):
            assert x.sum().item() == 3.0
        with pytest.raises(mock.ImplicitSynchronization):
            x.sum().item()


# ---------------------------------------------------------------- launches


VIEWS = {
    "reshape": lambda x: x.reshape(3, 2),
    "transpose": lambda x: x.T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "slice": lambda x: x[:, 1:],
    "element": lambda x: x[0, 1],
    "new axis": lambda x: x[:, None],
    "broadcast": lambda x: mock.broadcast_to(x, (4, 2, 3)),
    "expand_dims": lambda x: mock.expand_dims(x, 0),
    "moveaxis": lambda x: mock.moveaxis(x, 0, 1),
    "astype of the same": lambda x: x.astype("float32", copy=False),
    "contiguous already": lambda x: mock.ascontiguousarray(x),
    "empty": lambda x: mock.empty((2, 3), dtype="float32"),
    "empty_like": lambda x: mock.empty_like(x),
}
KERNELS = {
    "add": lambda x: x + 1,
    "in place": lambda x: x.__iadd__(x),
    "out": lambda x: mock.add(x, x, out=x),
    "sum": lambda x: x.sum(),
    "copy": lambda x: x.copy(),
    "reshape that copies": lambda x: x.T.reshape(6),
    "contiguous copy": lambda x: mock.ascontiguousarray(x.T),
    "cast": lambda x: x.astype("int64"),
    "zeros": lambda x: mock.zeros(3, dtype="float32"),
    "gather": lambda x: mock.take(x, mock.arange(2), axis=0),
    "assignment": lambda x: x.__setitem__(Ellipsis, 0.0),
    "fill": lambda x: x.fill(1.0),
    "matmul": lambda x: x @ mock.ones((3, 2), dtype="float32"),
    "add.at": lambda x: mock.add.at(x, mock.arange(2), 1.0),
    "out by position": lambda x: mock.exp(x, x),
    "out of a method by position": lambda x: x.clip(0, 1, x),
    "sort": lambda x: x.sort(),
    "copyto": lambda x: mock.copyto(x, x),
}


@pytest.mark.parametrize("act", VIEWS.values(), ids=VIEWS)
def test_views_launch_nothing(act):
    x = floats(2, 3).data
    with mock.record() as ledger:
        act(x)
    assert ledger.launch_count == 0


@pytest.mark.parametrize("act", KERNELS.values(), ids=KERNELS)
def test_work_launches(act):
    x = floats(2, 3).data
    with mock.record() as ledger:
        act(x)
    made = ("arange", "ones")  # what the case itself needs
    launches = [kernel for _, kernel in ledger.launches.elements() if kernel not in made]
    assert len(launches) == 1, ledger.launches


def test_a_batched_product_copies_strided_operands_first():
    x = floats(2, 3, 4).data
    with mock.record() as ledger:
        mock.matmul(x, x.swapaxes(-1, -2))
    kernels = sorted(kernel for _, kernel in ledger.launches.elements())
    assert kernels == ["matmul", "matmul: copy of a strided operand"]


def test_launches_are_booked_on_the_operation():
    x = tt.ones(2, 3, requires_grad=True)
    weight = tt.ones(4, 3, requires_grad=True)
    with mock.record() as ledger:
        F.linear(x, weight).sum().backward()
    found = ledger.launches_by_operation()
    assert set(found) >= {"Linear.forward", "Linear.backward", "Sum.forward"}
    assert ledger.launches["Linear.backward", "matmul"] == 2
    assert found.total() == ledger.launch_count


def test_launches_of_layers_without_an_operation_carry_their_function():
    weight = tt.ones(3, requires_grad=True)
    optimizer = tt.optim.SGD([weight], lr=0.1)
    (weight * 2).sum().backward()
    with mock.record() as ledger:
        tt.nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
    assert set(ledger.launches_by_operation()) >= {"SGD.update"}
    with mock.record() as ledger:
        backend.xp_of(weight.data).ones(2, dtype="float32")
    assert set(ledger.launches_by_operation()) == {"outside tinytrain"}


def test_ledgers_nest_and_close_when_the_block_raises():
    x = floats(2).data
    with mock.record() as outer:
        with pytest.raises(ZeroDivisionError), mock.record() as inner:
            _ = (x + 1, 1 / 0)
        x + 2
    assert (inner.launch_count, outer.launch_count) == (1, 2)
    x + 3
    assert outer.launch_count == 2


# ---------------------------------------------------------------- the report


def test_the_report_averages_over_the_steps_but_the_first():
    ledgers = []
    x = floats(2).data
    for count in (50, 1, 3):
        with mock.record() as ledger:
            for _ in range(count):
                x + 1
        ledgers.append(ledger)
    report = step_report(ledgers)
    assert "(2 steps counted, the first left out)" in report
    line = next(line for line in report.splitlines() if "kernel launches" in line)
    assert line.split() == ["kernel", "launches", "2", "0.022", "ms"]


def test_the_report_names_reasons_and_costs():
    with mock.record() as ledger:
        tt.from_numpy(np.zeros(12_000_000 // 4, dtype=np.float32))
        float(floats(1).data[0])
    report = step_report([ledger])
    wanted = lambda line: "waits nobody asked for" in line  # noqa: E731
    words = {" ".join(line.split()) for line in report.splitlines()}
    assert "copies to the GPU 1 12 MB 1.011 ms" in words
    assert "waits nobody asked for 1 0.020 ms" in words
    lines = report.splitlines()
    assert "because of float(x): 1" in lines[lines.index(next(filter(wanted, lines))) + 1]
    assert "pull request 3298" in report  # every figure says where it comes from


def test_a_report_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        step_report([])
