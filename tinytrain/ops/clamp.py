"""Limiting elements to an interval whose ends are tensors."""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import Operand, promote


class ClampTensors(Function):
    """z = min(max(x, low), high), elementwise; where low > high, z = high.

    The gradient goes to x inside the closed interval, else to the end that was taken.
    """

    broadcasts = True

    def forward(self, x: Array, low: Operand | None, high: Operand | None) -> Array:
        """Limit; an end may be a number or None."""
        xp = xp_of(x, low, high)
        if low is not None:
            x, low = promote(x, low)
        if high is not None:
            x, high = promote(x, high)
            low = None if low is None else promote(low, x)[0]
        self.save(x, low, high)
        z = x if low is None else xp.maximum(x, low)
        return z if high is None else xp.minimum(z, high)

    def backward(self, gradient: Array) -> tuple[Array, Array | None, Array | None]:
        """Route the gradient."""
        x, low, high = self.saved
        xp, zero = xp_of(gradient), gradient.dtype.type(0)
        to_x = xp.ones(gradient.shape, dtype=bool)
        to_low = to_high = None
        if low is not None:
            to_x = to_x & (x >= low)
            to_low = x < low if high is None else (x < low) & (low < high)
        if high is not None:
            to_x = to_x & (x <= high)
            to_high = x > high if low is None else (x > high) | (high < low)
        return (
            xp.where(to_x, gradient, zero),
            None if to_low is None else xp.where(to_low, gradient, zero),
            None if to_high is None else xp.where(to_high, gradient, zero),
        )
