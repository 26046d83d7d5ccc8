"""Every fast function equals the `*_simple` one beside it, in value and in all gradients."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, assert_twins, numbers, value_and_gradients
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

ODD = [(1, 1), (3, 5), (7, 1), (2, 3, 7), (2, 1, 3, 5), (0, 5)]
LARGER_THAN_A_BLOCK = (1031, 67)


def test_every_twin_is_tested_here():
    twins = {name for name in F.__all__ if name.endswith("_simple")}
    recurrent = {name for name in twins if "_recurrence_" in name}  # in tests/nn/test_recurrent.py
    assert len(recurrent) == 3
    masked = {"masked_mean_simple"}  # in tests/nn/test_masked_loss.py
    assert twins - recurrent - masked == {
        "batch_norm_simple",
        "binary_cross_entropy_with_logits_simple",
        "conv2d_simple",
        "cross_entropy_simple",
        "embedding_simple",
        "gelu_simple",
        "layer_norm_simple",
        "linear_simple",
        "packed_self_attention_simple",
        "rms_norm_simple",
        "scaled_dot_product_attention_simple",
        "softmax_simple",
    }


@pytest.mark.parametrize("shape", [(), (4,), *ODD, LARGER_THAN_A_BLOCK])
def test_gelu(shape):
    x = 3 * numbers(*shape)
    assert_twins(lambda x: F.gelu(x, "tanh"), F.gelu_simple, x)


@pytest.mark.parametrize("shape", [(), (4,), *ODD])
def test_exact_gelu_is_the_formula_with_the_error_function(shape):
    x = 3 * numbers(*shape)
    below = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)), otypes=[float])(x)
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    value, (gradient,) = value_and_gradients(F.gelu, x)
    assert_close(value, x * below, 1e-14)
    assert_close(gradient, (below + x * density) * numbers(*shape, seed=7), 1e-14)


@pytest.mark.parametrize("shape", [(4,), *ODD, LARGER_THAN_A_BLOCK])
def test_softmax(shape):
    for axis in range(-1, len(shape)):
        if shape[axis]:
            x = 5 * numbers(*shape)
            assert_twins(
                lambda x, axis=axis: F.softmax(x, axis),
                lambda x, axis=axis: F.softmax_simple(x, axis),
                x,
            )


@pytest.mark.parametrize("shape", ODD)
def test_log_softmax_is_the_logarithm_of_softmax(shape):
    x = numbers(*shape)
    assert_twins(lambda x: F.log_softmax(x, -1), lambda x: F.softmax_simple(x, -1).log(), x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3), (0,), (2, 0)])
def test_linear(lead, bias):
    for inputs, outputs in [(1, 1), (7, 3), (3, 7)]:
        weight = numbers(outputs, inputs)
        shift = numbers(outputs) if bias else None
        assert_twins(F.linear, F.linear_simple, numbers(*lead, inputs), weight, shift)


@pytest.mark.parametrize("count", [1, 11, 5000])  # few ids and many take different ways
@pytest.mark.parametrize("shape", [(), (1,), (300,), (3, 5), (0,)])
def test_embedding(shape, count):
    ids = np.random.default_rng(0).integers(0, count, shape)
    assert_twins(F.embedding, F.embedding_simple, np.asarray(ids), numbers(count, 3))


@pytest.mark.parametrize(("weight", "bias"), [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("shape", [(5,), (1, 2), *ODD[1:], LARGER_THAN_A_BLOCK])
def test_layer_norm(shape, weight, bias):
    x, width = numbers(*shape), shape[-1]
    assert_twins(
        lambda x, w, b: F.layer_norm(x, (width,), w, b),
        F.layer_norm_simple,
        x,
        numbers(width, seed=1) if weight else None,
        numbers(width, seed=2) if bias else None,
    )


def test_layer_norm_over_two_axes_is_layer_norm_over_both_at_once():
    x, weight, bias = numbers(4, 3, 5), numbers(3, 5, seed=1), numbers(3, 5, seed=2)
    assert_twins(
        lambda x, w, b: F.layer_norm(x, (3, 5), w, b),
        lambda x, w, b: F.layer_norm_simple(x.reshape(4, 15), w.reshape(15), b.reshape(15)).reshape(
            4, 3, 5
        ),
        x,
        weight,
        bias,
    )


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 2), *ODD[1:], LARGER_THAN_A_BLOCK])
def test_rms_norm(shape, weight):
    width = shape[-1]
    assert_twins(
        lambda x, w: F.rms_norm(x, (width,), w, 1e-5),
        F.rms_norm_simple,
        numbers(*shape),
        numbers(width, seed=1) if weight else None,
    )


@pytest.mark.parametrize("shape", [(), (4,), *ODD[:-1], LARGER_THAN_A_BLOCK])
def test_binary_cross_entropy_with_logits(shape):
    targets = np.random.default_rng(1).random(shape)
    assert_twins(
        F.binary_cross_entropy_with_logits,
        F.binary_cross_entropy_with_logits_simple,
        3 * numbers(*shape),
        np.asarray(targets),
    )


@pytest.mark.parametrize(("weight", "bias"), [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("shape", [(2, 1), (3, 5), (64, 7), LARGER_THAN_A_BLOCK])
def test_batch_norm(shape, weight, bias):
    x, width = numbers(*shape), shape[-1]
    assert_twins(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        F.batch_norm_simple,
        x,
        numbers(width, seed=1) if weight else None,
        numbers(width, seed=2) if bias else None,
    )


def test_batch_norm_of_three_axes_is_that_of_its_positions_as_rows():
    x, weight, bias = numbers(4, 3, 5), numbers(3, seed=1), numbers(3, seed=2)

    def by_rows(x, w, b):
        rows = x.permute(0, 2, 1).reshape(20, 3)
        return F.batch_norm_simple(rows, w, b).reshape(4, 5, 3).permute(0, 2, 1)

    assert_twins(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), by_rows, x, weight, bias
    )


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ((1, 1), (1, 1)),
        ((3, 5), (7, 5)),
        ((2, 3, 4), (2, 5, 4)),
        ((2, 3, 5, 4), (2, 3, 7, 4)),
        ((2, 3, 5, 4), (2, 1, 7, 4)),  # keys shared among heads
        ((2, 1, 2, 5, 3), (2, 3, 2, 5, 3)),
        ((0, 2, 3, 4), (0, 2, 3, 4)),
        ((2, 2, 0, 4), (2, 2, 3, 4)),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_scaled_dot_product_attention(query, key, masked):
    mask = None
    if masked:
        mask = numbers(query[-2], key[-2], seed=3)
        mask[mask > 0.8] = -math.inf
    value = numbers(*key[:-1], 3, seed=2)
    assert_twins(
        F.scaled_dot_product_attention,
        F.scaled_dot_product_attention_simple,
        numbers(*query),
        numbers(*key, seed=1),
        value,
        mask,
    )


def test_causal_attention_equals_attention_with_the_causal_mask():
    shape = (2, 3, 6, 4)
    causal = F.causal_mask(tt.tensor(numbers(1, 6, 1)))
    assert_twins(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: F.scaled_dot_product_attention_simple(q, k, v, causal),
        *(numbers(*shape, seed=seed) for seed in range(3)),
    )


def test_attention_takes_another_scale():
    arrays = [numbers(2, 5, 4, seed=seed) for seed in range(3)]
    assert_twins(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.125),
        lambda q, k, v: F.scaled_dot_product_attention_simple(q * 0.25, k, v),
        *arrays,
    )


@pytest.mark.parametrize("length", [1, 5, 8])
@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 3, 0])
def test_packed_self_attention(batch, heads, length):
    qkv = numbers(batch, length, 3 * 2 * heads)
    mask = F.causal_mask(tt.tensor(qkv))
    for additive in (None, mask):
        assert_twins(
            lambda x, m=additive: F.packed_self_attention(x, heads, m),
            lambda x, m=additive: F.packed_self_attention_simple(x, heads, m),
            qkv,
        )


def test_packed_self_attention_with_a_boolean_mask():
    allowed = numbers(4, 4) < 0.7
    additive = tt.tensor(np.where(allowed, 0.0, -math.inf))
    assert_twins(
        lambda x: F.packed_self_attention(x, 2, tt.tensor(allowed)),
        lambda x: F.packed_self_attention_simple(x, 2, additive),
        numbers(3, 4, 12),
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (13, 7), LARGER_THAN_A_BLOCK])
def test_cross_entropy(shape):
    targets = np.random.default_rng(1).integers(0, shape[1], shape[0])
    assert_twins(F.cross_entropy, F.cross_entropy_simple, 3 * numbers(*shape), targets)


def test_a_strided_input_gives_what_its_copy_gives():
    def functions(x):
        yield F.gelu(x), F.softmax(x, 1), F.layer_norm(x, (5,))
        yield F.batch_norm(x, None, None, training=True), F.linear(x, tt.tensor(numbers(2, 5)))
        yield F.cross_entropy(x, tt.tensor([0, 1, 2])), F.log_softmax(x, 0)

    strided = tt.tensor(numbers(5, 6)).T[::2]
    assert not strided.data.flags.c_contiguous
    for one, other in zip(functions(strided), functions(strided.clone()), strict=True):
        for left, right in zip(one, other, strict=True):
            assert_close(host(left), host(right), 1e-15)


def test_float32_stays_float32():
    for function in (F.gelu, F.relu, F.tanh, F.sigmoid, F.gelu_simple, F.dropout):
        value, (gradient,) = value_and_gradients(function, numbers(3, 5).astype(np.float32))
        assert value.dtype == gradient.dtype == np.float32, function


@pytest.mark.parametrize("setting", [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 1), (3, 1, 2, 2)])
@pytest.mark.parametrize("bias", [1, 0])
def test_conv2d(setting, bias):
    """The settings are stride, padding, dilation and groups."""
    assert_twins(
        lambda x, w, b: F.conv2d(x, w, b, *setting),
        lambda x, w, b: F.conv2d_simple(x, w, b, *setting),
        numbers(3, 4, 7, 6),
        numbers(6, 4 // setting[-1], 3, 2, seed=1),
        numbers(6, seed=2) if bias else None,
    )
