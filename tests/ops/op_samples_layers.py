"""Sample inputs of the layers that are one operation each."""

import math

import numpy as np
from op_sample import coin, integers, normal, positive, sample

import tinytrain as tt
from tinytrain.ops.attention import PackedSelfAttention, ScaledDotProductAttention
from tinytrain.ops.elementwise import Dropout
from tinytrain.ops.index import Embedding
from tinytrain.ops.loss import CrossEntropy
from tinytrain.ops.matmul import Linear
from tinytrain.ops.normalization import BatchNorm, LayerNorm


def linear(t, *inputs):
    return t.nn.functional.linear(*inputs)


def embedding(t, ids, weight):
    return t.nn.functional.embedding(ids, weight)


LINEAR = [
    sample(Linear, "bias", linear, normal(4, 3), normal(2, 3), normal(2)),
    sample(Linear, "no_bias", linear, normal(4, 3), normal(2, 3)),
    sample(Linear, "vector", linear, normal(3), normal(2, 3), normal(2)),
    sample(Linear, "three_axes", linear, normal(2, 3, 4), normal(5, 4), normal(5)),
    sample(Linear, "no_rows", linear, normal(0, 3), normal(2, 3), normal(2)),
    sample(Embedding, "repeats", embedding, integers([0, 3, 0, 0]), normal(4, 3)),
    sample(Embedding, "matrix_of_ids", embedding, integers([[0, 1], [1, 1]]), normal(3, 2)),
    sample(Embedding, "one_id", embedding, integers(2), normal(4, 3)),
    sample(Embedding, "no_ids", embedding, integers([]), normal(4, 3)),
    sample(Embedding, "no_columns", embedding, integers([0, 1]), normal(4, 0)),
]


def layer_norm(*shape, **settings):
    return lambda t, *inputs: t.nn.functional.layer_norm(inputs[0], shape, *inputs[1:], **settings)


def batch_norm(t, x, *affine, **settings):
    mean = t.tensor([0.1, -0.2, 0.3], dtype=x.dtype)
    variance = t.tensor([1.5, 0.5, 1.0], dtype=x.dtype)
    return t.nn.functional.batch_norm(x, mean, variance, *affine, **settings)


def training(t, *inputs):
    return batch_norm(t, *inputs, training=True)


NORMS = [
    sample(LayerNorm, "affine", layer_norm(4), normal(3, 4), normal(4), normal(4)),
    sample(LayerNorm, "plain", layer_norm(4), normal(3, 4)),
    sample(LayerNorm, "weight_only", layer_norm(4), normal(2, 3, 4), normal(4)),
    sample(
        LayerNorm,
        "bias_only",
        lambda t, x, b: t.nn.functional.layer_norm(x, (4,), None, b),
        normal(3, 4),
        normal(4),
    ),
    sample(LayerNorm, "two_axes", layer_norm(3, 4), normal(2, 3, 4), normal(3, 4), normal(3, 4)),
    sample(LayerNorm, "eps", layer_norm(4, eps=0.5), normal(3, 4), normal(4), normal(4)),
    sample(LayerNorm, "no_rows", layer_norm(4), normal(0, 4), normal(4), normal(4)),
    sample(LayerNorm, "far_from_zero", layer_norm(4), normal(3, 4) + 1000, normal(4), normal(4)),
    sample(BatchNorm, "training", training, normal(4, 3), normal(3), normal(3)),
    sample(BatchNorm, "training_plain", training, normal(4, 3)),
    sample(BatchNorm, "training_images", training, normal(2, 3, 2, 2), normal(3), normal(3)),
    sample(BatchNorm, "evaluation", batch_norm, normal(4, 3), normal(3), normal(3)),
    sample(BatchNorm, "evaluation_of_one", batch_norm, normal(1, 3), normal(3)),
    sample(BatchNorm, "evaluation_sequences", batch_norm, normal(2, 3, 4), normal(3), normal(3)),
]


