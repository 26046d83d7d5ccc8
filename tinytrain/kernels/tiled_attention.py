"""Attention whose memory grows with the length, not with its square: tiles of the scores at a time.

`tinytrain.kernels.attention` has the formulas, and keeps e^scores for the backward pass. Here a
tile, which is some queries against some keys, is made, used and forgotten. What must be known of a
whole row of scores is gathered on the way: after some tiles a query has its highest score m, the
sum l of e^(score - m) and the output o that this gives so far. A further tile with highest score m'
scales both by e^(m - max(m, m')) before it adds its own part; in the end O = o / l. The backward
pass makes every tile again, P = e^(score - m) / l.

A tile in which no key belongs to the segment of any query is left out, so packed sequences cost
what they cost one by one. On a GPU, where looking at the segments would mean waiting, only what
causality hides is left out.

References
----------
T. Dao et al., "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", arXiv
2205.14135, algorithm 1; M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax",
arXiv 1805.02867.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from tinytrain.backend import Array, device_of, xp_of


class TileSizes(NamedTuple):
    """How much of the scores is computed at once.

    Parameters
    ----------
    rows : int or None
        Rows of the batch; None means all.
    queries, keys : int
    """

    rows: int | None
    queries: int
    keys: int


CPU_TILES = TileSizes(rows=1, queries=64, keys=256)
"""A tile of a few heads stays in the processor's cache. Wide heads get fewer keys; see below."""

PRODUCT_SIZE = 1 << 18
FEWEST_KEYS = 64
"""A product of at most so many multiplications is left to one thread by the BLAS library. To hand
over such small ones costs more than it gains: several times the work, if other programs run."""

GPU_TILES = TileSizes(rows=None, queries=1024, keys=1024)
"""A GPU wants few launches."""


LARGE_TILE = 1 << 15
"""From so many scores in a tile, heads x queries x keys, its work outweighs the calls for it."""

LARGE_SCORES = 1 << 26
"""From so many bytes on, all scores of one layer at once are too many to keep until backward."""


def tiling_pays(like: Array, shape: tuple[int, ...], keys: int, with_segments: bool) -> bool:
    """Say whether to compute attention by tiles where nobody decided.

    With segments it pays from 1024 queries and keys on, and from 512 if a tile is large; without,
    from 2048 if a tile is large, and from 1024 if all scores would take 64 MiB and more: then for
    memory, whatever the time. A tile of 4 heads of width 32 is large, that of 1 head never.

    This is the time by tiles over that with all scores at once: forward and backward, causal, one
    row, float32, one thread of a Xeon processor (`python tests/benchmarks/attention_tiles.py`).
    Segments have about 400 tokens; of about 100 tokens it is 0.6 to 1.0 at 512 already.

    =====  =====  =====  =====  =====  =====  =====  =====  =====
           no segments                        with segments
    -----  ---------------------------------  -------------------
    heads    256    512   1024   2048   4096    512   1024   2048
    =====  =====  =====  =====  =====  =====  =====  =====  =====
    1x16    1.79   1.32   1.03   1.21   1.18   1.28   0.54   0.25
    1x64    1.62   1.68   1.62   1.44   1.66   1.60   0.82   0.41
    2x16    1.50   1.42   1.40   0.97   0.78   1.24   0.57   0.27
    2x64    1.53   1.55   1.58   1.44   1.18   1.50   0.85   0.38
    4x16    1.56   1.34   1.32   0.83   0.82   1.24   0.59   0.24
    4x32    1.38   1.33   1.19   0.85   0.90   1.36   0.69   0.24
    4x64    1.44   1.34   1.30   1.21   0.96   1.37   0.65   0.29
    8x64    1.29   1.40   1.10   1.01   1.03   1.14   0.57   0.29
    =====  =====  =====  =====  =====  =====  =====  =====  =====

    On a GPU one product of all scores is the faster way, as long as they fit into memory.

    Parameters
    ----------
    like : array
        Of the dtype and on the device of the queries.
    shape : tuple of int
        That of the queries, (B, H, T, D).
    keys : int
    with_segments : bool

    Examples
    --------
    >>> import numpy as np
    >>> like = np.zeros(1, np.float32)
    >>> tiling_pays(like, (1, 4, 2048, 32), 2048, with_segments=False)
    True
    >>> tiling_pays(like, (1, 1, 2048, 32), 2048, with_segments=False)
    False
    """
    if device_of(like) != "cpu":
        return False
    batch, heads, queries, width = shape
    length = min(queries, keys)
    is_large = heads * CPU_TILES.queries * _cpu_keys(width) >= LARGE_TILE
    if with_segments:
        return length >= (512 if is_large else 1024)
    scores = batch * heads * queries * keys * like.dtype.itemsize
    return (is_large and length >= 2048) or (length >= 1024 and scores >= LARGE_SCORES)


