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
from tinytrain.ops.promotion import check_broadcast, plain_number


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


def attend(
    q: Array, k: Array, v: Array, mask: Array | None, scale: float, out: Array
) -> tuple[Array, Array]:
    """Write the attention output to `out`, and return what the backward pass needs.

    Scores are kept with keys down and queries across, because reducing over an axis that is not
    the last one is several times faster. They are normalised last, on the output, which is smaller.

    Parameters
    ----------
    q, k, v, out : array (B, H, T, D), (B, H, S, D), (B, H, S, E), (B, H, T, E)
        May be strided views: the products take them without a copy.
    mask : array or None
        Additive, broadcastable to (B, H, T, S).

    Returns
    -------
    exponentials : array (B, H, S, T)
        e^(score - the query's highest score).
    inverse_sums : array (B, H, T, 1)
        1 / their sums, so that the product of both is P^T. A query whose mask is -inf for every
        key has exponentials 0, and 1 here.
    """
    xp = xp_of(q, k, v, mask, out)
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    exponentials = xp.empty((batch, heads, keys, queries), dtype=q.dtype)
    inverse_sums = xp.empty((batch, heads, queries, 1), dtype=q.dtype)
    if mask is not None:
        transposed = xp.ascontiguousarray(mask.swapaxes(-1, -2))
        mask = xp.broadcast_to(transposed, exponentials.shape)
    ones = xp.ones((1, keys), dtype=q.dtype)
    lowest = xp.finfo(q.dtype).min
    for b in range(batch):  # one sequence at a time: its scores stay in the cache
        e = exponentials[b]  # (H, S, T)
        xp.matmul(k[b], (q[b] * scale).swapaxes(-1, -2), out=e)
        if mask is not None:
            e += mask[b]
        highest = e.max(axis=-2, keepdims=True)  # (H, 1, T)
        xp.maximum(highest, lowest, out=highest)  # -inf - (-inf) would be NaN
        e -= highest
        xp.exp(e, out=e)
        sums = xp.matmul(ones, e)
        sums += sums == 0
        xp.divide(1, sums.swapaxes(-1, -2), out=inverse_sums[b])
        xp.matmul(e.swapaxes(-1, -2), v[b], out=out[b])
        out[b] *= inverse_sums[b]
    return exponentials, inverse_sums


def attend_backward(
    gradient: Array,
    inputs: tuple[Array, Array, Array],
    results: tuple[Array, Array, Array],
    scale: float,
    into: tuple[Array, Array, Array],
    scores_gradient: Array | None = None,
) -> None:
    """Differentiate `attend`.

    Parameters
    ----------
    gradient : array (B, H, T, E)
    inputs, into : tuple of array
        q, k and v, and where their gradients are written.
    results : tuple of array
        The output, the exponentials and the inverse sums.
    scale : float
    scores_gradient : array (B, H, T, S), optional
        Where the gradient of the scores, which is also that of the mask, is written.
    """
    (q, k, v), (dq, dk, dv) = inputs, into
    output, exponentials, inverse_sums = results
    xp = xp_of(gradient, q, k, v)
    ds = xp.empty(exponentials.shape[1:], dtype=gradient.dtype)  # (H, S, T), used for each b
    for b in range(q.shape[0]):
        # P = e / sum: dividing the smaller gradient by the sum serves for P wherever it stands.
        e = exponentials[b]  # (H, S, T)
        g = gradient[b] * inverse_sums[b]  # (H, T, E)
        xp.matmul(e, g, out=dv[b])
        xp.matmul(v[b], g.swapaxes(-1, -2), out=ds)  # dP^T, turned into dS^T in place
        ds -= (g * output[b]).sum(axis=-1)[:, None, :]
        ds *= e
        if scores_gradient is not None:
            scores_gradient[b] = ds.swapaxes(-1, -2)
        xp.matmul(ds.swapaxes(-1, -2), k[b], out=dq[b])
        dq[b] *= scale
        xp.matmul(ds, q[b] * scale, out=dk[b])


class ScaledDotProductAttention(Function):
    """O = softmax(scale Q K^T + M) V. Shapes: q (..., T, D), k (..., S, D), v (..., S, E)."""

    def __init__(self, is_causal: bool = False, scale: float | None = None) -> None:
        self.is_causal, self.scale = is_causal, plain_number(scale)

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
            combined = additive_mask(mask, scores_shape, q.dtype)
        if self.is_causal:
            causal = causal_mask(q.shape[-2], k.shape[-2], q)
            combined = causal if combined is None else combined + causal
        if combined is not None:
            combined = self._four_axes(combined)
        out = xp.empty((*q4.shape[:3], v.shape[-1]), dtype=q.dtype)
        self.save((q4, k4, v4), (out, *attend(q4, k4, v4, combined, self.factor, out)))
        self.input_shapes = (q.shape, k.shape, v.shape, None if mask is None else mask.shape)
        return out.reshape(*self.lead, *out.shape[-2:])

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Differentiate, and sum over the axes that were broadcast."""
        inputs, results = self.saved
        xp = xp_of(gradient)
        dq, dk, dv = (xp.empty(x.shape, dtype=x.dtype) for x in inputs)
        scores = (*inputs[0].shape[:3], inputs[1].shape[2])
        ds = xp.empty(scores, dtype=gradient.dtype) if self.needs[3] else None
        gradient = gradient.reshape(results[0].shape)
        attend_backward(gradient, inputs, results, self.factor, (dq, dk, dv), ds)
        return tuple(
            unbroadcast(found.reshape(*self.lead, *found.shape[-2:]), shape) if needed else None
            for found, shape, needed in zip(
                (dq, dk, dv, ds), self.input_shapes, self.needs, strict=True
            )
        )

    def _four_axes(self, x: Array) -> Array:
        """Return x as (B, H, rows, columns); missing leading axes become 1."""
        xp = xp_of(x)
        x = xp.broadcast_to(x, (*self.lead, *x.shape[-2:]))
        if len(self.lead) < 2:
            return x.reshape((1,) * (2 - len(self.lead)) + x.shape)
        return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])

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
            mask = additive_mask(mask, (batch, self.num_heads, length, length), qkv.dtype)
        q, k, v = self._heads(qkv, 3)
        self.scale = 1 / math.sqrt(q.shape[-1])
        out = xp.empty((batch, length, width // 3), dtype=qkv.dtype)
        found = attend(q, k, v, mask, self.scale, self._heads(out, 1)[0])
        self.save(qkv, out, *found)
        return out

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Write the gradients of q, k and v side by side into one array."""
        qkv, out, exponentials, inverse_sums = self.saved
        dqkv = xp_of(qkv).empty(qkv.shape, dtype=qkv.dtype)
        q, k, v = self._heads(qkv, 3)
        dq, dk, dv = self._heads(dqkv, 3)
        (g,), (o,) = self._heads(gradient, 1), self._heads(out, 1)
        results = (o, exponentials, inverse_sums)
        attend_backward(g, (q, k, v), results, self.scale, (dq, dk, dv))
        return dqkv, None

    def _heads(self, x: Array, parts: int) -> list[Array]:
        """View (B, T, parts * D) as `parts` arrays (B, H, T, D / H)."""
        batch, length, width = x.shape
        size = width // (parts * self.num_heads)
        split = x.reshape(batch, length, parts, self.num_heads, size)
        return [split[:, :, part].transpose(0, 2, 1, 3) for part in range(parts)]
