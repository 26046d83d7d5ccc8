"""Scaled dot-product attention as one operation, and the same on packed queries, keys and values.

For one head, with queries Q (T, D), keys K (S, D), values V (S, E) and an additive mask M (T, S):
P = softmax(scale Q K^T + M),  O = P V. Backward, with G = dL/dO:
dV = P^T G,  dP = G V^T,  dS = P (dP - rowsum(G O)),  dQ = scale dS K,  dK = scale dS^T Q,  dM = dS.

References
----------
A. Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, section 3.2.1.
"""

import math

import numpy as np

from tinytrain.autograd import Function, unbroadcast
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import check_broadcast


def causal_mask(queries: int, keys: int, like: Array) -> Array:
    """Return the additive mask (T, S) that hides later positions: 0 where s <= t, else -inf.

    Examples
    --------
    >>> causal_mask(2, 2, np.zeros(1))
    array([[  0., -inf],
           [  0.,   0.]])
    """
    xp = xp_of(like)
    later = xp.arange(keys) > xp.arange(queries)[:, None]
    return xp.where(later, like.dtype.type(-math.inf), like.dtype.type(0))


def additive_mask(mask: Array, dtype: "np.dtype[np.floating]") -> Array:
    """Turn a boolean mask (True: attend) into an additive one (0 and -inf)."""
    if mask.dtype == np.bool_:
        return xp_of(mask).where(mask, dtype.type(0), dtype.type(-math.inf))
    if mask.dtype != dtype:
        raise TypeError(
            f"attention: an additive mask must be {dtype} as the queries, not {mask.dtype}"
        )
    return mask


def attend(q: Array, k: Array, v: Array, mask: Array | None, scale: float, out: Array) -> Array:
    """Write the attention output to `out` and return the probabilities.

    Parameters
    ----------
    q, k, v, out : array (B, H, T, D), (B, H, S, D), (B, H, S, E), (B, H, T, E)
        May be strided views: the products take them without a copy.
    mask : array or None
        Additive, broadcastable to (B, H, T, S).

    Returns
    -------
    array (B, H, T, S)
        A query whose mask is -inf for every key has probabilities 0.
    """
    xp = xp_of(q, k, v, mask, out)
    probabilities = xp.empty((*q.shape[:3], k.shape[2]), dtype=q.dtype)
    full_mask = None if mask is None else xp.broadcast_to(mask, probabilities.shape)
    ones = xp.ones((k.shape[2], 1), dtype=q.dtype)
    lowest = xp.finfo(q.dtype).min
    for b in range(q.shape[0]):  # one sequence at a time: its scores stay in the cache
        p = probabilities[b]
        xp.matmul(q[b], k[b].swapaxes(-1, -2), out=p)
        p *= scale
        if full_mask is not None:
            p += full_mask[b]
        highest = p.max(axis=-1, keepdims=True)
        xp.maximum(highest, lowest, out=highest)  # -inf - (-inf) would be NaN
        p -= highest
        xp.exp(p, out=p)
        total = xp.matmul(p, ones)
        p /= xp.where(total == 0, p.dtype.type(1), total)
        xp.matmul(p, v[b], out=out[b])
    return probabilities


def attend_backward(
    gradient: Array,
    q: Array,
    k: Array,
    v: Array,
    probabilities: Array,
    output: Array,
    scale: float,
    into: tuple[Array, Array, Array],
    scores_gradient: Array | None = None,
) -> None:
    """Write the gradients of q, k and v to the arrays `into`, and of the scores where asked for."""
    xp = xp_of(gradient, q, k, v)
    dq, dk, dv = into
    for b in range(q.shape[0]):
        g, p = gradient[b], probabilities[b]
        xp.matmul(p.swapaxes(-1, -2), g, out=dv[b])
        ds = xp.matmul(g, v[b].swapaxes(-1, -2))  # dP, turned into dS in place
        ds -= (g * output[b]).sum(axis=-1, keepdims=True)
        ds *= p
        if scores_gradient is not None:
            scores_gradient[b] = ds
        ds *= scale
        xp.matmul(ds, k[b], out=dq[b])
        xp.matmul(ds.swapaxes(-1, -2), q[b], out=dk[b])


