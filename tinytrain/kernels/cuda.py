"""The hot loops for an NVIDIA GPU: the functions of `tinytrain.kernels.cpu`, each in few launches.

What costs time on a GPU is the number of launches and the bytes that they move. So each function
here is one kernel, written in CUDA C in the folder ``cuda_source``, or one or two calls of the
array library where that is as good. Nothing waits for the device and nothing is copied to it or
from it.
"""

from tinytrain.backend import Array, xp_of
from tinytrain.kernels.adamw import step_factors
from tinytrain.kernels.cuda_attention import attend, attend_backward
from tinytrain.kernels.launch import blocks_for, launch
from tinytrain.kernels.philox import Key, drop_threshold

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

ROWS_PER_GROUP = 64
"""Rows that one thread adds up by itself: enough groups to occupy the GPU, few to add up after."""

MASK_ELEMENTS_PER_THREAD = 8
"""One Philox block, which a thread computes, is eight numbers of 32 bits."""


def _contiguous(x: Array | None) -> Array | None:
    """Return the array itself where its elements lie side by side, else a copy that is so."""
    return x if x is None or x.flags.c_contiguous else xp_of(x).ascontiguousarray(x)


def column_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its rows: (D,), as one product with ones.

    The library's own sum over rows reads the matrix across the grain.
    """
    return xp_of(x).ones(x.shape[0], dtype=x.dtype) @ x


def row_sums(x: Array) -> Array:
    """Sum a matrix (N, D) over its columns: (N,)."""
    return x.sum(axis=1)


def gelu_tanh(x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    """Compute the tanh form of GELU, and its slope if wanted, like `cpu.gelu_tanh`."""
    return _gelu("gelu_tanh", x, with_slope)


def gelu_exact(x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    """Compute the exact form of GELU, and its slope if wanted, like `cpu.gelu_exact`."""
    return _gelu("gelu_exact", x, with_slope)


def _gelu(kernel: str, x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    xp = xp_of(x)
    x = _contiguous(x)
    y = xp.empty(x.shape, dtype=x.dtype)
    slope = xp.empty(x.shape, dtype=x.dtype) if with_slope else None
    launch("gelu", kernel, blocks_for(x.size), (x, y, slope, x.size))
    return y, slope


def softmax_rows(x: Array) -> tuple[Array, Array, Array]:
    """Compute softmax along the rows, and what its logarithm needs, like `cpu.softmax_rows`."""
    xp = xp_of(x)
    count, width = x.shape
    probabilities = xp.empty(x.shape, dtype=x.dtype)
    maxima, sums = xp.empty(count, dtype=x.dtype), xp.empty(count, dtype=x.dtype)
    arguments = (_contiguous(x), probabilities, maxima, sums, width)
    launch("softmax", "softmax_rows", count, arguments)
    return probabilities, maxima, sums


def cross_entropy(
    logits: Array, targets: Array, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array]:
    """Compute each row's loss, and its slope, in one launch, like `cpu.cross_entropy`."""
    xp = xp_of(logits, targets)
    count, width = logits.shape
    losses, slope = xp.empty(count, dtype=logits.dtype), xp.empty(logits.shape, dtype=logits.dtype)
    ids = _contiguous(targets.astype("int64", copy=False))
    launch(
        "cross_entropy",
        "cross_entropy",
        count,
        (_contiguous(logits), ids, losses, slope, width, ignore_index, label_smoothing),
    )
    return losses, slope


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise the rows and scale the columns, in one launch, like `cpu.layer_norm`."""
    xp = xp_of(x, weight, bias)
    count, width = x.shape
    normalized = xp.empty(x.shape, dtype=x.dtype)
    plain = weight is None and bias is None
    output = normalized if plain else xp.empty(x.shape, dtype=x.dtype)
    inverse_std = xp.empty((count, 1), dtype=x.dtype)
    inputs = (_contiguous(x), _contiguous(weight), _contiguous(bias))
    outputs = (output, normalized, inverse_std)
    launch("layer_norm", "layer_norm", count, (*inputs, *outputs, width, eps))
    return output, normalized, inverse_std


def layer_norm_backward(
    gradient: Array, normalized: Array, inverse_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """Differentiate `layer_norm`, like `cpu.layer_norm_backward`: three launches.

    One launch is for the rows. The columns take two: the sums of groups of rows, and their sums.
    """
    xp = xp_of(gradient, normalized, inverse_std, weight)
    count, width = gradient.shape
    gradient = _contiguous(gradient)
    dx = xp.empty(gradient.shape, dtype=gradient.dtype)
    arguments = (gradient, normalized, inverse_std, _contiguous(weight), dx, width)
    launch("layer_norm", "layer_norm_backward", count, arguments)

    groups = -(-count // ROWS_PER_GROUP)
    partial = xp.empty((2, groups, width), dtype=gradient.dtype)
    launch(
        "layer_norm",
        "layer_norm_columns",
        groups * blocks_for(width),
        (gradient, normalized, partial[0], partial[1], count, width, ROWS_PER_GROUP),
    )
    sums = partial.sum(axis=1)
    return dx, sums[0], sums[1]


def scatter_add_rows(ids: Array, rows: Array, count: int) -> Array:
    """Add up rows by id, like `cpu.scatter_add_rows`: sorted, then each run of equal ids summed.

    An id outside of 0 .. count - 1 is left out: ids are checked before they come here.
    """
    xp = xp_of(rows, ids)
    ids = ids.astype("int64", copy=False)
    order = xp.argsort(ids, kind="stable")
    total = xp.zeros((count, rows.shape[1]), dtype=rows.dtype)
    in_order = xp.take(ids, order)
    sizes = (ids.size, count, rows.shape[1])
    arguments = (in_order, order, _contiguous(rows), total, *sizes)
    launch("scatter", "scatter_add_rows", ids.size, arguments)
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
    """Make one AdamW step on flat arrays, in place and in one launch, like `cpu.adamw`."""
    factors = step_factors(parameter.dtype, learning_rate, beta1, beta2, eps, weight_decay, step)
    arrays = (parameter, _contiguous(gradient), first_moment, second_moment)
    count = parameter.size
    launch("adamw", "adamw", blocks_for(count), (*arrays, count, *factors))


def keep_mask(like: Array, probability: float, key: Key) -> Array:
    """Decide for each element whether dropout keeps it, like `philox.keep_mask`, bit for bit."""
    keep = xp_of(like).empty(like.shape, dtype=bool)
    blocks = blocks_for(-(-like.size // MASK_ELEMENTS_PER_THREAD))
    threshold = drop_threshold(probability)
    launch("keep_mask", "keep_mask", blocks, (keep, like.size, *key, threshold))
    return keep