class Tile(NamedTuple):
    """Some keys for some queries.

    Parameters
    ----------
    keys : slice
    mask : array or None
        Additive, to (rows, H, keys, queries). None where every query sees every key.
    """

    keys: slice
    mask: Array | None


class Tiling:
    """Which tiles of the scores (B, H, T, S) must be computed.

    Parameters
    ----------
    q : array (B, H, T, D)
    k : array (B, H, S, D)
    segment_ids : array (B, T) or None
        Queries and keys see each other where they are equal and not 0. Needs T = S.
    is_causal : bool
        Hide keys s > t.
    """

    def __init__(self, q: Array, k: Array, segment_ids: Array | None, is_causal: bool) -> None:
        self.xp = xp_of(q, k, segment_ids)
        self.segment_ids, self.is_causal = segment_ids, is_causal
        self.batch, self.queries, self.keys = q.shape[0], q.shape[2], k.shape[2]
        self.dtype = q.dtype
        self.may_look = device_of(q) == "cpu"  # elsewhere, to look at values is to wait for them
        self.sizes = CPU_TILES if self.may_look else GPU_TILES
        if self.may_look:
            self.sizes = self.sizes._replace(keys=_cpu_keys(q.shape[3]))

    def query_tiles(self) -> Iterator[tuple[slice, slice]]:
        """Yield slices of the batch and of the queries."""
        rows, queries = self.sizes.rows or max(self.batch, 1), self.sizes.queries
        for row in range(0, self.batch, rows):
            for start in range(0, self.queries, queries):
                end = min(start + queries, self.queries)
                yield slice(row, min(row + rows, self.batch)), slice(start, end)

    def key_tiles(self, rows: slice, queries: slice) -> Iterator[Tile]:
        """Yield the tiles that stand beside some queries, those left out that nobody sees."""
        first, last = 0, min(queries.stop, self.keys) if self.is_causal else self.keys
        if self.segment_ids is not None and self.may_look:
            first, last = self._reach(self.segment_ids, rows, queries, last)
        for start in range(first, last, self.sizes.keys):
            keys = slice(start, min(start + self.sizes.keys, last))
            allowed = self._allowed(rows, queries, keys)
            if allowed is not None and self.may_look:
                if not allowed.any():
                    continue
                if allowed.all():
                    allowed = None
            yield Tile(keys, None if allowed is None else self._additive(allowed))

    def _reach(self, segment_ids: Array, rows: slice, queries: slice, last: int) -> tuple[int, int]:
        """Return the first key that may be in a segment of these queries, and the last plus 1."""
        ids = segment_ids[rows, queries]
        ids = ids[ids != 0]  # host: only where one may look
        if not ids.size:
            return 0, 0
        keys = segment_ids[rows, :last]
        near = ((keys >= ids.min()) & (keys <= ids.max())).any(axis=0)
        places = near.nonzero()[0]  # host: only where one may look
        return int(places[0]), int(places[-1]) + 1  # host: only where one may look

    def _allowed(self, rows: slice, queries: slice, keys: slice) -> Array | None:
        """Return who may see whom, (keys, queries) or (rows, 1, keys, queries); None: everyone."""
        allowed = None
        if self.is_causal and keys.stop > queries.start + 1:
            place = self.xp.arange(keys.start, keys.stop)[:, None]
            allowed = place <= self.xp.arange(queries.start, queries.stop)
        if self.segment_ids is not None:
            of_keys = self.segment_ids[rows, None, keys, None]
            same = of_keys == self.segment_ids[rows, None, None, queries]
            same &= of_keys != 0
            allowed = same if allowed is None else same & allowed
        return allowed

    def _additive(self, allowed: Array) -> Array:
        return self.xp.where(allowed, self.dtype.type(0), self.dtype.type(-math.inf))


def _cpu_keys(width: int) -> int:
    """How many keys a tile has on a CPU."""
    keys = PRODUCT_SIZE // (CPU_TILES.queries * max(width, 1))
    return min(CPU_TILES.keys, max(FEWEST_KEYS, keys))