class ScaledDotProductAttention(Function):
    """O = softmax(scale Q K^T + M) V. Shapes: q (..., T, D), k (..., S, D), v (..., S, E)."""

    def __init__(self, is_causal: bool = False, scale: float | None = None) -> None:
        self.is_causal, self.scale = is_causal, scale

    def forward(self, q: Array, k: Array, v: Array, mask: Array | None) -> Array:
        """Attend; leading axes are flattened to (B, H) and broadcast where they differ."""
        xp = xp_of(q, k, v, mask)
        self._check(q, k, v)
        self.factor = 1 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        self.lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        q4, k4, v4 = (self._four_axes(x) for x in (q, k, v))
        scores_shape = (*self.lead, q.shape[-2], k.shape[-2])
        combined = None
        if mask is not None:
            check_broadcast(mask.shape, scores_shape)
            combined = additive_mask(mask, q.dtype)
        if self.is_causal:
            causal = causal_mask(q.shape[-2], k.shape[-2], q)
            combined = causal if combined is None else combined + causal
        if combined is not None:
            combined = self._four_axes(combined)
        out = xp.empty((*q4.shape[:3], v.shape[-1]), dtype=q.dtype)
        probabilities = attend(q4, k4, v4, combined, self.factor, out)
        self.save(q4, k4, v4, probabilities, out)
        self.input_shapes = (q.shape, k.shape, v.shape, None if mask is None else mask.shape)
        return out.reshape(*self.lead, *out.shape[-2:])

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Differentiate, and sum over the axes that were broadcast."""
        q, k, v, probabilities, out = self.saved
        xp = xp_of(q)
        into = (xp.empty(q.shape, q.dtype), xp.empty(k.shape, k.dtype), xp.empty(v.shape, v.dtype))
        ds = xp.empty_like(probabilities) if self.needs[3] else None
        gradient = gradient.reshape(out.shape)
        attend_backward(gradient, q, k, v, probabilities, out, self.factor, into, ds)
        results = (*into, ds)
        return tuple(
            unbroadcast(result.reshape(*self.lead, *result.shape[-2:]), shape) if needed else None
            for result, shape, needed in zip(results, self.input_shapes, self.needs, strict=True)
        )

    def _four_axes(self, x: Array) -> Array:
        """Return x as (B, H, rows, columns); missing leading axes become 1."""
        xp = xp_of(x)
        x = xp.broadcast_to(x, (*self.lead, *x.shape[-2:]))
        if len(self.lead) < 2:
            return x.reshape((1,) * (2 - len(self.lead)) + x.shape)
        return x.reshape(-1, *x.shape[-3:])

    @staticmethod
    def _check(q: Array, k: Array, v: Array) -> None:
        shapes = f"q {q.shape}, k {k.shape}, v {v.shape}"
        if min(q.ndim, k.ndim, v.ndim) < 2:
            raise ValueError(f"attention needs at least two axes (..., T, D), got {shapes}")
        if q.shape[-1] != k.shape[-1]:
            raise ValueError(f"attention: queries and keys differ in width: {shapes}")
        if k.shape[-2] != v.shape[-2]:
            raise ValueError(f"attention: keys and values differ in number: {shapes}")
        if not q.dtype == k.dtype == v.dtype:
            raise TypeError(f"attention: dtypes differ: {q.dtype}, {k.dtype}, {v.dtype}")
        check_broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])


class PackedSelfAttention(Function):
    """Self-attention straight from the product that makes queries, keys and values.

    Shapes: qkv (B, T, 3 D) holding q, k, v side by side, each with `num_heads` heads side by side;
    mask additive, broadcastable to (B, H, T, T), or None; output (B, T, D). Heads are strided views
    of the one array, and results are written through such views: nothing is copied or rearranged.
    """

    def __init__(self, num_heads: int) -> None:
        self.num_heads = num_heads

    def forward(self, qkv: Array, mask: Array | None) -> Array:
        """Attend within each sequence."""
        xp = xp_of(qkv, mask)
        if qkv.ndim != 3 or qkv.shape[2] % (3 * self.num_heads):
            raise ValueError(
                f"packed attention expects (B, T, 3 D) with D a multiple of {self.num_heads} "
                f"heads, got shape {qkv.shape}"
            )
        batch, length, width = qkv.shape
        if mask is not None:
            check_broadcast(mask.shape, (batch, self.num_heads, length, length))
            mask = additive_mask(mask, qkv.dtype)
        q, k, v = self._heads(qkv, 3)
        self.scale = 1 / math.sqrt(q.shape[-1])
        out = xp.empty((batch, length, width // 3), dtype=qkv.dtype)
        probabilities = attend(q, k, v, mask, self.scale, self._heads(out, 1)[0])
        self.save(qkv, probabilities, out)
        return out

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Write the gradients of q, k and v side by side into one array."""
        qkv, probabilities, out = self.saved
        dqkv = xp_of(qkv).empty(qkv.shape, dtype=qkv.dtype)
        q, k, v = self._heads(qkv, 3)
        into = self._heads(dqkv, 3)
        (g,), (o,) = self._heads(gradient, 1), self._heads(out, 1)
        attend_backward(g, q, k, v, probabilities, o, self.scale, (into[0], into[1], into[2]))
        return dqkv, None

    def _heads(self, x: Array, parts: int) -> list[Array]:
        """View (B, T, parts * D) as `parts` arrays (B, H, T, D / H)."""
        batch, length, width = x.shape
        size = width // (parts * self.num_heads)
        split = x.reshape(batch, length, parts, self.num_heads, size)
        return [split[:, :, part].transpose(0, 2, 1, 3) for part in range(parts)]
