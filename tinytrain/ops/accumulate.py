"""Products along axes, and sums that run along one."""

import math

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import is_float
from tinytrain.ops.reduce import Reduction, normalize_axis


class Prod(Reduction):
    """z = product of x over the axes;  dL/dx_i = g times the product of all the others.

    The others' product is that of those before times that of those behind, which is right where an
    element is 0; z / x_i would not be.
    """

    def forward(self, x: Array) -> Array:
        """Multiply; booleans and integers in int64."""
        dtype = x.dtype if is_float(x.dtype) else np.int64
        self.save(x)
        return x.prod(axis=self.resolve(x), keepdims=self.keepdims, dtype=dtype)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the product of those before and of those behind."""
        (x,) = self.saved
        if not x.ndim:
            return gradient
        xp = xp_of(x)
        last = tuple(range(-len(self.resolved), 0))
        moved = xp.moveaxis(x, self.resolved, last)
        kept = moved.shape[: x.ndim - len(last)]
        rows = moved.reshape(math.prod(kept), self.count)
        others = _product_before(rows) * _product_before(rows[:, ::-1])[:, ::-1]
        return xp.moveaxis(others.reshape(moved.shape), last, self.resolved) * self.restore(
            gradient
        )


def _product_before(rows: Array) -> Array:
    """Return, for each element of a row, the product of those before it; 1 for the first."""
    xp = xp_of(rows)
    first = xp.ones((rows.shape[0], 1), dtype=rows.dtype)
    return xp.concatenate([first, xp.cumprod(rows, axis=1)], axis=1)[:, :-1]


class Cumsum(Function):
    """z_i = x_1 + ... + x_i along an axis;  dL/dx_i = g_i + ... + g_n."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Add up from the front; booleans and integers in int64."""
        axis = normalize_axis(self.axis, x.ndim)
        dtype = x.dtype if is_float(x.dtype) else np.int64
        return xp_of(x).cumsum(x, axis=axis, dtype=dtype) if x.ndim else x.astype(dtype)

    def backward(self, gradient: Array) -> Array:
        """Add up from the end."""
        if not gradient.ndim:
            return gradient
        xp, axis = xp_of(gradient), normalize_axis(self.axis, gradient.ndim)
        return xp.flip(xp.cumsum(xp.flip(gradient, axis=axis), axis=axis), axis=axis)