def tiled_attend(
    inputs: tuple[Array, Array, Array],
    segment_ids: Array | None,
    is_causal: bool,
    scale: float,
    out: Array,
) -> tuple[Array, Array]:
    """Write the attention output to `out`, and return what the backward pass needs of each query.

    That is its highest score m, and 1 / l, both (B, H, 1, T). They are not merged into the one
    number m + log l, which would lose log l where scores are large. A query that may attend to
    nothing has output 0 and l = 1.

    Parameters
    ----------
    inputs : tuple of array
        q (B, H, T, D), k (B, H, S, D), v (B, H, S, E). They, and `out`, may be strided views.
    segment_ids : array (B, T) or None
        Integers; 0 marks padding. Needs T = S.
    is_causal : bool
        Hide keys s > t.
    scale : float
    out : array (B, H, T, E)
    """
    q, k, v = inputs
    xp = xp_of(q, k, v, segment_ids, out)
    tiling = Tiling(q, k, segment_ids, is_causal)
    highest = xp.full((*q.shape[:2], 1, q.shape[2]), xp.finfo(q.dtype).min, dtype=q.dtype)
    inverse_sums = xp.empty(highest.shape, dtype=q.dtype)
    for rows, t in tiling.query_tiles():
        scaled = (q[rows, :, t] * scale).swapaxes(-1, -2)
        m = highest[rows, :, :, t]
        sums = xp.zeros(m.shape, dtype=q.dtype)
        output = xp.zeros((*m.shape[:2], m.shape[3], v.shape[3]), dtype=q.dtype)
        for keys, mask in tiling.key_tiles(rows, t):
            e = xp.matmul(k[rows, :, keys], scaled)  # (rows, H, keys, queries)
            if mask is not None:
                e += mask
            higher = xp.maximum(m, e.max(axis=-2, keepdims=True))
            e -= higher
            xp.exp(e, out=e)
            shrink = xp.exp(m - higher)
            m[...] = higher
            sums *= shrink
            sums += xp.matmul(xp.ones((1, e.shape[2]), dtype=q.dtype), e)
            output *= shrink.swapaxes(-1, -2)
            output += xp.matmul(e.swapaxes(-1, -2), v[rows, :, keys])
        sums += sums == 0
        inverse = inverse_sums[rows, :, :, t]
        xp.divide(1, sums, out=inverse)
        xp.multiply(output, inverse.swapaxes(-1, -2), out=out[rows, :, t])
    return highest, inverse_sums


def tiled_attend_backward(
    gradient: Array,
    inputs: tuple[Array, Array, Array],
    segment_ids: Array | None,
    is_causal: bool,
    scale: float,
    output: Array,
    kept: tuple[Array, Array],
    into: tuple[Array, Array, Array],
) -> None:
    """Differentiate `tiled_attend`.

    Parameters
    ----------
    gradient, output : array (B, H, T, E)
    inputs, segment_ids, is_causal, scale
        What `tiled_attend` was given.
    kept : tuple of array
        What it returned.
    into : tuple of array
        Where the gradients of q, k and v are added: zeros at first.
    """
    (q, k, v), (dq, dk, dv), (highest, inverse_sums) = inputs, into, kept
    xp = xp_of(gradient, q, k, v)
    tiling = Tiling(q, k, segment_ids, is_causal)
    for rows, t in tiling.query_tiles():
        scaled = q[rows, :, t] * scale
        # P = e / l: dividing the smaller gradient by l serves for P wherever it stands.
        g = gradient[rows, :, t] * inverse_sums[rows, :, :, t].swapaxes(-1, -2)
        row_sums = (g * output[rows, :, t]).sum(axis=-1)[:, :, None]
        m = highest[rows, :, :, t]
        for keys, mask in tiling.key_tiles(rows, t):
            e = xp.matmul(k[rows, :, keys], scaled.swapaxes(-1, -2))
            if mask is not None:
                e += mask
            e -= m
            xp.exp(e, out=e)
            dv[rows, :, keys] += xp.matmul(e, g)
            ds = xp.matmul(v[rows, :, keys], g.swapaxes(-1, -2))  # dP^T, then dS^T
            ds -= row_sums
            ds *= e
            dq[rows, :, t] += xp.matmul(ds.swapaxes(-1, -2), k[rows, :, keys]) * scale
            dk[rows, :, keys] += xp.matmul(ds, scaled)
