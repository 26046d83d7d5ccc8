"""What PyTorch does at the edges, in values, gradients and refusals, without PyTorch."""

import math

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain import nn
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

NAN, INF = math.nan, math.inf


def leaf(*values):
    return tt.tensor(list(values), requires_grad=True)


def gradient_of(function, *tensors):
    function(*tensors).sum().backward()
    return [tensor.grad.tolist() for tensor in tensors]


@pytest.mark.parametrize(
    ("function", "slope"),
    [(lambda x: x.abs(), 0.0), (tt.sign, 0.0), (lambda x: x.relu(), 1.0), (F.relu, 1.0)],
)
def test_gradient_where_the_input_is_nan(function, slope):
    assert gradient_of(function, leaf(NAN, 0.0))[0] == [slope, 0.0]


def test_values_where_the_input_is_nan():
    assert tt.sign(leaf(NAN, -INF, -0.0, 2.0)).tolist() == [0, -1, 0, 1]
    assert np.isnan(host(leaf(NAN).relu())).all()
    assert np.isnan(host(leaf(NAN).abs())).all()


def test_maximum_and_minimum_give_both_operands_of_a_nan_the_gradient():
    x, y = leaf(NAN, 1.0, NAN, 1.0, 2.0), leaf(1.0, NAN, NAN, 1.0, 1.0)
    assert gradient_of(tt.maximum, x, y) == [[1, 1, 1, 0.5, 1], [1, 1, 1, 0.5, 0]]
    x, y = leaf(NAN, 1.0, NAN, 1.0, 2.0), leaf(1.0, NAN, NAN, 1.0, 1.0)
    assert gradient_of(tt.minimum, x, y) == [[1, 1, 1, 0.5, 0], [1, 1, 1, 0.5, 1]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_variance_with_a_correction_beyond_the_count():
    (whole,) = gradient_of(lambda x: x.var(correction=3), leaf(1.0, 2.0))
    assert whole == [INF, INF]
    (along,) = gradient_of(lambda x: x.var(0, correction=4), leaf(1.0, 3.0))
    assert along == [1.0, -1.0]  # 2 (x - 2) / (2 - 4)
    (root,) = gradient_of(lambda x: x.std(0, correction=4), leaf(1.0, 3.0))
    assert root == [0.0, 0.0]


@pytest.mark.parametrize("axis", [1.0, True, "0", np.float64(0.0)])
@pytest.mark.parametrize("name", ["sum", "amax", "max", "argmax", "all", "cumsum", "softmax"])
def test_an_axis_is_an_integer(name, axis):
    with pytest.raises(TypeError, match=r"integer|one axis"):
        getattr(tt.ones(2, 2), name)(axis)


@pytest.mark.parametrize("k", [2.0, True, "1"])
def test_a_number_of_elements_is_an_integer(k):
    with pytest.raises(TypeError, match="topk: k must be an integer"):
        tt.ones(3).topk(k)


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum"])
def test_no_reduction_in_integers_where_a_gradient_is_wanted(name):
    axis = [0] if name == "cumsum" else []
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=f"{name} in int64 of a tensor that requires"):
        getattr(x, name)(*axis, dtype="int64")
    assert getattr(x.detach(), name)(*axis, dtype="int64").dtype == np.int64
    with tt.no_grad():
        assert getattr(x, name)(*axis, dtype="int64").dtype == np.int64
    assert getattr(x, name)(*axis, dtype="float32").requires_grad


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.softmax(tt.tensor([1, 2]), 0), "needs a floating-point tensor, got int64"),
        (lambda: tt.tensor([1, 2]).log_softmax(0), "needs a floating-point tensor, got int64"),
        (lambda: tt.tensor([True]).argmax(), "not for booleans"),
        (lambda: tt.tensor([True]).argmin(0), "not for booleans"),
        (lambda: tt.tensor([[True]]) @ tt.tensor([[True]]), "not for booleans"),
        (lambda: tt.where(tt.tensor([True]), 1.0), "a condition alone, or with both"),
    ],
)
def test_refused_for_the_dtype(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_softmax_of_integers_with_a_dtype():
    assert F.softmax(tt.tensor([1, 1]), 0, dtype="float32").tolist() == [0.5, 0.5]


def test_index_add_takes_no_source_of_fewer_axes():
    one = tt.tensor(0)
    assert tt.ones(3).index_add(0, one, tt.ones(1)).tolist() == [2, 1, 1]
    for x, source in ((tt.ones(2, 3), tt.ones(3)), (tt.ones(3), tt.tensor(1.0))):
        with pytest.raises(ValueError, match="needs a source of shape"):
            x.index_add(0, one, source)


def test_split_into_pieces_of_0_of_an_empty_axis():
    assert [piece.shape for piece in tt.ones(2, 0).split(0, 1)] == [(2, 0)]
    for size, length in ((0, 2), (-1, 0), (-1, 2)):
        with pytest.raises(ValueError, match="split needs a positive size"):
            tt.ones(length).split(size)


def test_where_of_a_condition_alone():
    rows, columns = tt.where(tt.tensor([[0.0, 2.0], [-1.0, 0.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
    assert [found.tolist() for found in tt.where(tt.tensor(True))] == [[0]]
    assert rows.dtype == np.int64


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_padding_that_leaves_nothing(mode):
    with pytest.raises(ValueError, match="would leave nothing"):
        F.pad(tt.ones(1, 4), (-2, -2), mode=mode)
    assert F.pad(tt.ones(1, 4), (-2, -1), mode=mode).shape == (1, 1)
    assert F.pad(tt.ones(1, 4), (-2, -2)).shape == (1, 0)


@pytest.mark.parametrize("momentum", [5, -0.1, "0.1", True, NAN])
def test_momentum_of_running_statistics(momentum):
    with pytest.raises(ValueError, match="momentum is the share of the new statistics"):
        nn.BatchNorm1d(3, momentum=momentum)
    for right in (0, 1, 0.5, None):
        assert nn.BatchNorm2d(3, momentum=right).momentum == right
