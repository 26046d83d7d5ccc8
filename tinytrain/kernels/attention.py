"""Attention on the CPU, one block of queries at a time; `cuda_attention` is its twin for a GPU.

For one head, with queries Q (T, D), keys K (S, D), values V (S, E) and an additive mask M (T, S):
P = softmax(scale Q K^T + M),  O = P V. Backward, with G = dL/dO:
dV = P^T G,  dP = G V^T,  dS = P (dP - rowsum(G O)),  dQ = scale dS K,  dK = scale dS^T Q,  dM = dS.

References
----------
A. Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, section 3.2.1.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from tinytrain.backend import Array, xp_of

QUERY_BLOCK = 64
"""Queries per block. With heads of usual width the products of a block are small enough for the
BLAS library to leave them to one thread: handing such small ones over costs more than it gains.
And in causal attention the keys after a block need no computing at all."""


class QueryBlock(NamedTuple):
    """Consecutive queries, what they may look at, and what the backward pass needs of them.

    Parameters
    ----------
    queries : slice
    keys : int
        The queries attend to the first so many keys.
    exponentials : array (B, H, keys, queries)
        e^(score - the query's highest score).
    inverse_sums : array (B, H, queries, 1)
        1 / their sums, so that the product of both is the probabilities, transposed. A query that
        may attend to nothing has exponentials 0, and 1 here.
    """

    queries: slice
    keys: int
    exponentials: Array
    inverse_sums: Array


def query_blocks(q: Array, keys: int, is_causal: bool) -> Iterator[QueryBlock]:
    """Cut the queries (B, H, T, D) into blocks with memory for their results."""
    xp = xp_of(q)
    batch, heads, queries, _ = q.shape
    for start in range(0, queries, QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, queries)
        visible = min(end, keys) if is_causal else keys
        yield QueryBlock(
            slice(start, end),
            visible,
            xp.empty((batch, heads, visible, end - start), dtype=q.dtype),
            xp.empty((batch, heads, end - start, 1), dtype=q.dtype),
        )


def attend(
    inputs: tuple[Array, Array, Array],
    mask: Array | None,
    is_causal: bool,
    scale: float,
    out: Array,
) -> Any:
    """Write the attention output to `out`, and return what the backward pass needs: the blocks.

    Scores are kept with keys down and queries across, because reducing over an axis that is not
    the last one is several times faster. They are normalised last, on the output, which is smaller.

    Parameters
    ----------
    inputs : tuple of array
        q (B, H, T, D), k (B, H, S, D), v (B, H, S, E). They, and `out`, may be strided views: the
        products take them without a copy.
    mask : array or None
        Additive, broadcastable to (B, H, T, S).
    is_causal : bool
        Hide keys s > t.
    scale : float
    out : array (B, H, T, E)
    """
    q, k, v = inputs
    xp = xp_of(q, k, v, mask, out)
    if mask is not None:
        transposed = xp.ascontiguousarray(mask.swapaxes(-1, -2))
        mask = xp.broadcast_to(transposed, (*q.shape[:2], k.shape[2], q.shape[2]))
    lowest = xp.finfo(q.dtype).min
    blocks = list(query_blocks(q, k.shape[2], is_causal))
    for block in blocks:
        t, keys = block.queries, block.keys
        hidden = causal_block(block, q) if is_causal else None
        ones = xp.ones((1, keys), dtype=q.dtype)
        for b in range(q.shape[0]):  # one sequence at a time: its scores stay in the cache
            e = block.exponentials[b]  # (H, keys, queries)
            xp.matmul(k[b, :, :keys], (q[b, :, t] * scale).swapaxes(-1, -2), out=e)
            if mask is not None:
                e += mask[b, :, :keys, t]
            if hidden is not None:
                e[:, t.start :] += hidden
            highest = e.max(axis=-2, keepdims=True)  # (H, 1, queries)
            xp.maximum(highest, lowest, out=highest)  # -inf - (-inf) would be NaN
            e -= highest
            xp.exp(e, out=e)
            sums = xp.matmul(ones, e)
            sums += sums == 0
            xp.divide(1, sums.swapaxes(-1, -2), out=block.inverse_sums[b])
            xp.matmul(e.swapaxes(-1, -2), v[b, :, :keys], out=out[b, :, t])
            out[b, :, t] *= block.inverse_sums[b]
    return blocks


def causal_block(block: QueryBlock, like: Array) -> Array:
    """Return the additive mask (keys, queries) of the keys that stand beside a block's queries."""
    start, end = block.queries.start, block.queries.stop
    mask = causal_mask(end - start, max(block.keys - start, 0), like)
    return xp_of(mask).ascontiguousarray(mask.T)


def attend_backward(
    gradient: Array,
    inputs: tuple[Array, Array, Array],
    output: Array,
    kept: Any,
    scale: float,
    into: tuple[Array, Array, Array],
    scores_gradient: Array | None = None,
) -> None:
    """Differentiate `attend`.

    Parameters
    ----------
    gradient, output : array (B, H, T, E)
    inputs, into : tuple of array
        q, k and v, and where their gradients are added: zeros at first.
    kept : list of QueryBlock
        What `attend` returned.
    scale : float
    scores_gradient : array (B, H, T, S), optional
        Where the gradient of the scores, which is also that of the mask, is written.
    """
    (q, k, v), (dq, dk, dv) = inputs, into
    xp = xp_of(gradient, q, k, v)
    for block in kept:
        t, keys = block.queries, block.keys
        ds = xp.empty(block.exponentials.shape[1:], dtype=q.dtype)  # (H, keys, queries)
        for b in range(q.shape[0]):
            # P = e / sum: dividing the smaller gradient by the sum serves for P wherever it stands.
            e = block.exponentials[b]
            g = gradient[b, :, t] * block.inverse_sums[b]  # (H, queries, E)
            dv[b, :, :keys] += xp.matmul(e, g)
            xp.matmul(v[b, :, :keys], g.swapaxes(-1, -2), out=ds)  # dP^T, turned into dS^T in place
            ds -= (g * output[b, :, t]).sum(axis=-1)[:, None, :]
            ds *= e
            if scores_gradient is not None:
                scores_gradient[b, :, t, :keys] = ds.swapaxes(-1, -2)
            dq[b, :, t] += xp.matmul(ds.swapaxes(-1, -2), k[b, :, :keys]) * scale
            dk[b, :, :keys] += xp.matmul(ds, q[b, :, t] * scale)


def causal_mask(queries: int, keys: int, like: Array) -> Array:
    """Return the additive mask (T, S) that hides later positions: 0 where s <= t, else -inf.

    Examples
    --------
    >>> import numpy as np
    >>> causal_mask(2, 2, np.zeros(1))
    array([[  0., -inf],
           [  0.,   0.]])
    """
    xp = xp_of(like)
    later = xp.arange(keys) > xp.arange(queries)[:, None]
    return xp.where(later, like.dtype.type(-math.inf), like.dtype.type(0))
