"""Sample inputs of attention by tiles; those of the other attention are among the layers."""

import numpy as np
from op_sample import integers, normal, sample
from op_samples_layers import packed, qkv, segmented

from tinytrain.ops.tiled_attention import TiledAttention, TiledSelfAttention

SEGMENTS = integers([[1, 1, 2], [1, 2, 0]])


def tiled(**settings):
    def attend(t, *inputs):
        return t.nn.functional.scaled_dot_product_attention(*inputs, tiled=True, **settings)

    def oracle(t, *inputs):
        return t.nn.functional.scaled_dot_product_attention(*inputs, **settings)

    return attend, oracle


def tiled_segments(is_causal):
    def attend(t, q, k, v, ids):
        return t.nn.functional.scaled_dot_product_attention(
            q, k, v, segment_ids=ids, is_causal=is_causal, tiled=True
        )

    return attend, segmented(is_causal)[1]


def row(label, pair, *arrays):
    return sample(TiledAttention, label, pair[0], *arrays, oracle=pair[1])


def tiled_packed(t, x):
    return t.nn.functional.packed_self_attention(x, 2, tiled=True)


def tiled_packed_segments(t, x, ids):
    return t.nn.functional.packed_self_attention(x, 2, segment_ids=ids, tiled=True)


def tiled_packed_segments_oracle(t, x, ids):
    q, k, v = x.unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    return segmented(False)[1](t, q, k, v, ids).transpose(1, 2).flatten(2)


TILED = [
    row("matrices", tiled(), *qkv()),
    row("three_axes", tiled(), *qkv(2)),
    row("five_axes", tiled(), *qkv(2, 1, 2)),
    row("causal", tiled(is_causal=True), *qkv(1, 2)),
    row("more_queries", tiled(is_causal=True), *qkv(1, 1, queries=5)),
    row("scale", tiled(scale=0.3), *qkv(2)),
    row("numpy_scale", tiled(scale=np.float64(0.3)), *qkv(2)),
    row("no_batch", tiled(), *qkv(0, 2)),
    row("no_queries", tiled(), *qkv(1, 2, queries=0)),
    sample(
        TiledAttention,
        "shared_keys",
        tiled()[0],
        normal(2, 3, 3, 2),
        normal(1, 1, 4, 2),
        normal(1, 3, 4, 5),
        oracle=lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(
            q, k.expand(2, 3, 4, 2), v.expand(2, 3, 4, 5)
        ),
    ),
    row("segments", tiled_segments(False), *qkv(2, 2, keys=3), SEGMENTS),
    row("causal_segments", tiled_segments(True), *qkv(2, 2, keys=3), SEGMENTS),
    sample(TiledSelfAttention, "heads", tiled_packed, normal(2, 3, 12), oracle=packed(2)[1]),
    sample(
        TiledSelfAttention,
        "segments",
        tiled_packed_segments,
        normal(2, 3, 12),
        SEGMENTS,
        oracle=tiled_packed_segments_oracle,
    ),
]
