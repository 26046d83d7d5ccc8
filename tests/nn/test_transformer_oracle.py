"""The transformer's encoder, and attention without a batch axis, against PyTorch in float64."""

import numpy as np
import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

BATCH, LENGTH, WIDTH, HEADS = 3, 4, 6, 2
LATER = np.triu(np.ones((LENGTH, LENGTH), dtype=bool), 1)
PADDING = np.arange(LENGTH) >= np.array([[4], [3], [2]])
BATCHED_MASKS = [
    {},
    {"src_mask": LATER},
    {"src_mask": numbers(BATCH * HEADS, LENGTH, LENGTH, seed=3)},
    {"src_key_padding_mask": PADDING},
    {"src_mask": LATER, "src_key_padding_mask": PADDING},
]
MASKS_OF_ONE = [
    {},
    {"src_mask": LATER},
    {"src_mask": numbers(HEADS, LENGTH, LENGTH, seed=3)},
    {"src_key_padding_mask": PADDING[2]},
]


def layers(**settings):
    settings = {"dropout": 0.0, **settings}
    pair = [
        library.TransformerEncoderLayer(WIDTH, HEADS, 5, **settings)
        for library in (tt.nn, torch.nn)
    ]
    for parameter in pair[1].parameters():  # biases that start at 0 would hide mistakes
        torch.nn.init.normal_(parameter)
    copy_state(*pair)
    return pair


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_encoder_layer(norm_first, bias, activation, batch_first):
    settings = {"norm_first": norm_first, "bias": bias, "batch_first": batch_first}
    shape = (BATCH, LENGTH) if batch_first else (LENGTH, BATCH)
    cases = [(shape, masks) for masks in BATCHED_MASKS] + [((LENGTH,), m) for m in MASKS_OF_ONE]
    for lead, masks in cases:
        pair = layers(activation=activation, layer_norm_eps=1e-3, **settings)
        assert_like_torch(*pair, numbers(*lead, WIDTH), **masks)


def test_causal_needs_no_mask_beside_it():
    ours, theirs = layers(activation="gelu")
    assert_like_torch(
        lambda x: ours(x, is_causal=True),
        lambda x: theirs(x, torch.tensor(LATER), is_causal=True),
        numbers(LENGTH, BATCH, WIDTH),
    )


def test_a_function_as_activation_and_dropout_in_evaluation():
    ours, theirs = (
        library.TransformerEncoderLayer(WIDTH, HEADS, 5, 0.5, library.functional.silu).eval()
        for library in (tt.nn, torch.nn)
    )
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, numbers(LENGTH, BATCH, WIDTH))


def test_dropout_of_everything_leaves_the_norms():
    assert_like_torch(*layers(dropout=1.0), numbers(LENGTH, BATCH, WIDTH))


@pytest.mark.parametrize("normed", [False, True])
def test_encoder(normed):
    ours, theirs = (
        library.TransformerEncoder(
            library.TransformerEncoderLayer(WIDTH, HEADS, 5, 0.0, batch_first=True),
            2,
            library.LayerNorm(WIDTH) if normed else None,
        )
        for library in (tt.nn, torch.nn)
    )
    copy_state(ours, theirs)
    x = numbers(BATCH, LENGTH, WIDTH)
    assert_like_torch(ours, theirs, x, mask=LATER, src_key_padding_mask=PADDING)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_without_a_batch_axis(average, batch_first):
    ours, theirs = (
        library.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)
        for library in (tt.nn, torch.nn)
    )
    copy_state(ours, theirs)
    x, memory = numbers(3, WIDTH), numbers(LENGTH, WIDTH, seed=1)
    settings = {"average_attn_weights": average, "key_padding_mask": PADDING[1]}
    assert_like_torch(ours, theirs, x, memory, memory.copy(), **settings)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="'relu', 'gelu' or callable, got 'swish'"):
        tt.nn.TransformerEncoderLayer(4, 2, activation="swish")
    with pytest.raises(ValueError, match="at least one layer, got 0"):
        tt.nn.TransformerEncoder(tt.nn.TransformerEncoderLayer(4, 2, 3), 0)
    attention = tt.nn.MultiheadAttention(4, 2)
    with pytest.raises(ValueError, match=r"got query \(2, 4\), key \(2, 1, 4\)"):
        attention(tt.ones(2, 4), tt.ones(2, 1, 4), tt.ones(2, 1, 4))
    x = tt.ones(2, 4)
    with pytest.raises(ValueError, match=r"key_padding_mask must be \(2,\), got \(1, 2\)"):
        attention(x, x, x, key_padding_mask=tt.ones(1, 2))
