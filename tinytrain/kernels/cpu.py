"""The hot loops for the CPU.

Two habits make them fast. Large arrays are walked in blocks that stay in the processor's cache
while several passes run over them. And sums along an axis are products with a vector of ones,
which the BLAS library computes several times faster than NumPy's own sums.
"""

import math
from collections.abc import Iterator

from tinytrain.backend import Array, device_of, xp_of

BLOCK_ELEMENTS = 1 << 16
"""Elements per block: a quarter of a mebibyte in float32, which fits a core's second cache."""


ONE_HOT_LIMIT = 1 << 20
"""The largest one-hot matrix, in elements, that is worth building to add up rows by id."""


SUM_ROWS = 256
"""The longest sum that is one product with ones; longer ones would lose digits in float32."""

FLUSH_EVERY = 20
"""Optimizer steps between two looks for numbers that are nearly denormal."""


def blocks(array: Array, row_size: int = 1) -> Iterator[slice]:
    """Cut the first axis of an array into slices of about `BLOCK_ELEMENTS` elements.

    A GPU has no use for blocks: there the one slice covers everything.

    Examples
    --------
    >>> import numpy as np
    >>> [s.start for s in blocks(np.zeros(150_000))]
    [0, 65536, 131072]
    """
    count = array.shape[0]
    step = max(1, BLOCK_ELEMENTS // max(1, row_size)) if device_of(array) == "cpu" else count
    for start in range(0, count, max(1, step)):
        yield slice(start, min(start + step, count))


def column_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its rows: (D,).

    The products cover `SUM_ROWS` rows each, and their results are summed in the same way: one long
    product would round every addition against an ever larger sum.
    """
    xp = xp_of(x)
    whole = x.shape[0] - x.shape[0] % SUM_ROWS
    total = xp.ones(x.shape[0] - whole, dtype=x.dtype) @ x[whole:]
    if whole:
        groups = x[:whole].reshape(whole // SUM_ROWS, SUM_ROWS, x.shape[1])
        total += column_sums(xp.ones(SUM_ROWS, dtype=x.dtype) @ groups)
    return total


def row_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its columns: (N,). Wide rows are summed pairwise, as NumPy does."""
    if x.shape[1] > 4 * SUM_ROWS:
        return x.sum(axis=1)
    return x @ xp_of(x).ones(x.shape[1], dtype=x.dtype)


def gelu_tanh(x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    """Compute y = x/2 (1 + tanh(c (x + a x^3))), and its slope while the block is in the cache.

    Parameters
    ----------
    x : array (N,)
        Contiguous.
    with_slope : bool
        Whether dy/dx is wanted too.

    Returns
    -------
    tuple of array
        y, and dy/dx or None.
    """
    xp = xp_of(x)
    c, a = math.sqrt(2 / math.pi), 0.044715
    y = xp.empty_like(x)
    slope = xp.empty_like(x) if with_slope else None
    for block in blocks(x):
        part, out = x[block], y[block]
        square = part * part
        t = square * (c * a)
        t += c
        t *= part  # c (x + a x^3)
        xp.tanh(t, out=t)
        xp.add(t, 1, out=out)
        out *= 0.5  # the weight of x in y, (1 + tanh) / 2
        if slope is not None:
            # dy/dx = (1 + t) / 2 + x / 2 (1 - t^2) c (1 + 3 a x^2)
            square *= 1.5 * a * c
            square += 0.5 * c
            square *= part
            t *= t
            xp.subtract(1, t, out=t)
            t *= square
            xp.add(t, out, out=slope[block])
        out *= part
    return y, slope


def softmax_rows(x: Array) -> tuple[Array, Array, Array]:
    """Compute softmax along the last axis of a matrix, and what its logarithm needs.

    Returns
    -------
    tuple of array
        The probabilities (N, C), the rows' maxima (N,), and the rows' sums of exp(x - maximum)
        (N,). Rows that are -inf throughout get probabilities 0 and a sum of 0.
    """
    xp = xp_of(x)
    count, width = x.shape
    probabilities = xp.empty_like(x)
    maxima, sums = xp.empty(count, dtype=x.dtype), xp.empty(count, dtype=x.dtype)
    for rows in blocks(x, width):
        part, out = x[rows], probabilities[rows]
        highest = part.max(axis=1)
        xp.maximum(highest, xp.finfo(x.dtype).min, out=highest)  # -inf - (-inf) would be NaN
        xp.subtract(part, highest[:, None], out=out)
        xp.exp(out, out=out)
        total = row_sums(out)
        out /= xp.where(total == 0, x.dtype.type(1), total)[:, None]
        maxima[rows], sums[rows] = highest, total
    return probabilities, maxima, sums


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise the rows of a matrix and scale the columns.

    Returns
    -------
    tuple of array
        The output (N, D), the normalised rows (N, D), and 1 / standard deviation (N, 1).
    """
    xp = xp_of(x)
    count, width = x.shape
    normalized = xp.empty_like(x)
    output = normalized if weight is None and bias is None else xp.empty_like(x)
    inverse_std = xp.empty((count, 1), dtype=x.dtype)
    ones = xp.ones((width, 1), dtype=x.dtype)
    for rows in blocks(x, width):
        centered = normalized[rows]
        mean = x[rows] @ ones
        mean /= width
        xp.subtract(x[rows], mean, out=centered)
        variance = (centered * centered) @ ones
        variance /= width
        variance += eps
        scale = inverse_std[rows]
        xp.divide(1, xp.sqrt(variance), out=scale)
        centered *= scale
        _affine(centered, weight, bias, output[rows])
    return output, normalized, inverse_std


def _affine(x: Array, weight: Array | None, bias: Array | None, out: Array) -> None:
    """Write weight * x + bias to `out`, where either may be missing."""
    if weight is not None:
        xp_of(x).multiply(x, weight, out=out)
        if bias is not None:
            out += bias
    elif bias is not None:
        xp_of(x).add(x, bias, out=out)


def layer_norm_backward(
    gradient: Array, normalized: Array, inverse_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """Differentiate `layer_norm`.

    With h = weight * gradient and means over a row:
    dx = (h - mean(h) - normalized * mean(h * normalized)) / std.

    Returns
    -------
    tuple of array
        The gradients of x (N, D), weight (D,) and bias (D,).
    """
    xp = xp_of(gradient)
    width = gradient.shape[1]
    dx = xp.empty_like(gradient)
    dweight = xp.zeros(width, dtype=gradient.dtype)
    dbias = xp.zeros(width, dtype=gradient.dtype)
    ones = xp.ones((width, 1), dtype=gradient.dtype)
    for rows in blocks(gradient, width):
        g, unit, out = gradient[rows], normalized[rows], dx[rows]
        xp.multiply(g, unit, out=out)
        dweight += column_sums(out)
        dbias += column_sums(g)
        h = g if weight is None else g * weight
        if weight is not None:
            out *= weight
        along = out @ ones  # (rows, 1)
        along /= -width
        xp.multiply(unit, along, out=out)
        out += h
        mean = h @ ones
        mean /= width
        out -= mean
        out *= inverse_std[rows]
    return dx, dweight, dbias


def scatter_add_rows(ids: Array, rows: Array, count: int) -> Array:
    """Add up rows by id: result[i] = sum of rows[n] over all n with ids[n] == i.

    Few ids make it a matrix product with their one-hot matrix; many are sorted, so that equal ids
    stand together and each run is one sum. Both are several times faster than `numpy.add.at`, and
    both always add in the same order. In the product an infinity or NaN spoils its whole column,
    because 0 times infinity is NaN: it is never lost, but no longer tells its row.

    Parameters
    ----------
    ids : integer array (N,)
        Each in 0 .. count - 1.
    rows : array (N, D)
    count : int
        The number of rows of the result.

    Examples
    --------
    >>> import numpy as np
    >>> scatter_add_rows(np.array([2, 0, 2]), np.array([[1.0], [2.0], [3.0]]), 3)
    array([[2.],
           [0.],
           [4.]])
    """
    xp = xp_of(rows, ids)
    if count * ids.size <= ONE_HOT_LIMIT:
        one_hot = (xp.arange(count)[:, None] == ids).astype(rows.dtype)  # (count, N)
        return one_hot @ rows
    total = xp.zeros((count, rows.shape[1]), dtype=rows.dtype)
    if ids.size:
        order = xp.argsort(ids, kind="stable")
        in_order = ids[order]
        starts = xp.flatnonzero(xp.diff(in_order, prepend=in_order[:1] - 1))
        total[in_order[starts]] = xp.add.reduceat(rows[order], starts, axis=0)
    return total


def scatter_add_rows_simple(ids: Array, rows: Array, count: int) -> Array:
    """Say in one line what `scatter_add_rows` does."""
    xp = xp_of(rows, ids)
    total = xp.zeros((count, rows.shape[1]), dtype=rows.dtype)
    xp.add.at(total, ids, rows)
    return total


def adamw(
    parameter: Array,
    gradient: Array,
    first_moment: Array,
    second_moment: Array,
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None:
    """Make one AdamW step on flat arrays, in place; `tinytrain.optim.AdamW` has the formula.

    Parameters
    ----------
    parameter, gradient, first_moment, second_moment : array (N,)
        Contiguous; all but the gradient are overwritten.
    step : int
        The number of this step, from 1.
    """
    xp = xp_of(parameter, gradient, first_moment, second_moment)
    step_size = learning_rate / (1 - beta1**step)
    root_correction = math.sqrt(1 - beta2**step)
    scratch = xp.empty(min(parameter.size, BLOCK_ELEMENTS), dtype=parameter.dtype)
    for block in blocks(parameter):
        p, g, m, v = parameter[block], gradient[block], first_moment[block], second_moment[block]
        s = scratch[: p.size] if device_of(p) == "cpu" else xp.empty_like(p)
        if weight_decay:
            p *= 1 - learning_rate * weight_decay
        xp.subtract(g, m, out=s)
        s *= 1 - beta1
        m += s  # m = beta1 m + (1 - beta1) g
        xp.multiply(g, g, out=s)
        s *= 1 - beta2
        v *= beta2
        v += s  # v = beta2 v + (1 - beta2) g^2
        xp.sqrt(v, out=s)
        s /= root_correction
        s += eps
        xp.divide(m, s, out=s)
        s *= step_size
        p -= s
        if step % FLUSH_EVERY == 0:
            flush_denormals(m, beta1)
            flush_denormals(v, beta2)


def flush_denormals(moment: Array, decay: float) -> None:
    """Set what is about to become a denormal number to 0, in place.

    A moment without new gradients (of a dead unit, of a rare token) shrinks by `decay` a step,
    until it is denormal: so small that processors compute with it many times slower, and for ever,
    since rounding stops it short of 0. Called every `FLUSH_EVERY` steps, this lets none get there;
    what it removes is below 1e-31 in float32. Decays of at most a half end at 0 by themselves.
    """
    if decay > 0.5:
        smallest = float(xp_of(moment).finfo(moment.dtype).tiny) / decay**FLUSH_EVERY
        moment *= abs(moment) >= smallest
