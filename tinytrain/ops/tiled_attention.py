"""Attention in memory that grows with the length: the operations around the tiles.

The loops are in `tinytrain.kernels.tiled_attention`. The mask is not an array here: it is said by
`is_causal` and by the segments' numbers.
"""

import math

import numpy as np

from tinytrain.autograd import Function, unbroadcast
from tinytrain.backend import Array, xp_of
from tinytrain.kernels.tiled_attention import tiled_attend, tiled_attend_backward
from tinytrain.ops.attention import check_inputs, check_packed, four_axes, split_heads
from tinytrain.ops.promotion import plain_number


def check_segments(segment_ids: Array | None, batch: int, length: int) -> None:
    """Raise unless the segments are integers of shape (B, T), or None."""
    if segment_ids is None:
        return
    if segment_ids.shape != (batch, length) or segment_ids.dtype.kind not in "iu":
        raise ValueError(
            f"segment_ids must be integers of shape {(batch, length)}, (B, T), got "
            f"{segment_ids.dtype} {segment_ids.shape}"
        )


class TiledAttention(Function):
    """O = softmax(scale Q K^T + M) V, by tiles.

    Shapes: q (..., T, D), k (..., S, D), v (..., S, E); segments are integers (B, T), for
    q (B, H, T, D) and as many keys as queries.
    """

    def __init__(self, is_causal: bool = False, scale: float | None = None) -> None:
        self.is_causal, self.scale = is_causal, plain_number(scale)

    def forward(self, q: Array, k: Array, v: Array, segment_ids: Array | None) -> Array:
        """Attend; leading axes are flattened to (B, H) and broadcast where they differ."""
        xp = xp_of(q, k, v, segment_ids)
        check_inputs(q, k, v)
        self.factor = 1 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        self.lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        if segment_ids is not None:
            if len(self.lead) != 2 or q.shape[-2] != k.shape[-2]:
                raise ValueError(
                    "segment_ids are for queries, keys and values (B, H, T, D) of one length, got "
                    f"q {q.shape}, k {k.shape}, v {v.shape}"
                )
            check_segments(segment_ids, self.lead[0], q.shape[-2])
        q4, k4, v4 = inputs = tuple(four_axes(x, self.lead) for x in (q, k, v))
        out = xp.empty((*q4.shape[:3], v.shape[-1]), dtype=q.dtype)
        kept = tiled_attend((q4, k4, v4), segment_ids, self.is_causal, self.factor, out)
        self.save(inputs, segment_ids, out, kept)
        self.input_shapes = (q.shape, k.shape, v.shape)
        return out.reshape(*self.lead, *out.shape[-2:])

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Differentiate, and sum over the axes that were broadcast."""
        inputs, segment_ids, out, kept = self.saved
        xp = xp_of(gradient)
        dq, dk, dv = (xp.zeros(x.shape, dtype=x.dtype) for x in inputs)
        settings = (segment_ids, self.is_causal, self.factor)
        gradient = gradient.reshape(out.shape)
        tiled_attend_backward(gradient, inputs, *settings, out, kept, (dq, dk, dv))
        found = (
            unbroadcast(x.reshape(*self.lead, *x.shape[-2:]), shape) if needed else None
            for x, shape, needed in zip((dq, dk, dv), self.input_shapes, self.needs, strict=False)
        )
        return (*found, None)  # segments have no gradient


class TiledSelfAttention(Function):
    """Self-attention, by tiles, straight from the product that makes queries, keys and values.

    Shapes: qkv (B, T, 3 D) as in `PackedSelfAttention`, segments (B, T), output (B, T, D).
    """

    def __init__(self, num_heads: int, is_causal: bool = False) -> None:
        self.num_heads, self.is_causal = num_heads, is_causal

    def forward(self, qkv: Array, segment_ids: Array | None) -> Array:
        """Attend within each sequence."""
        xp = xp_of(qkv, segment_ids)
        check_packed(qkv, self.num_heads)
        batch, length, width = qkv.shape
        check_segments(segment_ids, batch, length)
        q, k, v = split_heads(qkv, 3, self.num_heads)
        self.factor = 1 / math.sqrt(q.shape[-1])
        out = xp.empty((batch, length, width // 3), dtype=qkv.dtype)
        (heads_out,) = split_heads(out, 1, self.num_heads)
        kept = tiled_attend((q, k, v), segment_ids, self.is_causal, self.factor, heads_out)
        self.save(qkv, segment_ids, out, kept)
        return out

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Write the gradients of q, k and v side by side into one array."""
        qkv, segment_ids, out, kept = self.saved
        dqkv = xp_of(qkv).zeros(qkv.shape, dtype=qkv.dtype)
        q, k, v = split_heads(qkv, 3, self.num_heads)
        dq, dk, dv = split_heads(dqkv, 3, self.num_heads)
        (g,), (o,) = (split_heads(x, 1, self.num_heads) for x in (gradient, out))
        settings = (segment_ids, self.is_causal, self.factor)
        tiled_attend_backward(g, (q, k, v), *settings, o, kept, (dq, dk, dv))
        return dqkv, None
