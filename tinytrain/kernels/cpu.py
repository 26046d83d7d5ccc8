"""The hot loops for the CPU.

Two habits make them fast. Large arrays are walked in blocks that stay in the processor's cache
while several passes run over them. And sums along an axis are products with a vector of ones,
which the BLAS library computes several times faster than NumPy's own sums.

`tinytrain.kernels.cuda` offers the same functions for a GPU.
"""

import math

import numpy as np

from tinytrain.backend import Array
from tinytrain.kernels.adamw import adamw
from tinytrain.kernels.attention import attend, attend_backward
from tinytrain.kernels.blocks import blocks
from tinytrain.kernels.philox import keep_mask
from tinytrain.kernels.scatter import scatter_add_rows
from tinytrain.kernels.special import erf

__all__ = [
    "adamw",
    "attend",
    "attend_backward",
    "column_sums",
    "cross_entropy",
    "gelu_exact",
    "gelu_tanh",
    "keep_mask",
    "layer_norm",
    "layer_norm_backward",
    "row_sums",
    "scatter_add_rows",
    "softmax_rows",
]

SUM_ROWS = 256
"""The longest sum that is one product with ones; longer ones would lose digits in float32."""


def column_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its rows: (D,).

    The products cover `SUM_ROWS` rows each, and their results are summed in the same way: one long
    product would round every addition against an ever larger sum.
    """
    whole = x.shape[0] - x.shape[0] % SUM_ROWS
    total = np.ones(x.shape[0] - whole, dtype=x.dtype) @ x[whole:]
    if whole:
        groups = x[:whole].reshape(whole // SUM_ROWS, SUM_ROWS, x.shape[1])
        total += column_sums(np.ones(SUM_ROWS, dtype=x.dtype) @ groups)
    return total


def row_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its columns: (N,). Wide rows are summed pairwise, as NumPy does."""
    if x.shape[1] > 4 * SUM_ROWS:
        return x.sum(axis=1)
    return x @ np.ones(x.shape[1], dtype=x.dtype)


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
    c, a = math.sqrt(2 / math.pi), 0.044715
    y = np.empty_like(x)
    slope = np.empty_like(x) if with_slope else None
    for block in blocks(x):
        part, out = x[block], y[block]
        square = part * part
        t = square * (c * a)
        t += c
        t *= part  # c (x + a x^3)
        np.tanh(t, out=t)
        np.add(t, 1, out=out)
        out *= 0.5  # the weight of x in y, (1 + tanh) / 2
        if slope is not None:
            # dy/dx = (1 + t) / 2 + x / 2 (1 - t^2) c (1 + 3 a x^2)
            square *= 1.5 * a * c
            square += 0.5 * c
            square *= part
            t *= t
            np.subtract(1, t, out=t)
            t *= square
            np.add(t, out, out=slope[block])
        out *= part
    return y, slope


