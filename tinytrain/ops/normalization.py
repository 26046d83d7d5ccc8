"""Layer and batch normalisation, each as one operation."""

import math

from tinytrain.autograd import Function
from tinytrain.backend import Array, to_host, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import is_float, plain_number


class LayerNorm(Function):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes of x.

    Mean and (biased) variance are those of one row. Shapes: x (..., *S), weight and bias (*S) or
    None, y like x.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", arXiv 1607.06450, section 3.
    """

    def __init__(self, normalized_shape: tuple[int, ...], eps: float = 1e-5) -> None:
        self.normalized_shape, self.eps = normalized_shape, plain_number(eps)

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        """Normalise each row."""
        shape = self.normalized_shape
        if not shape or x.shape[-len(shape) :] != shape:
            raise ValueError(f"layer_norm over {shape} expects it at the end of shape {x.shape}")
        check_affine("layer_norm", x, shape, weight, bias)
        xp_of(x, weight, bias)
        width = math.prod(shape)
        rows = x.reshape(math.prod(x.shape[: x.ndim - len(shape)]), width)
        if not width:
            self.save(rows, None, weight)
            return x.copy()
        check_eps("layer_norm", self.eps, rows, center=True)
        y, normalized, inverse_std = kernels_for(x).layer_norm(
            rows,
            None if weight is None else weight.reshape(width),
            None if bias is None else bias.reshape(width),
            self.eps,
        )
        self.save(normalized, inverse_std, weight)
        return y.reshape(x.shape)

    def backward(self, gradient: Array) -> tuple[Array, Array | None, Array | None]:
        """Differentiate through mean and variance."""
        normalized, inverse_std, weight = self.saved
        width = normalized.shape[1]
        if not width:
            nothing = xp_of(gradient).zeros(self.normalized_shape, dtype=gradient.dtype)
            return gradient, nothing, nothing
        dx, dweight, dbias = kernels_for(gradient).layer_norm_backward(
            gradient.reshape(normalized.shape),
            normalized,
            inverse_std,
            None if weight is None else weight.reshape(width),
        )
        shape = self.normalized_shape
        return (
            dx.reshape(gradient.shape),
            dweight.reshape(shape) if self.needs[1] else None,
            dbias.reshape(shape) if self.needs[2] else None,
        )


class BatchNorm(Function):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel (axis 1).

    Without given statistics the mean and the biased variance of the batch normalise, and the
    gradient flows through them. With given ones (evaluation) they are constants.

    Attributes
    ----------
    mean, variance : array (C,)
        After `forward`: the statistics that normalised.
    count : int
        After `forward`: the number of values per channel; 0 for an empty batch, whose mean and
        variance are written as 0.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch Normalization", arXiv 1502.03167, algorithm 1.
    """

    def __init__(self, eps: float = 1e-5, statistics: tuple[Array, Array] | None = None) -> None:
        self.eps, self.statistics = plain_number(eps), statistics
        if not self.eps >= 0:  # NaN is not
            raise ValueError(f"batch_norm: eps must be a number from 0, got {eps!r}")

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        """Normalise each channel."""
        if x.ndim < 2:
            raise ValueError(f"batch_norm expects shape (N, C) or (N, C, ...), got {x.shape}")
        check_affine("batch_norm", x, (x.shape[1],), weight, bias)
        xp = xp_of(x, weight, bias)
        rows = _channels_last(x)  # (M, C)
        self.count = rows.shape[0]
        if self.statistics is None:
            if self.count == 1:
                raise ValueError(
                    "batch_norm in training needs more than one value per channel, got input shape "
                    f"{x.shape}: use a larger batch, drop_last=True, or eval()"
                )
            column_sums = kernels_for(x).column_sums
            divisor = max(self.count, 1)  # an empty batch has sums of 0
            self.mean = column_sums(rows) / divisor
            centered = rows - self.mean
            self.variance = column_sums(centered * centered) / divisor
        else:
            self.mean, self.variance = self.statistics
            centered = rows - self.mean
        inverse_std = 1 / xp.sqrt(self.variance + self.eps)
        centered *= inverse_std
        self.save(centered, inverse_std, weight)
        y = centered if weight is None else centered * weight
        if bias is not None:
            y = y + bias
        return _channels_second(y, x.shape)

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None, Array | None]:
        """Differentiate through the batch statistics, or around the given ones."""
        normalized, inverse_std, weight = self.saved
        g = _channels_last(gradient)
        column_sums = kernels_for(g).column_sums
        dbias = column_sums(g)
        dweight = column_sums(g * normalized)
        dx = None
        if self.needs[0]:
            dx = g
            if self.statistics is None:
                dx = g - (dbias + normalized * dweight) / max(self.count, 1)
            dx = dx * (inverse_std if weight is None else inverse_std * weight)
            dx = _channels_second(dx, gradient.shape)
        return dx, dweight if self.needs[1] else None, dbias if self.needs[2] else None


def check_eps(function: str, eps: float, rows: Array, center: bool) -> None:
    """Raise where eps takes a row's variance, or its mean square, below 0, or to it.

    PyTorch allows an eps below 0 and makes NaN then. Only such an eps is worth looking at the rows,
    which waits for a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> check_eps("layer_norm", -1.0, np.ones((1, 2)), center=True)
    Traceback (most recent call last):
        ...
    ValueError: layer_norm: eps is -1.0, and some row's variance is only 0.0: together they ...
    """
    if eps >= 0 or not rows.size:
        return
    squares = rows.var(axis=1) if center else (rows * rows).mean(axis=1)
    smallest = to_host(squares).min()  # host: for an eps that nobody should give
    if not smallest + eps > 0:
        what = "variance" if center else "mean square"
        raise ValueError(
            f"{function}: eps is {eps}, and some row's {what} is only {smallest}: together they "
            "must be above 0; give an eps from 0"
        )


def check_affine(
    name: str, x: Array, shape: tuple[int, ...], weight: Array | None, bias: Array | None
) -> None:
    """Hold weight and bias, where there are any, against the input's dtype and a shape.

    Examples
    --------
    >>> import numpy as np
    >>> check_affine("layer_norm", np.ones((2, 3)), (3,), np.ones(2), None)
    Traceback (most recent call last):
        ...
    ValueError: layer_norm: weight has shape (2,), expected (3,)
    """
    if not is_float(x.dtype):
        raise TypeError(f"{name} needs a floating-point input, got {x.dtype}")
    for label, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.shape != shape:
            raise ValueError(f"{name}: {label} has shape {array.shape}, expected {shape}")
        if array is not None and array.dtype != x.dtype:
            raise TypeError(
                f"{name}: input is {x.dtype}, {label} is {array.dtype}; "
                "bring them to one dtype with .to(...)"
            )


def _channels_last(x: Array) -> Array:
    """Turn (N, C, ...) into a matrix (M, C) with one row per position."""
    if x.ndim == 2:
        return x
    return xp_of(x).moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _channels_second(rows: Array, shape: tuple[int, ...]) -> Array:
    """Undo `_channels_last`."""
    if len(shape) == 2:
        return rows
    return xp_of(rows).moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