def cross_entropy(**settings):
    return lambda t, logits, targets: t.nn.functional.cross_entropy(logits, targets, **settings)


LOSSES = [
    *(
        sample(CrossEntropy, label, cross_entropy(**k), normal(4, 3), integers(0, 2, 2, 1))
        for label, k in [
            ("mean", {}),
            ("sum", {"reduction": "sum"}),
            ("none", {"reduction": "none"}),
            ("smoothed", {"label_smoothing": 0.1}),
            ("numpy_number", {"label_smoothing": np.float64(0.1)}),
            ("all_smooth", {"label_smoothing": 1.0, "reduction": "sum"}),
            ("ignored", {"ignore_index": 2}),
            ("ignored_smoothed", {"ignore_index": 2, "label_smoothing": 0.2}),
            ("ignored_none", {"ignore_index": 2, "reduction": "none"}),
        ]
    ),
    sample(CrossEntropy, "minus_100", cross_entropy(), normal(3, 2), integers(0, -100, 1)),
    sample(CrossEntropy, "vector", cross_entropy(), normal(3), integers(1)),
    sample(CrossEntropy, "vector_none", cross_entropy(reduction="none"), normal(3), integers(1)),
    sample(
        CrossEntropy, "sequence", cross_entropy(), normal(2, 3, 2), integers([[0, 1], [2, -100]])
    ),
    sample(
        CrossEntropy,
        "image_none",
        cross_entropy(reduction="none", label_smoothing=0.1),
        normal(1, 3, 2, 2),
        integers([[[0, 1], [2, -100]]]),
    ),
    sample(CrossEntropy, "no_rows", cross_entropy(reduction="sum"), normal(0, 3), integers([])),
    sample(CrossEntropy, "of_large", cross_entropy(), normal(2, 3) * 1e4, integers(0, 2)),
    sample(
        CrossEntropy,
        "nothing_counted",
        cross_entropy(reduction="sum"),
        normal(2, 3),
        integers(-100, -100),
    ),
]


def dropout(t, x):
    return t.nn.functional.dropout(x, 0.25, generator=tt.Generator(5))


def dropout_numpy_number(t, x):
    return t.nn.functional.dropout(x, np.float64(0.25), generator=tt.Generator(5))


def dropout_oracle(t, x):
    return x * t.tensor(dropout(tt, tt.ones(*x.shape).double()).cpu().numpy())


DROPOUT = [
    sample(Dropout, "", dropout, normal(4, 5), oracle=dropout_oracle),
    sample(Dropout, "numpy_number", dropout_numpy_number, normal(4, 5), oracle=dropout_oracle),
    sample(Dropout, "of_all", lambda t, x: t.nn.functional.dropout(x, 1.0), normal(3)),
]


def attention(**settings):
    return lambda t, *qkv: t.nn.functional.scaled_dot_product_attention(*qkv, **settings)


def segmented(is_causal):
    def attend(t, q, k, v, ids):
        return t.nn.functional.scaled_dot_product_attention(
            q, k, v, segment_ids=ids, is_causal=is_causal
        )

    def oracle(t, q, k, v, ids):
        allowed = (ids[:, :, None] == ids[:, None, :]) & (ids != 0)[:, None, :]
        if is_causal:
            allowed = allowed & t.ones(ids.shape[1], ids.shape[1], dtype=t.bool).tril()
        return t.nn.functional.scaled_dot_product_attention(q, k, v, allowed[:, None])

    return attend, oracle


def qkv(*lead, queries=3, keys=4, width=2, out=5):
    return normal(*lead, queries, width), normal(*lead, keys, width), normal(*lead, keys, out)


SEGMENTS = integers([[1, 1, 2], [1, 2, 0]])
HALF_MASKED = np.array([[True, False, True, False], [False] * 4, [True] * 4])

