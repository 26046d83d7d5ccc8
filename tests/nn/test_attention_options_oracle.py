"""What else PyTorch's attention can do: added keys, other widths, grouped queries."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

BATCH, QUERIES, KEYS, WIDTH, HEADS = 3, 4, 5, 6, 2
LATER = np.triu(np.ones((QUERIES, KEYS), dtype=bool), 1)
PADDING = np.arange(KEYS) >= np.array([[5], [3], [2]])
MASKS = {
    "none": {},
    "mask": {"attn_mask": LATER},
    "mask per head, added": {"attn_mask": numbers(BATCH * HEADS, QUERIES, KEYS, seed=5)},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": LATER, "key_padding_mask": PADDING},
}
MASKS_OF_ONE = {
    "none": {},
    "mask per head, added": {"attn_mask": numbers(HEADS, QUERIES, KEYS, seed=5)},
    "both": {"attn_mask": LATER, "key_padding_mask": PADDING[1]},
}
ADDED = [
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True},
]
WIDTHS = [
    {"kdim": 3},
    {"vdim": 7},
    {"kdim": 3, "vdim": 7, "bias": False},
    {"kdim": 3, "add_bias_kv": True, "add_zero_attn": True},
    {"kdim": WIDTH, "vdim": WIDTH},
]


def pair(**settings):
    ours, theirs = (
        library.MultiheadAttention(WIDTH, HEADS, **settings) for library in (tt.nn, torch.nn)
    )
    for parameter in theirs.parameters():  # biases that start at 0 would hide mistakes
        torch.nn.init.normal_(parameter)
    copy_state(ours, theirs)
    return ours, theirs


def inputs(lead=(BATCH,), batch_first=True, kdim=WIDTH, vdim=WIDTH, **_):
    arrays = [
        numbers(*lead, QUERIES, WIDTH),
        numbers(*lead, KEYS, kdim, seed=1),
        numbers(*lead, KEYS, vdim, seed=2),
    ]
    return arrays if batch_first else [x.swapaxes(0, 1) for x in arrays]


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("settings", ADDED + WIDTHS, ids=str)
def test_settings_of_multihead_attention(settings, batch_first, need_weights):
    for masks in MASKS.values():
        assert_like_torch(
            *pair(batch_first=batch_first, **settings),
            *inputs(batch_first=batch_first, **settings),
            need_weights=need_weights,
            average_attn_weights=False,
            **masks,
        )


@pytest.mark.parametrize("settings", [ADDED[2], WIDTHS[2]], ids=str)
@pytest.mark.parametrize("masks", MASKS_OF_ONE)
def test_without_a_batch_axis(settings, masks):
    assert_like_torch(*pair(**settings), *inputs((), **settings), **MASKS_OF_ONE[masks])


@pytest.mark.parametrize("need_weights", [True, False])
def test_every_query_may_look_at_what_is_added(need_weights):
    ours, theirs = pair(batch_first=True, add_bias_kv=True, add_zero_attn=True)
    assert_like_torch(
        lambda *x: ours(*x, is_causal=True, need_weights=need_weights),
        lambda *x: theirs(*x, attn_mask=torch.tensor(LATER), need_weights=need_weights),
        *inputs(),
    )
    x = tt.tensor(numbers(1, 2, WIDTH))
    _, weights = ours(x, x, x, attn_mask=tt.tensor([[True, True], [True, True]]))
    assert weights[..., :2].tolist() == [[[0, 0], [0, 0]]]
    assert weights[..., 2:].sum(-1).tolist() == pytest.approx(np.ones((1, 2)))


def test_arguments_stand_in_the_order_of_pytorch():
    arguments = (WIDTH, HEADS, 0.0, True, True, True, 3, 7, True)
    ours, theirs = tt.nn.MultiheadAttention(*arguments), torch.nn.MultiheadAttention(*arguments)
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, *inputs(kdim=3, vdim=7))


def test_initial_values_have_the_spread_of_pytorch():
    tt.manual_seed(0)
    layer = tt.nn.MultiheadAttention(64, 4, add_bias_kv=True, kdim=32)
    for name, rows, columns in [("q", 64, 64), ("k", 64, 32), ("v", 64, 64)]:
        bound = math.sqrt(6 / (rows + columns))
        largest = float(abs(getattr(layer, f"{name}_proj_weight")).amax())
        assert 0.95 * bound < largest <= bound
    assert layer.in_proj_weight is None
    expected = torch.nn.init.xavier_normal_(torch.empty(1, 1, 10**4)).std().item()
    wide = tt.nn.MultiheadAttention(10**3, 1, add_bias_kv=True)
    for bias in (wide.bias_k, wide.bias_v):
        assert float(bias.std()) == pytest.approx(expected * math.sqrt(10), rel=0.1)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("settings", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_grouped_queries(heads, settings):
    ours, theirs = (
        library.functional.scaled_dot_product_attention for library in (tt.nn, torch.nn)
    )
    assert_like_torch(
        lambda *x: ours(*x, enable_gqa=True, **settings),
        lambda *x: theirs(*x, enable_gqa=True, **settings),
        numbers(2, 4, QUERIES, 3),
        numbers(2, heads, KEYS, 3, seed=1),
        numbers(2, heads, KEYS, 2, seed=2),
    )
