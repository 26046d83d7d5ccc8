"""The p-norm of vectors."""

import math

import numpy as np

from tinytrain.backend import Array, as_array, xp_of
from tinytrain.ops.promotion import is_float, plain_number
from tinytrain.ops.reduce import Axes, Reduction


class Norm(Reduction):
    """z = (sum |x|^p)^(1/p);  dL/dx = g sign(x) |x|^(p-1) / z^(p-1).

    p = inf is the largest |x|, p = -inf the smallest (ties share the gradient evenly), p = 0 the
    number of elements that differ from 0, without a gradient. Where z = 0, and where x = 0, the
    gradient is 0.
    """

    def __init__(self, order: float = 2, axes: Axes = None, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)
        self.order = float(plain_number(order))

    def forward(self, x: Array) -> Array:
        """Compute the norm."""
        if not is_float(x.dtype):
            raise TypeError(f"a norm needs a floating-point tensor, got {x.dtype}; use x.float()")
        xp, axes, p = xp_of(x), self.resolve(x), self.order
        if p < 0 or p == math.inf:
            self.check_not_empty()
        if p == math.inf:
            z = abs(x).max(axis=axes, keepdims=True)
        elif p == -math.inf:
            z = abs(x).min(axis=axes, keepdims=True)
        elif p == 0:
            z = (x != 0).sum(axis=axes, keepdims=True, dtype=x.dtype)
        elif p == 1:
            z = abs(x).sum(axis=axes, keepdims=True)
        elif p == 2:
            z = xp.sqrt((x * x).sum(axis=axes, keepdims=True))
        else:
            with np.errstate(divide="ignore"):  # 0^p = inf for p < 0 is right: 1 / inf = 0
                z = (abs(x) ** p).sum(axis=axes, keepdims=True) ** (1 / p)
        z = as_array(z)
        self.save(x, z)
        shape = [size for axis, size in enumerate(x.shape) if axis not in self.resolved]
        return z if self.keepdims else z.reshape(shape)

    def backward(self, gradient: Array) -> Array | None:
        """Multiply by the slope of the norm."""
        x, z = self.saved
        xp, p, g = xp_of(x), self.order, self.restore(gradient)
        if p == 0:
            return None
        if p == 1:
            return g * xp.sign(x)
        if math.isinf(p):
            winners = (abs(x) == z).astype(x.dtype)
            return xp.sign(x) * winners * (g / winners.sum(axis=self.resolved, keepdims=True))
        zero = x.dtype.type(0)
        with np.errstate(divide="ignore", invalid="ignore"):  # what is infinite here is not used
            if p == 2:
                return xp.where(z == 0, zero, x * (g / z))
            slope = xp.sign(x) * abs(x) ** (p - 1)
            scale = g / z ** (p - 1)
        return xp.where(x == 0, zero, slope) * xp.where(z == 0, zero, scale)