ATTENTION = [
    sample(ScaledDotProductAttention, "matrices", attention(), *qkv()),
    sample(ScaledDotProductAttention, "three_axes", attention(), *qkv(2)),
    sample(ScaledDotProductAttention, "four_axes", attention(), *qkv(2, 2)),
    sample(ScaledDotProductAttention, "five_axes", attention(), *qkv(2, 1, 2)),
    sample(ScaledDotProductAttention, "causal", attention(is_causal=True), *qkv(1, 2)),
    sample(
        ScaledDotProductAttention, "more_queries", attention(is_causal=True), *qkv(1, 1, queries=5)
    ),
    sample(ScaledDotProductAttention, "scale", attention(scale=0.3), *qkv(2)),
    sample(ScaledDotProductAttention, "numpy_scale", attention(scale=np.float64(0.3)), *qkv(2)),
    sample(ScaledDotProductAttention, "no_batch", attention(), *qkv(0, 2)),
    *(
        sample(ScaledDotProductAttention, f"boolean_{label}", attention(), *qkv(2, 2), mask)
        for label, mask in [
            ("matrix", HALF_MASKED),
            ("per_key", np.array([[True, True, False, True]])),
            ("per_batch", coin(2, 1, 3, 4)),
        ]
    ),
    *(
        sample(
            ScaledDotProductAttention, f"additive_{label}", attention(), *qkv(2, 2), normal(*shape)
        )
        for label, shape in [
            ("matrix", (3, 4)),
            ("per_key", (1, 4)),
            ("per_query", (3, 1)),
            ("per_batch", (2, 1, 3, 4)),
            ("full", (2, 2, 3, 4)),
        ]
    ),
    sample(
        ScaledDotProductAttention,
        "additive_vector",
        attention(),
        *qkv(2, 2),
        normal(4),
        oracle=lambda t, q, k, v, m: t.nn.functional.scaled_dot_product_attention(q, k, v, m[None]),
    ),
    sample(
        ScaledDotProductAttention,
        "shared_keys",
        attention(),
        normal(2, 3, 3, 2),
        normal(1, 1, 4, 2),
        normal(1, 3, 4, 5),
        oracle=lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(
            q, k.expand(2, 3, 4, 2), v.expand(2, 3, 4, 5)
        ),
    ),
    *(
        sample(
            ScaledDotProductAttention,
            label,
            segmented(is_causal)[0],
            *qkv(2, 2, keys=3),
            SEGMENTS,
            oracle=segmented(is_causal)[1],
        )
        for label, is_causal in [("segments", False), ("causal_segments", True)]
    ),
    sample(
        ScaledDotProductAttention,
        "causal_and_additive",
        lambda t, q, k, v, m: t.nn.functional.scaled_dot_product_attention(
            q, k, v, m, is_causal=True
        ),
        *qkv(2, 2),
        normal(3, 4),
        oracle=lambda t, q, k, v, m: t.nn.functional.scaled_dot_product_attention(
            q, k, v, m + t.full((3, 4), -math.inf, dtype=m.dtype).triu(1)
        ),
    ),
]


def packed(heads, mask=None):
    def attend(t, x):
        given = (
            None
            if mask is None
            else tt.tensor(mask.astype(x.dtype.name if mask.dtype != bool else bool))
        )
        return t.nn.functional.packed_self_attention(x, heads, given)

    def oracle(t, x):
        q, k, v = x.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        given = None if mask is None else t.tensor(mask)
        out = t.nn.functional.scaled_dot_product_attention(q, k, v, given)
        return out.transpose(1, 2).flatten(2)

    return attend, oracle


PACKED = [
    sample(PackedSelfAttention, label, packed(*k)[0], normal(2, 3, 12), oracle=packed(*k)[1])
    for label, k in [
        ("one_head", (1,)),
        ("heads", (2,)),
        ("boolean", (2, np.tril(np.ones((3, 3), bool)))),
        ("additive", (4, positive(2, 1, 3, 3))),
    ]
]

LAYERS = [*LINEAR, *NORMS, *LOSSES, *DROPOUT, *ATTENTION, *PACKED]
