"""What attention may and may not see, and what happens where it sees nothing."""

import math
import re
from functools import partial

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, numbers
from tinytrain import nn
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

NOTHING = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1]], dtype=bool)  # query 1 may see no key


def leaves(*shape, count=3):
    return [tt.tensor(numbers(*shape, seed=seed), requires_grad=True) for seed in range(count)]


# ---------------------------------------------------------------- rows that may see nothing


@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_query_without_keys_gets_zero_and_finite_gradients(dtype, boolean):
    q, k, v = (tt.tensor(host(x), dtype=dtype, requires_grad=True) for x in leaves(2, 4, 3, 5))
    mask = tt.tensor(NOTHING if boolean else np.where(NOTHING, 0, -math.inf).astype(dtype))
    output = F.scaled_dot_product_attention(q, k, v, mask)
    assert not host(output)[:, :, 1].any()
    assert host(output)[:, :, [0, 2]].all()
    output.backward(tt.ones(*output.shape).to(dtype))
    for x in (q, k, v):
        assert np.isfinite(host(x.grad)).all()
    assert not host(q.grad)[:, :, 1].any()
    expected = F.scaled_dot_product_attention_simple(
        q, k, v, tt.tensor(np.where(NOTHING, 0, -math.inf).astype(dtype))
    )
    assert_close(host(output), host(expected), 1e-6 if dtype == "float32" else 1e-13)


def test_everything_hidden():
    q, k, v = leaves(2, 1, 3, 5)
    output = F.scaled_dot_product_attention(q, k, v, tt.tensor(np.zeros((3, 3), bool)))
    output.sum().backward()
    for x in (output, q.grad, k.grad, v.grad):
        assert not host(x).any()


@pytest.mark.parametrize("need_weights", [True, False])
def test_the_layer_survives_a_sequence_of_padding(need_weights):
    layer = nn.MultiheadAttention(4, 2, batch_first=True).to("float64")
    x = tt.tensor(numbers(2, 3, 4), requires_grad=True)
    padding = tt.tensor([[False, False, True], [True, True, True]])
    output, weights = layer(x, x, x, key_padding_mask=padding, need_weights=need_weights)
    (output * output).sum().backward()
    np.testing.assert_array_equal(host(output)[1], np.tile(host(layer.out_proj.bias), (3, 1)))
    if need_weights:
        assert not host(weights)[1].any()
        np.testing.assert_allclose(host(weights)[0].sum(-1), 1)
    assert np.isfinite(host(x.grad)).all()
    assert all(np.isfinite(host(p.grad)).all() for p in layer.parameters())
    alone, _ = layer(x[:1], x[:1], x[:1], key_padding_mask=padding[:1], need_weights=False)
    assert_close(host(output)[:1], host(alone), 1e-13)


def test_padding_in_packed_rows_gets_zero():
    qkv = tt.tensor(numbers(2, 5, 12), requires_grad=True)
    mask = F.segment_mask(tt.tensor([[1, 1, 2, 2, 0], [0, 0, 0, 0, 0]]), dtype=np.dtype("float64"))
    output = F.packed_self_attention(qkv, 2, mask)
    output.sum().backward()
    assert not host(output)[0, 4].any()
    assert not host(output)[1].any()
    assert host(output)[0, :4].all()
    assert np.isfinite(host(qkv.grad)).all()
    assert not host(qkv.grad)[1].any()


# ---------------------------------------------------------------- causality and segments


@pytest.mark.parametrize("length", [1, 2, 7])
def test_causal_attention_looks_back_only(length):
    layer = nn.CausalSelfAttention(6, 2).to("float64")
    x = numbers(2, length, 6)
    before = host(layer(tt.tensor(x)))
    for position in range(length):
        changed = x.copy()
        changed[:, position] += 1
        after = host(layer(tt.tensor(changed)))
        assert_close(after[:, :position], before[:, :position], 0)
        assert np.abs(after[:, position:] - before[:, position:]).min() > 0


def test_a_causal_prefix_does_not_depend_on_what_follows():
    layer = nn.CausalSelfAttention(6, 3).to("float64")
    x = tt.tensor(numbers(2, 8, 6))
    for length in range(1, 8):
        assert_close(host(layer(x[:, :length])), host(layer(x))[:, :length], 1e-13)


def test_packed_sequences_give_what_they_give_alone():
    layer = nn.CausalSelfAttention(6, 2).to("float64")
    lengths, x = [3, 1, 4], numbers(1, 9, 6)
    segments = np.array([[1] * 3 + [2] + [3] * 4 + [0]])
    mask = F.segment_mask(tt.tensor(segments), dtype=np.dtype("float64"))
    packed = host(layer(tt.tensor(x), mask))
    start = 0
    for length in lengths:
        alone = host(layer(tt.tensor(x[:, start : start + length])))
        assert_close(packed[:, start : start + length], alone, 1e-13)
        start += length


