"""The loss that is quadratic near its target and linear far from it."""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import plain_number


class Huber(Function):
    """z = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - t.

    dL/dx = g min(max(d, -delta), delta) = -dL/dt. Both have one shape.

    References
    ----------
    P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35
    (1964), section 4.
    """

    is_loss = True

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = plain_number(delta)

    def forward(self, x: Array, t: Array) -> Array:
        """Measure the distance; c (|d| - c / 2) with c = min(|d|, delta) is both cases in one."""
        xp = xp_of(x, t)
        difference = x - t
        self.save(difference)
        distance = abs(difference)
        nearest = xp.minimum(distance, self.delta)
        return nearest * (distance - 0.5 * nearest)

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """Multiply by the distance, cut off at delta."""
        (difference,) = self.saved
        xp = xp_of(gradient)
        dx = gradient * xp.minimum(xp.maximum(difference, -self.delta), self.delta)
        return dx, -dx
