"""The attention layers against PyTorch, in float64, under all kinds of masks."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

BATCH, QUERIES, KEYS, WIDTH, HEADS = 3, 4, 5, 6, 2


def hidden(*shape, seed=0):
    """A boolean mask that leaves each query at least its first key."""
    mask = np.random.default_rng(seed).random(shape) < 0.4
    mask[..., 0] = False
    return mask


MASKS = {
    "none": {},
    "padding": {"key_padding_mask": hidden(BATCH, KEYS)},
    "padding, added": {"key_padding_mask": numbers(BATCH, KEYS, seed=3)},
    "mask": {"attn_mask": hidden(QUERIES, KEYS)},
    "mask, added": {"attn_mask": numbers(QUERIES, KEYS, seed=4)},
    "mask with -inf": {"attn_mask": np.where(hidden(QUERIES, KEYS), -math.inf, 0.0)},
    "mask per head": {"attn_mask": hidden(BATCH * HEADS, QUERIES, KEYS)},
    "mask per head, added": {"attn_mask": numbers(BATCH * HEADS, QUERIES, KEYS, seed=5)},
    "both": {
        "key_padding_mask": hidden(BATCH, KEYS, seed=1),
        "attn_mask": hidden(QUERIES, KEYS, seed=2),
    },
    "both, added": {
        "key_padding_mask": numbers(BATCH, KEYS, seed=1),
        "attn_mask": numbers(BATCH * HEADS, QUERIES, KEYS, seed=2),
    },
}


def pair(**settings):
    ours = tt.nn.MultiheadAttention(WIDTH, HEADS, **settings)
    theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, **settings)
    if theirs.in_proj_bias is not None:  # PyTorch starts it at zero, which would hide mistakes
        torch.nn.init.normal_(theirs.in_proj_bias)
        torch.nn.init.normal_(theirs.out_proj.bias)
    copy_state(ours, theirs)
    return ours, theirs


def inputs(batch_first, batch=BATCH):
    arrays = [
        numbers(batch, QUERIES, WIDTH),
        *(numbers(batch, KEYS, WIDTH, seed=s) for s in (1, 2)),
    ]
    return arrays if batch_first else [x.swapaxes(0, 1) for x in arrays]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_masks(masks, need_weights, batch_first):
    ours, theirs = pair(batch_first=batch_first)
    assert_like_torch(ours, theirs, *inputs(batch_first), need_weights=need_weights, **MASKS[masks])


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_weights_of_each_head(average, bias):
    ours, theirs = pair(bias=bias)
    assert_like_torch(ours, theirs, *inputs(False), average_attn_weights=average)


@pytest.mark.parametrize("need_weights", [True, False])
def test_causal(need_weights):
    """PyTorch wants the mask beside the flag, tinytrain makes it."""
    ours, theirs = pair(batch_first=True)
    later = torch.ones(QUERIES, KEYS, dtype=torch.bool).triu(1)
    assert_like_torch(
        lambda *x: ours(*x, is_causal=True, need_weights=need_weights),
        lambda *x: theirs(*x, attn_mask=later, need_weights=need_weights),
        *inputs(True),
    )
    mask = hidden(QUERIES, KEYS)
    assert_like_torch(
        lambda *x: ours(*x, is_causal=True, attn_mask=tt.tensor(mask)),
        lambda *x: theirs(*x, attn_mask=later | torch.tensor(mask)),
        *inputs(True),
    )


def test_self_attention_and_evaluation_with_dropout():
    ours, theirs = pair(dropout=0.5, batch_first=True)
    ours.eval()
    theirs.eval()
    assert_like_torch(
        lambda x: ours(x, x, x), lambda x: theirs(x, x, x), numbers(BATCH, QUERIES, WIDTH)
    )


def test_an_empty_batch():
    ours, theirs = pair(batch_first=True)
    for need_weights in (True, False):
        assert_like_torch(ours, theirs, *inputs(True, batch=0), need_weights=need_weights)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 2, 3)])
def test_scaled_dot_product_attention(lead, causal, scale):
    arrays = [numbers(*lead, QUERIES, 6)]
    arrays += [numbers(*lead, KEYS, 6, seed=1), numbers(*lead, KEYS, 2, seed=2)]
    ours = tt.nn.functional.scaled_dot_product_attention
    theirs = torch.nn.functional.scaled_dot_product_attention
    assert_like_torch(
        lambda *x: ours(*x, is_causal=causal, scale=scale),
        lambda *x: theirs(*x, is_causal=causal, scale=scale),
        *arrays,
    )


@pytest.mark.parametrize(
    "shape", [(QUERIES, KEYS), (1, KEYS), (QUERIES, 1), (3, QUERIES, KEYS), (2, 1, QUERIES, KEYS)]
)
@pytest.mark.parametrize("boolean", [True, False])
def test_masks_of_scaled_dot_product_attention(shape, boolean):
    mask = ~hidden(*shape) if boolean else numbers(*shape, seed=3)
    arrays = [numbers(2, 3, QUERIES, 6)]
    arrays += [numbers(2, 3, KEYS, 6, seed=1), numbers(2, 3, KEYS, 2, seed=2)]
    assert_like_torch(
        tt.nn.functional.scaled_dot_product_attention,
        torch.nn.functional.scaled_dot_product_attention,
        *arrays,
        mask,
    )


class TorchCausalSelfAttention(torch.nn.Module):
    """Composed of PyTorch's own parts."""

    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.qkv = torch.nn.Linear(width, 3 * width, bias)
        self.projection = torch.nn.Linear(width, width, bias)

    def forward(self, x, attn_mask=None):
        split = [
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        ]
        heads = torch.nn.functional.scaled_dot_product_attention(
            *split, attn_mask=attn_mask, is_causal=attn_mask is None
        )
        return self.projection(heads.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("batch", "length", "heads"), [(1, 1, 1), (3, 5, 2), (2, 7, 3), (0, 4, 2)])
def test_causal_self_attention(batch, length, heads, bias):
    ours = tt.nn.CausalSelfAttention(6, heads, bias=bias)
    theirs = TorchCausalSelfAttention(6, heads, bias)
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, numbers(batch, length, 6))


def test_causal_self_attention_of_packed_rows():
    ours, theirs = tt.nn.CausalSelfAttention(6, 2), TorchCausalSelfAttention(6, 2, True)
    copy_state(ours, theirs)
    segments = np.array([[1, 1, 2, 2, 2], [1, 2, 3, 3, 3]])
    allowed = (segments[:, :, None] == segments[:, None, :]) & np.tri(5, dtype=bool)
    mask = tt.nn.functional.segment_mask(tt.tensor(segments), dtype=np.dtype(np.float64))
    assert_like_torch(
        lambda x: ours(x, mask),
        lambda x: theirs(x, torch.tensor(allowed[:, None])),
        numbers(2, 5, 6),
    )