def test_segment_ids_are_the_same_as_their_mask():
    q, k, v = leaves(2, 3, 5, 4)
    segments = tt.tensor([[1, 1, 2, 2, 0], [3, 3, 3, 1, 1]])
    for causal in (True, False):
        mask = F.segment_mask(segments, causal, q.dtype)
        expected = host(F.scaled_dot_product_attention(q, k, v, mask))
        by_ids = F.scaled_dot_product_attention(q, k, v, is_causal=causal, segment_ids=segments)
        assert_close(host(by_ids), expected, 0)
        for extra in (numbers(5, 5) > -0.5, numbers(5, 5)):
            both = F.scaled_dot_product_attention(
                q, k, v, tt.tensor(extra), is_causal=causal, segment_ids=segments
            )
            added = np.where(extra, 0, -math.inf) if extra.dtype == bool else extra
            expected = host(F.scaled_dot_product_attention(q, k, v, mask + tt.tensor(added)))
            assert_close(host(both), expected, 1e-15)
        none = tt.tensor(np.zeros((5, 5), bool))
        hidden = F.scaled_dot_product_attention(q, k, v, none, segment_ids=segments)
        assert not host(hidden).any()


@pytest.mark.parametrize("tiled", [False, True])
def test_packed_self_attention_takes_segment_ids(tiled):
    qkv = tt.tensor(numbers(2, 5, 12))
    segments = tt.tensor([[1, 1, 2, 2, 0], [3, 3, 3, 1, 1]])
    for causal in (True, False):
        mask = F.segment_mask(segments, causal, qkv.dtype)
        expected = host(F.packed_self_attention(qkv, 2, mask))
        found = F.packed_self_attention(qkv, 2, is_causal=causal, segment_ids=segments, tiled=tiled)
        assert_close(host(found), expected, 1e-15)
    if not tiled:  # with a mask, too
        extra = tt.tensor(numbers(5, 5) > -0.5)
        expected = host(F.packed_self_attention(qkv, 2, (mask == 0) & extra))
        found = F.packed_self_attention(qkv, 2, extra, segment_ids=segments)
        assert_close(host(found), expected, 0)


def test_the_layer_takes_segment_ids():
    layer = nn.CausalSelfAttention(6, 2).to("float64")
    x, segments = tt.tensor(numbers(1, 5, 6)), tt.tensor([[1, 1, 2, 2, 0]])
    expected = host(layer(x, F.segment_mask(segments, dtype=np.dtype("float64"))))
    for tiled in (None, False, True):
        assert_close(host(layer(x, segment_ids=segments, tiled=tiled)), expected, 1e-15)


def test_segment_mask_is_block_diagonal():
    ids = np.random.default_rng(0).integers(0, 3, (2, 6))
    mask = F.segment_mask(tt.tensor(ids), is_causal=False)
    assert mask.shape == (2, 1, 6, 6)
    assert mask.dtype == np.float32
    for row in range(2):
        for query in range(6):
            for key in range(6):
                seen = ids[row, query] == ids[row, key] != 0
                assert host(mask)[row, 0, query, key] == (0 if seen else -math.inf)
    causal = host(F.segment_mask(tt.tensor(ids)))[0, 0]
    assert np.isneginf(causal[np.triu_indices(6, 1)]).all()


def test_causal_masks_have_the_inputs_dtype():
    for dtype in ("float32", "float64"):
        mask = F.causal_mask(tt.zeros(2, 4, 3, dtype=dtype))
        assert mask.dtype == dtype
        expected = np.triu(np.full((4, 4), -math.inf), 1)
        np.testing.assert_array_equal(host(mask), expected)
        assert F.causal_mask(tt.zeros(2, 4, dtype=dtype)).tolist() == mask.tolist()


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (1, 1), (5, 5), (1, 5, 5), (2, 1, 5, 5)])
@pytest.mark.parametrize("boolean", [True, False])
def test_masks_may_be_of_any_shape_that_broadcasts(shape, boolean):
    mask = np.asarray(numbers(*shape) > -0.5) if boolean else numbers(*shape)
    full = tt.tensor(np.broadcast_to(mask, (2, 3, 5, 5)).copy())
    q, k, v = leaves(2, 3, 5, 4)
    expected = host(F.scaled_dot_product_attention(q, k, v, full))
    assert_close(host(F.scaled_dot_product_attention(q, k, v, tt.tensor(mask))), expected, 1e-14)
    qkv = tt.tensor(numbers(2, 5, 36))
    expected = host(F.packed_self_attention(qkv, 3, full))
    assert_close(host(F.packed_self_attention(qkv, 3, tt.tensor(mask))), expected, 1e-14)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("large", [1e4, 1e15])
