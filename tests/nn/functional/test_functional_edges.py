"""Softmax, losses and activations where floating-point numbers end."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, numbers
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")


def leaf(values, dtype="float32"):
    return tt.tensor(np.asarray(values, dtype=dtype), requires_grad=True)


def gradient_of(output, *leaves):
    output.backward(tt.ones(*output.shape).to(output.dtype))
    return [host(x.grad) for x in leaves]


# ---------------------------------------------------------------- softmax


@pytest.mark.parametrize("softmax", [F.softmax, F.softmax_simple])
@pytest.mark.parametrize("offset", [-1e4, 1e4, 1e30])
def test_softmax_does_not_depend_on_a_common_offset(softmax, offset):
    x = np.array([[0.0, 1024.0, -1024.0]]) * (1 if abs(offset) < 1e9 else 1e30)
    p = softmax(leaf(x + offset), 1)
    np.testing.assert_array_equal(host(p), [[0, 1, 0]])


@pytest.mark.parametrize("softmax", [F.softmax, F.log_softmax])
def test_log_softmax_keeps_its_digits_at_large_logits(softmax):
    x = (numbers(20, 7) + 1e4).astype(np.float32)
    exact = host(softmax(tt.tensor(x.astype(np.float64)), 1))
    np.testing.assert_allclose(host(softmax(tt.tensor(x), 1)), exact, rtol=2e-6)


def test_hidden_logits_get_probability_zero_and_no_gradient():
    x = leaf([[0.0, -math.inf, 1.0], [-math.inf, -math.inf, 5.0]], "float64")
    p = F.softmax(x, 1)
    (gradient,) = gradient_of(p * p, x)
    assert host(p)[0, 1] == 0
    assert p.tolist()[1] == [0, 0, 1]
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[np.isneginf(host(x))], 0)
    y = leaf(host(x), "float64")
    z = F.log_softmax(y, 1)
    np.testing.assert_array_equal(np.isneginf(host(z)), np.isneginf(host(x)))
    assert np.isfinite(gradient_of(z, y)[0]).all()


def test_a_row_with_everything_hidden():
    x = leaf([[-math.inf] * 3, [0.0, 1.0, 2.0]], "float64")
    p = F.softmax(x, 1)
    (gradient,) = gradient_of(p * p, x)
    assert p.tolist()[0] == [0, 0, 0]
    assert gradient[0].tolist() == [0, 0, 0]
    assert np.isfinite(gradient).all()


# ---------------------------------------------------------------- cross-entropy


def test_extreme_logits_give_the_exact_loss():
    x = leaf([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]])
    losses = F.cross_entropy(x, tt.tensor([0, 1]), reduction="none")
    assert losses.tolist() == [0, 2e4]
    (gradient,) = gradient_of(losses, x)
    assert gradient.tolist() == [[0, 0, 0], [1, -1, 0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_common_offset_costs_no_digits(smoothing):
    x = (numbers(64, 50) + 1e4).astype(np.float32)
    targets = tt.tensor(np.arange(64) % 50)
    exact = F.cross_entropy(
        tt.tensor(x.astype(np.float64)), targets, label_smoothing=smoothing
    ).item()
    loss = F.cross_entropy(tt.tensor(x), targets, label_smoothing=smoothing).item()
    assert abs(loss / exact - 1) < 5e-7


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_of_hidden_logits_has_no_loss_and_disturbs_no_other(smoothing):
    x = leaf([[-math.inf] * 3, [0.0, 1.0, 2.0]], "float64")
    settings = {"label_smoothing": smoothing, "reduction": "none"}
    losses = F.cross_entropy(x, tt.tensor([1, 1]), **settings)
    assert math.isnan(host(losses)[0])
    alone = F.cross_entropy(x[1:], tt.tensor([1]), **settings)
    assert host(losses)[1] == host(alone)[0]
    ignored = F.cross_entropy(x, tt.tensor([-100, 1]), label_smoothing=smoothing)
    (gradient,) = gradient_of(ignored, x)
    assert ignored.item() == alone.item()
    assert gradient[0].tolist() == [0, 0, 0]
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("reduction", "loss"), [("mean", math.nan), ("sum", 0.0)])
def test_all_labels_ignored(reduction, loss):
    x = leaf(numbers(3, 4))
    given = F.cross_entropy(x, tt.tensor([-100] * 3), reduction=reduction)
    (gradient,) = gradient_of(given, x)
    np.testing.assert_array_equal(host(given), loss)
    assert not gradient.any()


def test_ignored_items_do_not_count_in_the_mean():
    x, kept = leaf(numbers(6, 4), "float64"), [0, 2, 5]
    targets = np.array([1, 9, 3, 9, 9, 0])
    loss = F.cross_entropy(x, tt.tensor(targets), ignore_index=9)
    few = leaf(host(x)[kept], "float64")
    expected = F.cross_entropy(few, tt.tensor(targets[kept]))
    assert_close(host(loss), host(expected), 1e-15)
    (gradient,) = gradient_of(loss, x)
    assert_close(gradient[kept], gradient_of(expected, few)[0], 1e-15)
    assert not gradient[[1, 3, 4]].any()


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
def test_targets_of_any_integer_dtype(dtype):
    x = tt.tensor(numbers(3, 4))
    expected = F.cross_entropy(x, tt.tensor([0, 3, 1])).item()
    assert F.cross_entropy(x, tt.tensor([0, 3, 1], dtype=dtype)).item() == expected


@pytest.mark.parametrize("label", [4, -1, -101, 2**40])
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3)])
def test_a_label_that_is_no_class_raises(label, shape):
    targets = np.zeros((shape[0], *shape[2:]), np.int64)
    targets[-1, ...] = label
    with pytest.raises(IndexError, match=f"target class {label} at position .* outside 0 to 3"):
        F.cross_entropy(tt.zeros(*shape), tt.tensor(targets))
    with pytest.raises(IndexError, match="target class -100"):
        F.cross_entropy(tt.zeros(2, 4), tt.tensor([-100, -1]), ignore_index=-1)


def test_two_classes_and_one():
    x = leaf([[2.0]])
    loss = F.cross_entropy(x, tt.tensor([0]))
    assert loss.item() == 0
    assert gradient_of(loss, x)[0].tolist() == [[0]]


# ---------------------------------------------------------------- activations


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu_far_out_is_zero_or_the_input(form):
    x = leaf([-1e8, -1e4, -50.0, 0.0, 50.0, 1e4, 1e8])
    y = F.gelu(x, form)
    (slope,) = gradient_of(y, x)
    np.testing.assert_array_equal(host(y), [0, 0, 0, 0, 50, 1e4, 1e8])
    np.testing.assert_array_equal(slope, [0, 0, 0, 0.5, 1, 1, 1])


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu_in_float32_is_as_good_as_float32_allows(form):
    x = np.linspace(-6, 6, 4001).astype(np.float32)
    exact = host(F.gelu(tt.tensor(x.astype(np.float64)), form))
    unit = np.finfo(np.float32).eps
    error = np.abs(host(F.gelu(tt.tensor(x), form)) - exact)
    assert (error < unit * np.maximum(1, np.abs(x))).all()


def test_sigmoid_and_tanh_saturate_without_overflow():
    x = leaf([-1e4, -200.0, 0.0, 200.0, 1e4])
    np.testing.assert_array_equal(host(F.sigmoid(x)), [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(host(F.tanh(x)), [-1, -1, 0, 1, 1])
    assert np.isfinite(gradient_of(F.sigmoid(x) + F.tanh(x), x)[0]).all()


def test_small_sigmoids_keep_their_digits():
    x = np.array([-80.0, -20.0, -10.0, -4.5, -3.5])
    y = host(F.sigmoid(tt.tensor(x.astype(np.float32))))
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x)), rtol=1e-5)
