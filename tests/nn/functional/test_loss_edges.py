"""The losses where numbers end, and what they say of bad input: the same on every device."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import numbers
from tinytrain import nn
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")


def leaf(values, dtype="float64"):
    return tt.tensor(np.asarray(values, dtype=dtype), requires_grad=True)


def ones(*shape, dtype="float32"):
    return tt.ones(*shape).to(dtype)


def classes(*values, dtype="int64"):
    return tt.tensor(np.array(values, dtype=dtype))


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint64"])
def test_targets_of_any_integer_dtype(dtype):
    """Neither -100 nor the number of classes needs to be a value of the targets' dtype."""
    x = leaf(numbers(3, 300))
    targets = classes(0, 99, 100, dtype=dtype)
    expected = -host(x.log_softmax(1))[[0, 1, 2], [0, 99, 100]]
    for weight in (None, tt.tensor(np.ones(300))):
        losses = F.cross_entropy(x, targets, weight, reduction="none")
        np.testing.assert_allclose(host(losses), expected, rtol=1e-12)
        losses = F.cross_entropy(x, targets, weight, reduction="none", ignore_index=99)
        np.testing.assert_allclose(host(losses), expected * [1, 0, 1], rtol=1e-12)


@pytest.mark.parametrize(("wrong", "dtype"), [(3, "int64"), (-1, "int8"), (255, "uint8")])
def test_target_that_is_no_class(wrong, dtype):
    targets = classes(0, wrong, dtype=dtype)
    for call in (
        lambda: F.cross_entropy(ones(2, 3), targets),
        lambda: F.cross_entropy(ones(2, 3), targets, ones(3)),
        lambda: F.nll_loss(ones(2, 3), targets),
        lambda: F.nll_loss(ones(2, 3, 1), targets.reshape(2, 1)),
    ):
        with pytest.raises(IndexError, match=rf"class {wrong} at position \(1,\)"):
            call()


def test_weight_of_zero_takes_a_class_out():
    x = leaf(numbers(3, 4))
    weight = tt.tensor(np.array([1.0, 0.0, 1.0, 1.0]))
    loss = F.cross_entropy(x, classes(0, 1, 3), weight)
    loss.backward()
    alone = F.cross_entropy(x[[0, 2]], classes(0, 3)).item()
    assert loss.item() == pytest.approx(alone, rel=1e-12)
    assert not host(x.grad)[1].any()


def test_logit_of_minus_infinity_beside_the_target():
    x = leaf([[0.0, -math.inf, 1.0]])
    for target, weight in [
        (classes(2), None),
        (classes(2), tt.tensor(np.ones(3))),
        (leaf([[0.0, 0.0, 1.0]]).detach(), None),
        (leaf([[0.0, 0.0, 1.0]]).detach(), tt.tensor(np.ones(3))),
    ]:
        x.grad = None
        loss = F.cross_entropy(x, target, weight)
        loss.backward()
        assert loss.item() == pytest.approx(math.log1p(math.exp(-1.0)), rel=1e-12)
        s = 1 / (1 + math.e)
        np.testing.assert_allclose(host(x.grad), [[s, 0, -s]], rtol=1e-12)


def test_probabilities_of_one_class_are_that_class():
    x, targets = leaf(numbers(5, 3)), [0, 2, 1, 1, 0]
    certain = tt.tensor(np.eye(3)[targets])
    for smoothing in (0.0, 0.2):
        one = F.cross_entropy(x, certain, label_smoothing=smoothing)
        other = F.cross_entropy(x, classes(*targets), label_smoothing=smoothing)
        assert one.item() == pytest.approx(other.item(), rel=1e-12)


# ---------------------------------------------------------------- probabilities


def test_certain_answers_cost_nothing_or_a_hundred():
    x, t = leaf([0.0, 1.0, 0.0, 1.0]), leaf([0.0, 1.0, 1.0, 0.0])
    losses = F.binary_cross_entropy(x, t, reduction="none")
    losses.sum().backward()
    assert losses.tolist() == [0, 0, 100, 100]
    assert host(x.grad).tolist() == [0, 0, -1e12, 1e12]
    assert np.isfinite(host(t.grad)).all()


def test_values_that_are_no_probabilities(device):
    for x, t in [([1.5], [0.5]), ([0.5], [-0.1]), ([math.nan], [0.5])]:
        x, t = leaf(x), leaf(t)
        if device == "cpu":
            with pytest.raises(ValueError, match=r"must lie between 0 and 1, got values from"):
                F.binary_cross_entropy(x, t)
    if device != "cpu":
        assert math.isnan(F.binary_cross_entropy(leaf([1.5]), leaf([0.5])).item())


def test_small_probabilities_keep_their_digits():
    """The terms of x - x t + log(1 + e^-x) cancel where x is far below 0 and t is 0."""
    x = tt.tensor(np.array([-30.0, -20.0, 20.0], dtype=np.float32))
    t = tt.tensor(np.array([0.0, 0.0, 1.0], dtype=np.float32))
    losses = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(host(losses), np.exp([-30.0, -20.0, -20.0]), rtol=1e-6)


