"""Dropout of attention weights, and what attention's options refuse."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import numbers
from tinytrain.nn.functional import scaled_dot_product_attention as attend

pytestmark = pytest.mark.usefixtures("device")

LENGTH = 4


def test_widths_are_checked():
    with pytest.raises(ValueError, match="kdim and vdim must be positive, got 0 and 4"):
        tt.nn.MultiheadAttention(4, 2, kdim=0)
    layer, x = tt.nn.MultiheadAttention(4, 2, kdim=3), tt.ones(2, 1, 4)
    with pytest.raises(ValueError, match=r"of widths \(4, 3, 4\), got query \(2, 1, 4\), key \(2"):
        layer(x, x, x)


def test_groups_that_do_not_divide_are_an_error():
    query, key = tt.ones(2, 4, 5, 3), tt.ones(2, 3, 5, 3)
    with pytest.raises(ValueError, match="number of heads is a multiple of that of the keys"):
        attend(query, key, key, enable_gqa=True)
    with pytest.raises(ValueError, match="of the values"):
        attend(query, query, key, enable_gqa=True)
    with pytest.raises(ValueError, match="of the keys"):
        attend(query[0, 0], query[0, 0], query[0, 0], enable_gqa=True)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "mask",
    [None, np.tril(np.ones((LENGTH, LENGTH), dtype=bool), 1), numbers(LENGTH, LENGTH, seed=3)],
    ids=["no mask", "boolean", "added"],
)
def test_dropout_drops_a_weight_or_scales_it_up(mask, causal):
    q, k = (tt.tensor(numbers(2, 3, LENGTH, 5, seed=s)) for s in (0, 1))
    v = tt.tensor(np.broadcast_to(np.eye(LENGTH), (2, 3, LENGTH, LENGTH)).copy())
    mask = mask if mask is None else tt.tensor(mask)
    exact = host(attend(q, k, v, mask, is_causal=causal, scale=0.3))  # values 1: the weights
    tt.manual_seed(0)
    dropped = host(attend(q, k, v, mask, 0.25, causal, scale=0.3))
    kept = dropped != 0
    assert not kept[exact == 0].any()
    np.testing.assert_allclose(dropped[kept], exact[kept] / 0.75, rtol=1e-12)
    share = 1 - kept.sum() / (exact != 0).sum()
    assert 0.1 < share < 0.4


def test_the_extremes_of_dropout():
    x = tt.tensor(numbers(2, 3, LENGTH), requires_grad=True)
    attend(x, x, x, dropout_p=1.0).sum().backward()
    assert not host(x.grad).any()
    np.testing.assert_array_equal(
        host(attend(x, x, x, dropout_p=0.0).detach()), host(attend(x, x, x).detach())
    )
    with pytest.raises(ValueError, match="probability"):
        attend(x, x, x, dropout_p=1.5)
    with pytest.raises(ValueError, match=r"by tiles .* takes no dropout_p"):
        attend(x, x, x, dropout_p=0.5, tiled=True)
    hidden = attend(x, x, x, tt.tensor(np.zeros((3, 3), dtype=bool)), dropout_p=0.5)
    assert not host(hidden.detach()).any()


def test_multihead_attention_drops_weights_in_training_alone():
    layer = tt.nn.MultiheadAttention(4, 2, dropout=1.0, bias=False, batch_first=True)
    x = tt.ones(1, 3, 4)
    for need_weights in (True, False):
        assert not host(layer(x, x, x, need_weights=need_weights)[0].detach()).any()
    layer.eval()
    one, other = (layer(x, x, x, need_weights=w)[0] for w in (True, False))
    assert host(one.detach()).any()
    np.testing.assert_allclose(host(one.detach()), host(other.detach()), rtol=1e-5, atol=1e-7)
