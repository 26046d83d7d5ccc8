"""Faults that work on the CPU and break on a GPU: the mock GPU or the device lint finds each."""

import inspect
import textwrap

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.autograd import Function
from tinytrain.backend import xp_of
from tinytrain.testing import mock
from tinytrain.testing.device_lint import check_source


class NumpyCall(Function):
    def forward(self, x):
        return np.exp(x)


class HostArray(Function):
    def forward(self, x):
        return x * np.arange(x.shape[-1], dtype=np.float32)


class MaskIndex(Function):
    def forward(self, x):
        z = x.copy()
        z[x < 0] = 0.0
        return z


class Item(Function):
    def forward(self, x):
        return x / x.max().item()


class Branch(Function):
    def forward(self, x):
        return -x if x.sum() < 0 else x


class WrongKeyword(Function):
    def forward(self, x):
        return x.max(axis=-1, initial=0.0)


class MissingFunction(Function):
    def forward(self, x):
        return xp_of(x).vecdot(x, x)


class ListIndex(Function):
    def forward(self, x):
        return x[[0, 1]]


class IdOutOfRange(Function):
    def forward(self, x):
        xp = xp_of(x)
        return xp.take(x, xp.arange(2, 5), axis=0)


class RepeatedAssignment(Function):
    def forward(self, x):
        xp = xp_of(x)
        z = xp.zeros_like(x)
        z[xp.arange(3) // 2] = 1.0
        return z


class NumpyScalar(Function):
    def forward(self, x):
        return x / np.sqrt(x.shape[-1])


class NoDtype(Function):
    def forward(self, x):
        return x + xp_of(x).zeros(x.shape)


class Formatted(Function):
    def forward(self, x):
        self.seen = f"{x.sum():.3f}"
        return x


class Converted(Function):
    def forward(self, x):
        return x * float(np.asarray(x).mean())


class Counted(Function):
    def forward(self, x):
        xp = xp_of(x)
        return x * len(xp.nonzero(x)[0])


FAULTS = [
    NumpyCall, HostArray, MaskIndex, Item, Branch, WrongKeyword, MissingFunction, ListIndex,
    IdOutOfRange, RepeatedAssignment, NumpyScalar, NoDtype, Formatted, Converted, Counted,
]  # fmt: skip

RIGHT_ON_THE_CPU = {Branch, Item, MaskIndex, NumpyCall, HostArray, ListIndex, Formatted, Converted}
RIGHT_ON_THE_CPU |= {NumpyScalar, NoDtype, Counted, RepeatedAssignment, WrongKeyword}


def values():
    return np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def _mock_device():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


@pytest.mark.parametrize("fault", sorted(RIGHT_ON_THE_CPU, key=lambda c: c.__name__))
def test_the_cpu_does_not_notice(fault):
    assert np.isfinite(fault()(values())).all()


@pytest.mark.usefixtures("_mock_device")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_mock_gpu_catches_it(fault):
    x = tt.from_numpy(values())
    with pytest.raises(Exception, match=r"\w") as caught, mock.forbid_sync():
        tt.apply(fault(), x)
    expected = (TypeError, AttributeError, IndexError, mock.ImplicitSynchronization)
    assert isinstance(caught.value, expected)
    assert any(f"in operation {fault.__name__}" in note for note in caught.value.__notes__)


SEEN_IN_THE_SOURCE = {
    NumpyCall, HostArray, Item, WrongKeyword, MissingFunction, NumpyScalar, Converted, Counted,
}  # fmt: skip


@pytest.mark.parametrize("fault", sorted(SEEN_IN_THE_SOURCE, key=lambda c: c.__name__))
def test_the_lint_sees_it_without_running_it(fault):
    source = textwrap.dedent(inspect.getsource(fault))
    assert check_source("import numpy as np\n" + source), source


def test_an_import_of_cupy_is_seen_in_the_source():
    assert check_source("import cupy\n")
    assert check_source("from cupy import exp\n")


class Right(Function):
    def forward(self, x):
        xp = xp_of(x)
        return xp.where(x < 0, x.dtype.type(0), x) / x.max(axis=-1, keepdims=True)


@pytest.mark.usefixtures("_mock_device")
def test_a_right_operation_passes_both():
    x = tt.from_numpy(values())
    with mock.forbid_sync():
        z = tt.apply(Right(), x)
    np.testing.assert_array_equal(z.numpy(), Right()(values()))
    assert not check_source("import numpy as np\n" + textwrap.dedent(inspect.getsource(Right)))


@pytest.mark.usefixtures("_mock_device")
def test_an_item_in_the_training_step_is_caught():
    model = tt.nn.Linear(4, 1)

    def loss_function(model, batch):
        loss = model(batch).sum()
        assert loss.item() > -1e9  # the fault: every step waits for the GPU
        return loss, len(batch)

    with mock.forbid_sync(), pytest.raises(mock.ImplicitSynchronization, match=r"x\.item\(\)"):
        tt.train.accumulate_gradients(model, loss_function, [values()])


@pytest.mark.usefixtures("_mock_device")
def test_an_id_out_of_range_is_named_before_it_crosses():
    table = tt.nn.Embedding(5, 2)
    ids = tt.tensor([[0, 1], [4, 7]])
    with mock.forbid_sync(), pytest.raises(IndexError, match=r"7 at position \(1, 1\) is outside"):
        table(ids)
    with pytest.raises(IndexError, match=r"target class 5 at position \(0,\) is outside 0 to 4"):
        tt.nn.functional.cross_entropy(tt.zeros(2, 5), tt.tensor([5, -100]))