def test_divergence_from_certainty():
    x, t = leaf([-1.0, -math.inf, -2.0]), tt.tensor(np.array([1.0, 0.0, 0.0]))
    losses = F.kl_div(x, t, reduction="none")
    losses.sum().backward()
    assert losses.tolist() == [1, 0, 0]
    assert x.grad.tolist() == [-1, 0, 0]
    logs = leaf([0.0, -math.inf, -math.inf])
    same = F.kl_div(x, logs, reduction="none", log_target=True)
    same.sum().backward()
    assert same.tolist() == [1, 0, 0]
    assert logs.grad.tolist() == [2, 0, 0]


# ---------------------------------------------------------------- bad input

PAIRS = [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.kl_div, F.binary_cross_entropy]


@pytest.mark.parametrize("loss", [*PAIRS, F.binary_cross_entropy_with_logits])
def test_nothing_is_broadcast_or_converted(loss):
    with pytest.raises(ValueError, match=rf"{loss.__name__} of shapes \(2, 1\) and \(2,\): make"):
        loss(ones(2, 1), ones(2))
    with pytest.raises(TypeError, match=f"{loss.__name__} of float32 and float64: bring both"):
        loss(ones(2), ones(2, dtype="float64"))
    with pytest.raises(TypeError, match="of int64 and int64"):
        loss(classes(1), classes(1))
    with pytest.raises(ValueError, match=r"reduction must be one of .* not 'avg'"):
        loss(ones(2), ones(2), reduction="avg")


CASES = [
    (lambda: F.smooth_l1_loss(ones(1), ones(1), beta=-1.0), "beta of 0 or more, got -1.0"),
    (lambda: F.huber_loss(ones(1), ones(1), delta=0.0), "positive delta, got 0.0"),
    (lambda: F.mse_loss(ones(2), ones(2), weight=ones(1)), r"weight has shape \(1,\).*\(2,\)"),
    (lambda: F.huber_loss(ones(2), ones(2), weight=ones(1)), "one weight per element"),
    (
        lambda: F.binary_cross_entropy(ones(2), ones(2), ones(3)),
        r"weight of shape \(3,\) cannot be broadcast to the input's \(2,\)",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(ones(2), ones(2), pos_weight=ones(2, 2)),
        r"pos_weight of shape \(2, 2\) cannot be broadcast",
    ),
    (lambda: F.cross_entropy(ones(2, 3), classes(0, 1), ones(2)), r"one weight per class, \(3,\)"),
    (lambda: F.cross_entropy(ones(2, 3), ones(2, 3), ones(2)), r"one weight per class, \(3,\)"),
    (lambda: F.nll_loss(ones(2, 3), classes(0, 1), ones(2)), r"one weight per class, \(3,\)"),
    (
        lambda: F.nll_loss(ones(2, 3), classes(0, 1), tt.ones(3, requires_grad=True)),
        "give class weights no gradient",
    ),
    (lambda: F.nll_loss(ones(2, 3), classes(0)), r"shapes \(2, 3\) and \(1,\)"),
    (lambda: F.nll_loss(ones(2, 3, 4), classes(0, 1)), r"shapes \(2, 3, 4\) and \(2,\)"),
    (lambda: F.cross_entropy(ones(2, 3), ones(2, 3), ignore_index=0), "needs classes, not prob"),
    (lambda: F.cross_entropy(ones(2, 3), ones(2, 3), label_smoothing=2.0), "0 to 1, got 2"),
    (lambda: F.cross_entropy(ones(2, 3), ones(2, 3), reduction="avg"), "not 'avg'"),
]


@pytest.mark.parametrize(("call", "words"), CASES)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda w: F.cross_entropy(ones(2, 3), classes(0, 1), w),
        lambda w: F.nll_loss(ones(2, 3), classes(0, 1), w),
        lambda w: F.binary_cross_entropy(ones(2, 3), ones(2, 3), w),
        lambda w: F.binary_cross_entropy_with_logits(ones(2, 3), ones(2, 3), pos_weight=w),
    ],
)
def test_weights_have_the_dtype_of_the_input(call):
    with pytest.raises(TypeError, match=r"input is float32, .*weight is float64"):
        call(ones(3, dtype="float64"))


def test_targets_of_another_float_dtype():
    with pytest.raises(TypeError, match="of one dtype, got float32"):
        F.cross_entropy(ones(2, 3), ones(2, 3, dtype="float64"))


def test_weights_are_saved_and_moved_with_their_loss():
    loss = nn.BCEWithLogitsLoss(weight=tt.ones(2), pos_weight=tt.full((2,), 3.0))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert not list(loss.parameters())
    assert loss.to("float64").pos_weight.dtype == np.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []
