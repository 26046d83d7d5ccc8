"""Softmax and its logarithms along one axis."""

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, as_array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import as_float, is_float
from tinytrain.ops.reduce import Axes, Reduction, normalize_axis


class AlongLastAxis(Function):
    """Bring one axis to the end and flatten the others, so that the work is on rows."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def check_dtype(self, x: Array) -> None:
        """Raise where x holds no floats: by PyTorch's rules nothing is converted here."""
        if not is_float(x.dtype):
            raise TypeError(
                f"{self.name} needs a floating-point tensor, got {x.dtype}; use x.float(), or give "
                "a dtype"
            )

    def to_rows(self, x: Array) -> Array:
        """Return x as a matrix whose rows run along the axis."""
        xp = xp_of(x)
        x = xp.moveaxis(x, normalize_axis(self.axis, x.ndim), -1) if x.ndim else x.reshape(1)
        self.row_shape = x.shape
        return xp.ascontiguousarray(x).reshape(-1, max(x.shape[-1], 1))

    def from_rows(self, rows: Array, ndim: int) -> Array:
        """Undo `to_rows` for a matrix of results."""
        if ndim == 0:
            return rows.reshape(())
        return xp_of(rows).moveaxis(
            rows.reshape(self.row_shape), -1, normalize_axis(self.axis, ndim)
        )


class Softmax(AlongLastAxis):
    """p_i = e^{x_i} / sum_j e^{x_j};  dL/dx = p (g - sum_j g_j p_j).

    A row that is -inf throughout, which is what a mask that excludes everything leaves, gives
    probabilities 0 and gradient 0.
    """

    def forward(self, x: Array) -> Array:
        """Normalise the exponentials; the row's maximum is subtracted first, so none overflows."""
        self.check_dtype(x)
        probabilities, _, _ = kernels_for(x).softmax_rows(self.to_rows(x))
        self.save(probabilities)
        return self.from_rows(probabilities, x.ndim)

    def backward(self, gradient: Array) -> Array:
        """Subtract the mean gradient under the distribution."""
        (p,) = self.saved
        g = self.to_rows(gradient)
        mean = kernels_for(g).row_sums(g * p)[:, None]
        return self.from_rows(p * (g - mean), gradient.ndim)


class LogSoftmax(AlongLastAxis):
    """z_i = x_i - max - log sum_j e^{x_j - max};  dL/dx = g - p sum_j g_j.

    A row that is -inf throughout gives -inf, the logarithm of the probabilities 0 that `Softmax`
    gives, and gradient 0 as there.
    """

    def forward(self, x: Array) -> Array:
        """Subtract the maximum before the logarithm: subtracting both at once would lose digits."""
        self.check_dtype(x)
        rows = self.to_rows(x)
        probabilities, maxima, sums = kernels_for(x).softmax_rows(rows)
        xp = xp_of(x)
        hidden = (sums == 0)[:, None]
        self.save(probabilities, hidden)
        z = rows - maxima[:, None]
        z -= xp.log(xp.where(hidden[:, 0], x.dtype.type(1), sums))[:, None]
        return self.from_rows(z, x.ndim)

    def backward(self, gradient: Array) -> Array:
        """Take away each row's gradient in proportion to the probabilities."""
        p, hidden = self.saved
        g = self.to_rows(gradient)
        g = xp_of(g).where(hidden, g.dtype.type(0), g)
        return self.from_rows(g - p * kernels_for(g).row_sums(g)[:, None], gradient.ndim)


class LogSumExp(Reduction):
    """z = log sum e^x over the axes;  dL/dx = g e^{x - z}."""

    def __init__(self, axes: Axes = None, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)

    def forward(self, x: Array) -> Array:
        """Subtract the maximum first, so that no exponential overflows."""
        xp = xp_of(x)
        x = as_float(x)
        axes = self.resolve(x)
        none = x.sum(axis=axes, keepdims=True) if self.count == 0 else None  # of no elements: 0
        highest = as_array(x.max(axis=axes, keepdims=True) if none is None else none)
        highest = xp.where(xp.isfinite(highest), highest, x.dtype.type(0))
        exponentials = xp.exp(x - highest)
        total = exponentials.sum(axis=axes, keepdims=True)
        self.save(exponentials / xp.where(total == 0, x.dtype.type(1), total))
        with np.errstate(divide="ignore"):  # log 0 = -inf is right for a row of -inf
            z = as_array(xp.log(total) + highest)
        return (
            z
            if self.keepdims
            else z.reshape([n for i, n in enumerate(x.shape) if i not in self.resolved])
        )

    def backward(self, gradient: Array) -> Array:
        """Share the gradient by the softmax."""
        (p,) = self.saved
        return p * self.restore(gradient)