def test_large_scores_do_not_overflow(large):
    q, k, v = (
        tt.tensor(host(x) * scale, dtype="float32", requires_grad=True)
        for x, scale in zip(leaves(2, 2, 4, 8), (large, large, 1), strict=True)
    )
    output = F.scaled_dot_product_attention(q, k, v)
    output.sum().backward()
    for x in (output, q.grad, k.grad, v.grad):
        assert np.isfinite(host(x)).all()
        assert x.dtype == np.float32
    best = (host(q) @ host(k).swapaxes(-1, -2)).argmax(-1)
    expected = np.take_along_axis(host(v), best[..., None], 2)
    np.testing.assert_allclose(host(output), expected, rtol=1e-5)


def test_attention_weights_are_a_distribution():
    layer = nn.MultiheadAttention(6, 3, batch_first=True).to("float64")
    x, memory = tt.tensor(numbers(2, 4, 6)), tt.tensor(numbers(2, 5, 6, seed=1))
    _, weights = layer(x, memory, memory, average_attn_weights=False)
    assert weights.shape == (2, 3, 4, 5)
    np.testing.assert_allclose(host(weights).sum(-1), 1)
    assert (host(weights) > 0).all()
    _, causal = layer(x, x, x, is_causal=True)
    np.testing.assert_array_equal(np.triu(host(causal)[0], 1), 0)


def test_both_ways_through_the_layer_agree():
    layer = nn.MultiheadAttention(6, 3).to("float64")
    x, memory = tt.tensor(numbers(4, 2, 6)), tt.tensor(numbers(5, 2, 6, seed=1))
    composed, weights = layer(x, memory, memory)
    fused, nothing = layer(x, memory, memory, need_weights=False)
    assert nothing is None
    assert weights.shape == (2, 4, 5)
    assert_close(host(fused), host(composed), 1e-13)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(("width", "heads"), [(6, 4), (6, 0), (6, -2), (3, 6)])
def test_heads_divide_the_width(width, heads):
    for layer in (nn.MultiheadAttention, nn.CausalSelfAttention):
        with pytest.raises(ValueError, match=f"embed_dim {width} is not divisible into {heads}"):
            layer(width, heads)


