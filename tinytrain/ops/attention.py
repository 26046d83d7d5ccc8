"""Scaled dot-product attention as one operation, and the same on packed queries, keys and values.

The formulas and the loops are in `tinytrain.kernels.attention`, and those for a GPU in
`tinytrain.kernels.cuda_attention`.
"""

import math

import numpy as np

from tinytrain.autograd import Function, unbroadcast
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import check_broadcast, is_float, plain_number


def additive_mask(
    mask: Array, scores_shape: tuple[int, ...], dtype: "np.dtype[np.floating]"
) -> Array:
    """Turn a boolean mask (True: attend) into an additive one (0 and -inf); both get two axes."""
    check_broadcast(mask.shape, scores_shape)
    if np.broadcast_shapes(mask.shape, scores_shape) != scores_shape:
        raise ValueError(f"attention: a mask {mask.shape} is larger than the scores {scores_shape}")
    mask = xp_of(mask).atleast_2d(mask)
    if mask.dtype == np.bool_:
        return xp_of(mask).where(mask, dtype.type(0), dtype.type(-math.inf))
    if mask.dtype != dtype:
        raise TypeError(
            f"attention: an additive mask must be {dtype} as the queries, not {mask.dtype}"
        )
    return mask


def check_inputs(q: Array, k: Array, v: Array) -> None:
    """Raise where queries (..., T, D), keys (..., S, D) and values (..., S, E) do not fit."""
    shapes = f"q {q.shape}, k {k.shape}, v {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ValueError(f"attention needs at least two axes (..., T, D), got {shapes}")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"attention: queries and keys differ in width: {shapes}")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"attention: keys and values differ in number: {shapes}")
    if not is_float(q.dtype):
        raise TypeError(f"attention needs floating-point queries, got {q.dtype}; use .float()")
    if not k.shape[-2]:
        raise ValueError(f"attention: there are no keys to attend to: {shapes}")
    if not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"attention: dtypes differ: {q.dtype}, {k.dtype}, {v.dtype}")
    check_broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])


def check_packed(qkv: Array, num_heads: int) -> None:
    """Raise unless queries, keys and values lie side by side, (B, T, 3 D), in whole heads."""
    if num_heads < 1:
        raise ValueError(f"packed attention: num_heads must be at least 1, got {num_heads}")
    if qkv.ndim != 3 or qkv.shape[2] % (3 * num_heads):
        raise ValueError(
            f"packed attention expects (B, T, 3 D) with D a multiple of {num_heads} "
            f"heads, got shape {qkv.shape}"
        )


def four_axes(x: Array, lead: tuple[int, ...]) -> Array:
    """Repeat x (..., rows, columns) along leading axes, and flatten these to two: (B, H)."""
    xp = xp_of(x)
    x = xp.broadcast_to(x, (*lead, *x.shape[-2:]))
    if len(lead) < 2:
        return x.reshape((1,) * (2 - len(lead)) + x.shape)
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def split_heads(x: Array, parts: int, num_heads: int) -> list[Array]:
    """View (B, T, parts * D) as `parts` arrays (B, H, T, D / H)."""
    batch, length, width = x.shape
    size = width // (parts * num_heads)
    split = x.reshape(batch, length, parts, num_heads, size)
    return [split[:, :, part].transpose(0, 2, 1, 3) for part in range(parts)]


class ScaledDotProductAttention(Function):
    """O = softmax(scale Q K^T + M) V. Shapes: q (..., T, D), k (..., S, D), v (..., S, E)."""

    def __init__(self, is_causal: bool = False, scale: float | None = None) -> None:
        self.is_causal, self.scale = is_causal, plain_number(scale)

    def forward(self, q: Array, k: Array, v: Array, mask: Array | None) -> Array:
        """Attend; leading axes are flattened to (B, H) and broadcast where they differ."""
        xp = xp_of(q, k, v, mask)
        check_inputs(q, k, v)
        self.factor = 1 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        self.lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        q4, k4, v4 = (four_axes(x, self.lead) for x in (q, k, v))
        scores_shape = (*self.lead, q.shape[-2], k.shape[-2])
        combined = None
        if mask is not None:
            combined = additive_mask(mask, scores_shape, q.dtype)
            combined = four_axes(combined, self.lead)
        out = xp.empty((*q4.shape[:3], v.shape[-1]), dtype=q.dtype)
        inputs = (q4, k4, v4)
        kept = kernels_for(q).attend(inputs, combined, self.is_causal, self.factor, out)
        self.save(inputs, out, kept)
        self.input_shapes = (q.shape, k.shape, v.shape, None if mask is None else mask.shape)
        return out.reshape(*self.lead, *out.shape[-2:])

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Differentiate, and sum over the axes that were broadcast."""
        inputs, out, kept = self.saved
        xp = xp_of(gradient)
        dq, dk, dv = (xp.zeros(x.shape, dtype=x.dtype) for x in inputs)
        scores = (*inputs[0].shape[:3], inputs[1].shape[2])
        ds = xp.zeros(scores, dtype=gradient.dtype) if self.needs[3] else None
        gradient = gradient.reshape(out.shape)
        kernels_for(gradient).attend_backward(
            gradient, inputs, out, kept, self.factor, (dq, dk, dv), ds
        )
        return tuple(
            unbroadcast(found.reshape(*self.lead, *found.shape[-2:]), shape) if needed else None
            for found, shape, needed in zip(
                (dq, dk, dv, ds), self.input_shapes, self.needs, strict=True
            )
        )


class PackedSelfAttention(Function):
    """Self-attention straight from the product that makes queries, keys and values.

    Shapes: qkv (B, T, 3 D) holding q, k, v side by side, each with `num_heads` heads side by side;
    mask additive, broadcastable to (B, H, T, T), or None; output (B, T, D). Heads are strided views
    of the one array, and results are written through such views: nothing is copied or rearranged.
    """

    def __init__(self, num_heads: int, is_causal: bool = False) -> None:
        self.num_heads, self.is_causal = num_heads, is_causal

    def forward(self, qkv: Array, mask: Array | None) -> Array:
        """Attend within each sequence."""
        xp = xp_of(qkv, mask)
        check_packed(qkv, self.num_heads)
        batch, length, width = qkv.shape
        if mask is not None:
            mask = additive_mask(mask, (batch, self.num_heads, length, length), qkv.dtype)
        q, k, v = split_heads(qkv, 3, self.num_heads)
        self.scale = 1 / math.sqrt(q.shape[-1])
        out = xp.empty((batch, length, width // 3), dtype=qkv.dtype)
        (heads_out,) = split_heads(out, 1, self.num_heads)
        kept = kernels_for(qkv).attend((q, k, v), mask, self.is_causal, self.scale, heads_out)
        self.save(qkv, out, kept)
        return out

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Write the gradients of q, k and v side by side into one array."""
        qkv, out, kept = self.saved
        dqkv = xp_of(qkv).zeros(qkv.shape, dtype=qkv.dtype)
        q, k, v = split_heads(qkv, 3, self.num_heads)
        dq, dk, dv = split_heads(dqkv, 3, self.num_heads)
        (g,), (o,) = (split_heads(x, 1, self.num_heads) for x in (gradient, out))
        kernels_for(qkv).attend_backward(g, (q, k, v), o, kept, self.scale, (dq, dk, dv))
        return dqkv, None
