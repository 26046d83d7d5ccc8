"""Dropout: how many elements go, what the others become, and when nothing happens."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")

COUNT = 100_000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_scale_of_the_rest(p):
    y = host(nn.Dropout(p, generator=tt.Generator(0))(tt.ones(COUNT)))
    kept = y != 0
    four_sigma = 4 * math.sqrt(p * (1 - p) / COUNT)
    assert abs(kept.mean() - (1 - p)) < four_sigma
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    assert abs(y.mean() - 1) < four_sigma / (1 - p)
    assert y.dtype == np.float32


def test_neighbours_are_dropped_independently():
    kept = host(nn.Dropout(0.5, generator=tt.Generator(1))(tt.ones(COUNT))) != 0
    both = (kept[1:] & kept[:-1]).mean()
    assert abs(both - 0.25) < 4 * math.sqrt(0.25 * 0.75 / COUNT)


def test_the_gradient_passes_through_the_same_mask():
    x = tt.ones(50, 20, requires_grad=True)
    y = nn.functional.dropout(x, 0.3)
    y.backward(tt.full((50, 20), 2.0))
    np.testing.assert_allclose(host(x.grad), 2 * host(y), rtol=1e-6)


def test_evaluation_and_probability_zero_hand_the_input_on():
    x = tt.randn(3, 4)
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert nn.functional.dropout(x, 0.5, training=False) is x


def test_probability_one_leaves_nothing_and_no_gradient():
    x = tt.ones(3, 4, requires_grad=True)
    y = nn.Dropout(1.0)(x)
    y.sum().backward()
    assert not host(y).any()
    assert not host(x.grad).any()


def test_a_seed_repeats_the_masks_and_calls_differ():
    first, second = (nn.Dropout(0.5, generator=tt.Generator(4)) for _ in range(2))
    x = tt.ones(100)
    masks = [first(x).tolist() for _ in range(2)]
    assert masks == [second(x).tolist() for _ in range(2)]
    assert masks[0] != masks[1]
    tt.manual_seed(4)
    from_default = nn.Dropout(0.5)(x).tolist()
    tt.manual_seed(4)
    assert nn.functional.dropout(x, 0.5).tolist() == from_default


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4)])
def test_any_shape(shape):
    x = tt.ones(*shape).double()
    assert nn.Dropout(0.5)(x).shape == shape
    assert nn.Dropout(0.5)(x).dtype == np.float64


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_other_probabilities_are_refused(p):
    for make in (nn.Dropout, lambda p: nn.functional.dropout(tt.ones(1), p)):
        with pytest.raises(ValueError, match=f"probability must lie in 0 to 1, got {p}"):
            make(p)
    with pytest.raises(ValueError, match="probability must lie in 0 to 1"):
        nn.MultiheadAttention(4, 2, dropout=p)


def test_attention_drops_weights_in_training_only():
    tt.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = tt.randn(2, 6, 8)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert 0.3 < (host(weights) == 0).mean() < 0.7
    fused, _ = layer(x, x, x, need_weights=False)
    other, _ = layer(x, x, x, need_weights=False)
    assert fused.tolist() != other.tolist()
    layer.eval()
    output, weights = layer(x, x, x)
    np.testing.assert_allclose(host(weights).sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        host(layer(x, x, x, need_weights=False)[0]), host(output), rtol=1e-5, atol=1e-6
    )


def test_causal_attention_drops_from_its_output():
    layer = nn.CausalSelfAttention(8, 2, dropout=0.5)
    output = host(layer(tt.randn(4, 6, 8)))
    assert 0.3 < (output == 0).mean() < 0.7
    assert (host(layer.eval()(tt.randn(4, 6, 8))) != 0).all()