def fail(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_shapes_and_dtypes_that_do_not_fit():
    layer = nn.MultiheadAttention(4, 2)
    x = tt.zeros(3, 2, 4)
    fail(ValueError, "three axes each, got query", lambda: layer(x[0], x, x))
    fail(ValueError, r"one batch size.*batch_first=False", lambda: layer(x, x[:, :1], x[:, :1]))
    fail(ValueError, "as many keys as values", lambda: layer(x, x, x[:2]))
    fail(ValueError, r"of widths \(4, 4, 4\), got", lambda: layer(tt.zeros(3, 2, 5), x, x))
    fail(TypeError, "input is float64", lambda: layer(x.double(), x, x))
    fail(TypeError, "input is int64", lambda: layer(x.long(), x, x))
    causal = nn.CausalSelfAttention(4, 2)
    for wrong in (x[0], x[0, 0], tt.zeros(1, 2, 3, 4)):
        fail(
            ValueError, r"CausalSelfAttention expects shape \(B, T, 4\)", lambda w=wrong: causal(w)
        )
    fail(ValueError, "expects 4 features", lambda: causal(tt.zeros(3, 2, 5)))
    fail(TypeError, "input is int64", lambda: causal(x.long()))
    fail(TypeError, "input is float64", lambda: causal(x.double()))


def test_masks_that_do_not_fit():
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    x = tt.zeros(3, 5, 4)

    def call(**masks):
        return lambda: layer(x, x, x, **masks)

    yes = tt.zeros(5, 3).bool()  # (S, B): as many elements as (B, S), and wrong
    fail(ValueError, r"key_padding_mask must be \(3, 5\), got \(5, 3\)", call(key_padding_mask=yes))
    two = r"attn_mask must be \(5, 5\) or \(6, 5, 5\), got "
    for shape in [(5,), (1, 5), (3, 5, 5), (5, 6, 5), (3, 2, 5, 5)]:
        fail(ValueError, two, call(attn_mask=tt.zeros(*shape).bool()))
    fail(
        TypeError,
        "must be bool or, as the input, float32, got int64",
        call(attn_mask=tt.zeros(5, 5).long()),
    )
    fail(TypeError, "got float64", call(key_padding_mask=tt.zeros(3, 5).double()))
    attend = F.scaled_dot_product_attention
    fail(TypeError, "additive mask must be float32", lambda: attend(x, x, x, tt.zeros(5, 5).long()))
    fail(ValueError, "broadcast", lambda: attend(x, x, x, tt.zeros(4, 5)))
    fail(ValueError, "differ in width", lambda: attend(x, x[..., :3], x))
    fail(ValueError, "differ in number", lambda: attend(x, x, x[:, :4]))
    fail(TypeError, "dtypes differ", lambda: attend(x, x.double(), x))


def test_segments_that_do_not_fit():
    x, qkv = tt.zeros(2, 3, 5, 4), tt.zeros(2, 5, 12)

    def attend(ids, q=x, k=x, **settings):
        return lambda: F.scaled_dot_product_attention(q, k, k, segment_ids=ids, **settings)

    def attend_packed(ids, tiled):
        return lambda: F.packed_self_attention(qkv, 2, segment_ids=ids, tiled=tiled)

    good = tt.ones(2, 5).long()
    for tiled in (False, True):
        for wrong in (tt.ones(2, 4).long(), tt.ones(1, 5).long(), tt.ones(10).long()):
            fail(ValueError, r"segment_ids must .*\(2, 5\), \(B, T\)", attend(wrong, tiled=tiled))
            fail(ValueError, r"segment_ids must .*\(2, 5\)", attend_packed(wrong, tiled))
        fail(ValueError, "segment_ids must be integers", attend(good.float(), tiled=tiled))
        fail(ValueError, "segment_ids must be integers", attend_packed(good.float(), tiled))
        fail(ValueError, "of one length", attend(good, k=tt.zeros(2, 3, 6, 4), tiled=tiled))
        fail(ValueError, "of one length", attend(good, q=x[0], k=x[0], tiled=tiled))
        fail(TypeError, "from_numpy", attend(np.ones((2, 5), int), tiled=tiled))
        fail(TypeError, "from_numpy", attend_packed(np.ones((2, 5), int), tiled))
    with_mask = attend(good, attn_mask=tt.zeros(5, 5), tiled=True)
    fail(ValueError, "by tiles takes no attn_mask", with_mask)


def test_dense_and_tiled_attention_take_the_same_segments():
    """One rule for all ways, one message: with each of these inputs both do the same."""
    x, qkv = tt.zeros(2, 3, 6, 4), tt.zeros(2, 6, 12)
    gpt = {
        tiled: tt.models.GPT(
            tt.models.GPTConfig(9, 6, num_layers=1, num_heads=2, embed_dim=4, tiled_attention=tiled)
        )
        for tiled in (False, True)
    }
    ids = tt.zeros(2, 6).long()
    ways = [
        lambda s, t: F.scaled_dot_product_attention(x, x, x, segment_ids=s, tiled=t),
        lambda s, t: F.scaled_dot_product_attention(x[:1], x, x, segment_ids=s, tiled=t),
        lambda s, t: F.scaled_dot_product_attention(x, x[:1], x[:1], segment_ids=s, tiled=t),
        lambda s, t: F.packed_self_attention(qkv, 2, segment_ids=s, tiled=t),
        lambda s, t: gpt[t](ids, segment_ids=s),
    ]
    in_layer = r"(\nin layer .*)?$"  # what a module adds to a message
    for shape in [(1, 6), (4, 6), (2, 5), (12,), (2, 1, 6)]:
        expected = "segment_ids must be integers of shape (2, 6), (B, T), got int64 "
        expected = re.escape(expected + str(shape))
        wrong = tt.ones(*shape).long()
        for way in ways:
            for tiled in (False, True):
                fail(ValueError, f"^{expected}{in_layer}", partial(way, wrong, tiled))
    for way in ways:
        dense, by_tiles = (way(tt.ones(2, 6).long(), tiled) for tiled in (False, True))
        assert dense.shape == by_tiles.shape
        for tiled in (False, True):
            no_tensor = r"segment_ids must be a tensor, .*ndarray"
            fail(TypeError, no_tensor, partial(way, np.ones((2, 6), int), tiled))


def test_packed_attention_and_mask_makers_refuse_what_they_cannot_use():
    qkv = tt.zeros(2, 3, 12)
    fail(ValueError, r"expects \(B, T, 3 D\)", lambda: F.packed_self_attention(qkv[0], 2))
    fail(ValueError, "multiple of 5 heads", lambda: F.packed_self_attention(qkv, 5))
    learned = tt.zeros(3, 3, requires_grad=True)
    fail(ValueError, "learned mask", lambda: F.packed_self_attention(qkv, 2, learned))
    fail(ValueError, "integers", lambda: F.segment_mask(tt.zeros(2, 3)))
    fail(ValueError, "integers", lambda: F.segment_mask(tt.tensor([1, 2])))
    fail(ValueError, r"\(B, T, D\), got shape \(3,\)", lambda: F.causal_mask(tt.zeros(3)))
    fail(TypeError, "floating-point input, got int64", lambda: F.causal_mask(qkv.long()))
