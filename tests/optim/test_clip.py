"""Gradient norms and clipping, with the gradients side by side in a buffer or each on its own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.optim import SGD, clip_grad_norm_, clip_grad_value_, gradient_norm
from tinytrain.optim.clip import clip_grads_with_norm_, get_total_norm

pytestmark = pytest.mark.usefixtures("device")

SHAPES = ((3, 2), (4,), (), (2, 2))
NORM_TYPES = [0.5, 1.0, 2.0, 3.0, math.inf]


def leaves(flat, dtype="float64", missing=(1,), scale=1.0):
    """Parameters with random gradients (but the missing ones), and what keeps their buffer."""
    source = np.random.default_rng(0)
    parameters = [tt.tensor(np.zeros(shape, dtype=dtype), requires_grad=True) for shape in SHAPES]
    for position, parameter in enumerate(parameters):
        gradient = np.asarray(scale * source.normal(size=parameter.shape), dtype=dtype)
        if position not in missing:
            parameter.grad = tt.tensor(gradient)
    return parameters, SGD(parameters) if flat else None


def gradients_of(parameters):
    return [None if p.grad is None else host(p.grad).copy() for p in parameters]


def flatten(gradients):
    return np.concatenate([g.ravel() for g in gradients if g is not None])


def norm_of(vector, p):
    return np.abs(vector).max() if p == math.inf else (np.abs(vector) ** p).sum() ** (1 / p)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("norm_type", NORM_TYPES)
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 100.0])
def test_clipping_by_the_formula(flat, norm_type, max_norm):
    parameters, keeper = leaves(flat)
    before = gradients_of(parameters)
    norm = norm_of(flatten(before), norm_type)
    assert clip_grad_norm_(parameters, max_norm, norm_type).item() == pytest.approx(norm, 1e-12)
    factor = min(1.0, max_norm / (norm + 1e-6))
    after = gradients_of(parameters)
    assert after[1] is None
    np.testing.assert_allclose(flatten(after), factor * flatten(before), rtol=1e-12)
    if max_norm == 100.0:
        assert np.array_equal(flatten(after), flatten(before))
    assert (keeper is not None) == flat


@pytest.mark.oracle
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("norm_type", NORM_TYPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_by_the_norm_equals_torch(flat, norm_type, dtype):
    torch = pytest.importorskip("torch")
    parameters, _keeper = leaves(flat, dtype)
    theirs = []
    for gradient in gradients_of(parameters):
        theirs.append(torch.nn.Parameter(torch.zeros(() if gradient is None else gradient.shape)))
        theirs[-1].data = theirs[-1].data.to(getattr(torch, dtype))
        theirs[-1].grad = None if gradient is None else torch.from_numpy(gradient)
    there = [parameter.grad for parameter in theirs if parameter.grad is not None]
    total = torch.nn.utils.get_total_norm(there, norm_type)
    here = [parameter.grad for parameter in parameters if parameter.grad is not None]
    rough = 1e-12 if dtype == "float64" else 1e-5
    assert get_total_norm(here, norm_type).item() == pytest.approx(total.item(), rough)
    torch.nn.utils.clip_grads_with_norm_(theirs, 2.0, total)
    clip_grads_with_norm_(parameters, 2.0, get_total_norm(here, norm_type))
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    norm = clip_grad_norm_(parameters, 0.7, norm_type)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert norm.dtype == dtype
    assert norm.item() == pytest.approx(expected.item(), tolerance)
    for ours, other in zip(gradients_of(parameters), theirs, strict=True):
        assert (ours is None) == (other.grad is None)
        if ours is not None:
            np.testing.assert_allclose(ours, other.grad.numpy(), rtol=tolerance)


@given(
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from(NORM_TYPES),
    st.floats(0.01, 10),
)
def test_flat_or_not_gives_the_same(present, norm_type, max_norm):
    missing = [position for position, there in enumerate(present) if not there]
    alone, _ = leaves(False, missing=missing)
    together, keeper = leaves(True, missing=missing)
    first = clip_grad_norm_(alone, max_norm, norm_type).item()
    second = clip_grad_norm_(together, max_norm, norm_type).item()
    assert first == pytest.approx(second, rel=1e-13)
    for one, other in zip(gradients_of(alone), gradients_of(together), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-13)
    assert keeper is not None
    if any(present):
        assert gradient_norm(together, norm_type).item() <= max_norm * (1 + 1e-12)


def test_the_norm_of_no_gradients_is_zero():
    parameters, _ = leaves(False, missing=range(4))
    assert gradient_norm(parameters).item() == 0
    assert clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True).item() == 0


def test_mixed_dtypes_are_clipped_together():
    wide = tt.tensor(np.zeros(2), requires_grad=True)
    narrow = tt.zeros(2, requires_grad=True)
    wide.grad, narrow.grad = tt.tensor(np.array([3.0, 0.0])), tt.tensor([0.0, 4.0])
    optimizer = SGD([wide, narrow])
    assert clip_grad_norm_([wide, narrow], 1.0).item() == pytest.approx(5)
    assert wide.grad.dtype == "float64"
    assert narrow.grad.dtype == "float32"
    assert narrow.grad.tolist() == pytest.approx([0, 0.8], abs=1e-6)
    assert optimizer is not None


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("norm_type", NORM_TYPES)
def test_error_if_nonfinite_leaves_the_gradients_alone(flat, value, norm_type):
    parameters, _keeper = leaves(flat)
    parameters[0].grad.data[0, 0] = value
    before = gradients_of(parameters)
    with pytest.raises(RuntimeError, match=f"norm is {value}"):
        clip_grad_norm_(parameters, 1.0, norm_type, error_if_nonfinite=True)
    assert np.array_equal(flatten(gradients_of(parameters)), flatten(before), equal_nan=True)


def test_a_single_tensor_and_a_generator_are_taken():
    weight = tt.zeros(2, requires_grad=True)
    weight.grad = tt.tensor([3.0, 4.0])
    assert gradient_norm(weight).item() == 5
    assert clip_grad_norm_(weight, 2.5).item() == 5
    assert clip_grad_norm_((w for w in [weight]), 10.0).item() == pytest.approx(2.5)
    assert gradient_norm(weight, "inf").item() == pytest.approx(2.0)


def test_the_names_of_torch():
    assert tt.nn.utils.clip_grad_norm_ is clip_grad_norm_
    assert tt.nn.utils.clip_grad_value_ is clip_grad_value_
    assert tt.nn.utils.clip_grads_with_norm_ is clip_grads_with_norm_
    assert tt.nn.utils.get_total_norm is get_total_norm


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.5, 100, math.inf])
def test_clipping_by_value(flat, dtype, value):
    parameters, keeper = leaves(flat, dtype)
    before = gradients_of(parameters)
    clip_grad_value_((p for p in parameters), value)
    after = gradients_of(parameters)
    assert after[1] is None
    assert flatten(after).dtype == dtype
    np.testing.assert_array_equal(flatten(after), np.clip(flatten(before), -value, value))
    assert (keeper is not None) == flat


@pytest.mark.oracle
def test_clipping_by_value_keeps_nan_as_torch_does():
    torch = pytest.importorskip("torch")
    values = np.array([math.nan, math.inf, -math.inf, 0.25])
    ours, theirs = (
        tt.zeros(4, dtype="float64", requires_grad=True),
        torch.nn.Parameter(torch.zeros(4, dtype=torch.float64)),
    )
    ours.grad, theirs.grad = tt.tensor(values), torch.tensor(values)
    clip_grad_value_(ours, 0.5)
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    np.testing.assert_array_equal(host(ours.grad), theirs.grad.numpy())


@pytest.mark.parametrize("flat", [False, True])
def test_a_transposed_gradient_is_clipped_in_place(flat):
    weight = tt.zeros(2, 3, requires_grad=True)
    keeper = SGD([weight]) if flat else None
    weight.grad = tt.full((3, 2), 4.0).transpose(0, 1)
    clip_grad_value_(weight, 1.0)
    assert host(weight.grad).tolist() == [[1.0] * 3] * 2
    assert (keeper is not None) == flat


def test_the_norm_of_tensors():
    tensors = [tt.tensor([[3.0, 0.0]]), tt.tensor(4.0)]
    assert get_total_norm(tensors).item() == 5
    assert get_total_norm(tensors[0]).item() == 3
    assert get_total_norm(tensors, math.inf).item() == 4
    assert get_total_norm([]).item() == 0
    assert get_total_norm([tt.zeros(0)], math.inf).item() == 0
    assert get_total_norm([tt.tensor([math.inf])]).item() == math.inf
    with pytest.raises(RuntimeError, match="norm is inf"):
        get_total_norm([tt.tensor([math.inf])], error_if_nonfinite=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0,), "max_norm must be from 0, got -1.0"),
        ((math.nan,), "max_norm must be from 0, got nan"),
        ((1.0, math.nan), "norm_type must be a number, got nan"),
    ],
)
def test_settings_that_make_no_sense(arguments, message):
    parameters, _ = leaves(False)
    with pytest.raises(ValueError, match=message):
        clip_grad_norm_(parameters, *arguments)


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_values_that_make_no_sense(value):
    parameters, _ = leaves(False)
    with pytest.raises(ValueError, match=f"clip_value must be from 0, got {value}"):
        clip_grad_value_(parameters, value)
    with pytest.raises(ValueError, match=f"max_norm must be from 0, got {value}"):
        clip_grads_with_norm_(parameters, value, tt.tensor(1.0))