def gelu_exact(x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    """Compute y = x Phi(x) and its slope Phi(x) + x phi(x), with phi the normal density.

    Phi(x) = (1 + erf(x / sqrt 2)) / 2 is the probability that a normal variable lies below x.

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

    Examples
    --------
    >>> y, slope = gelu_exact(np.array([-1.0, 0.0]), with_slope=True)
    >>> y.round(4), slope
    (array([-0.1587,  0.    ]), array([-0.08331547,  0.5       ]))
    """
    y = np.empty_like(x)
    slope = np.empty_like(x) if with_slope else None
    for block in blocks(x):
        part = x[block]
        below = 0.5 * (1 + erf(part * math.sqrt(0.5)))  # Phi
        y[block] = part * below
        if slope is not None:
            density = np.exp(-0.5 * part * part) / math.sqrt(2 * math.pi)
            slope[block] = below + part * density
    return y, slope


def softmax_rows(x: Array) -> tuple[Array, Array, Array]:
    """Compute softmax along the last axis of a matrix, and what its logarithm needs.

    Returns
    -------
    tuple of array
        The probabilities (N, C), the rows' maxima (N,), and the rows' sums of exp(x - maximum)
        (N,). Rows that are -inf throughout get probabilities 0 and a sum of 0.

    Examples
    --------
    >>> softmax_rows(np.zeros((1, 2)))
    (array([[0.5, 0.5]]), array([0.]), array([2.]))
    """
    count, width = x.shape
    probabilities = np.empty_like(x)
    maxima, sums = np.empty(count, dtype=x.dtype), np.empty(count, dtype=x.dtype)
    for rows in blocks(x, width):
        maxima[rows], sums[rows] = _softmax_block(x[rows], probabilities[rows])
    return probabilities, maxima, sums


def _softmax_block(x: Array, out: Array) -> tuple[Array, Array]:
    """Write the softmax of each row to `out`; return the rows' maxima and sums."""
    highest = x.max(axis=1)
    np.maximum(highest, np.finfo(x.dtype).min, out=highest)  # -inf - (-inf) would be NaN
    np.subtract(x, highest[:, None], out=out)
    np.exp(out, out=out)
    total = row_sums(out)
    out /= np.where(total == 0, x.dtype.type(1), total)[:, None]
    return highest, total


def cross_entropy(
    logits: Array, targets: Array, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array]:
    """Compute softmax, each row's loss, and the slope d loss / d logits, while a block is cached.

    Per row, with p = softmax(x), target t, label smoothing s and C classes:
    loss = -(1 - s) log p[t] - s / C sum_c log p[c];  slope = p - (1 - s) onehot(t) - s / C.

    Parameters
    ----------
    logits : array (N, C)
    targets : integer array (N,)
        A row with the target `ignore_index` has loss 0 and slope 0. Any other target outside of
        0 .. C - 1 gives NaN for both.
    ignore_index : int
    label_smoothing : float

    Returns
    -------
    tuple of array
        The losses (N,) and the slope (N, C).

    Examples
    --------
    >>> losses, slope = cross_entropy(np.zeros((1, 2)), np.array([0]), -100, 0.0)
    >>> losses.round(4), slope
    (array([0.6931]), array([[-0.5,  0.5]]))
    """
    count, width = logits.shape
    losses, slope = np.empty(count, dtype=logits.dtype), np.empty(logits.shape, logits.dtype)
    outside = (targets < 0) | (targets >= width)
    safe = np.where(outside, 0, targets) if np.count_nonzero(outside) else targets
    for rows in blocks(logits, width):
        x, p, target = logits[rows], slope[rows], safe[rows]
        highest, sums = _softmax_block(x, p)
        chosen = np.arange(len(target)), target
        with np.errstate(divide="ignore", invalid="ignore"):  # a row of -inf has the loss NaN
            log_sums = np.log(sums)
            loss = log_sums - (x[chosen] - highest)
            if label_smoothing:
                mean = row_sums(x - highest[:, None]) / width
                loss *= 1 - label_smoothing
                loss += label_smoothing * (log_sums - mean)
        losses[rows] = loss
        p[chosen] -= 1 - label_smoothing
        if label_smoothing:
            p -= label_smoothing / width
    ignored = targets == ignore_index
    for where, value in ((outside, math.nan), (ignored, 0)):
        if np.count_nonzero(where):
            losses[where] = value
            slope[where] = value
    return losses, slope


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise the rows of a matrix and scale the columns.

    Returns
    -------
    tuple of array
        The output (N, D), the normalised rows (N, D), and 1 / standard deviation (N, 1).
    """
    count, width = x.shape
    normalized = np.empty_like(x)
    output = normalized if weight is None and bias is None else np.empty_like(x)
    inverse_std = np.empty((count, 1), dtype=x.dtype)
    ones = np.ones((width, 1), dtype=x.dtype)
    for rows in blocks(x, width):
        centered = normalized[rows]
        mean = x[rows] @ ones
        mean /= width
        np.subtract(x[rows], mean, out=centered)
        variance = (centered * centered) @ ones
        variance /= width
        variance += eps
        scale = inverse_std[rows]
        np.divide(1, np.sqrt(variance), out=scale)
        centered *= scale
        _affine(centered, weight, bias, output[rows])
    return output, normalized, inverse_std


def _affine(x: Array, weight: Array | None, bias: Array | None, out: Array) -> None:
    """Write weight * x + bias to `out`, where either may be missing."""
    if weight is not None:
        np.multiply(x, weight, out=out)
        if bias is not None:
            out += bias
    elif bias is not None:
        np.add(x, bias, out=out)


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
    width = gradient.shape[1]
    dx = np.empty_like(gradient)
    dweight = np.zeros(width, dtype=gradient.dtype)
    dbias = np.zeros(width, dtype=gradient.dtype)
    ones = np.ones((width, 1), dtype=gradient.dtype)
    for rows in blocks(gradient, width):
        g, unit, out = gradient[rows], normalized[rows], dx[rows]
        np.multiply(g, unit, out=out)
        dweight += column_sums(out)
        dbias += column_sums(g)
        h = g if weight is None else g * weight
        if weight is not None:
            out *= weight
        along = out @ ones  # (rows, 1)
        along /= -width
        np.multiply(unit, along, out=out)
        out += h
        mean = h @ ones
        mean /= width
        out -= mean
        out *= inverse_std[rows]
    return dx, dweight, dbias
