"""Functions of one array, element by element. Integers are computed in float32."""

from typing import Any

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import as_float, is_boolean, is_float, plain_number


class Neg(Function):
    """z = -x;  dL/dx = -g."""

    def forward(self, x: Array) -> Array:
        """Negate; a boolean has no negative."""
        if is_boolean(x):
            raise TypeError("a negative is for numbers, not for booleans: use ~x, or -x.long()")
        return -x

    def backward(self, gradient: Array) -> Array:
        """Negate the gradient."""
        return -gradient


def sign_of(x: Array) -> Array:
    """Return -1, 0 or 1 by the sign of floats; 0 for NaN, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> sign_of(np.array([-2.0, 0.0, np.nan]))
    array([-1.,  0.,  0.])
    """
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


class Abs(Function):
    """z = |x|;  dL/dx = g sign(x), which is 0 at x = 0 and where x is NaN."""

    def forward(self, x: Array) -> Array:
        """Take the absolute value."""
        self.save(x)
        return abs(x)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the sign."""
        (x,) = self.saved
        return gradient * sign_of(x)


class Exp(Function):
    """z = e^x;  dL/dx = g z."""

    def forward(self, x: Array) -> Array:
        """Exponentiate; the output is what the derivative needs."""
        x = as_float(x)
        z = xp_of(x).exp(x)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply by the output."""
        (z,) = self.saved
        return gradient * z


class Log(Function):
    """z = ln x;  dL/dx = g / x."""

    def forward(self, x: Array) -> Array:
        """Take the natural logarithm."""
        x = as_float(x)
        self.save(x)
        return xp_of(x).log(x)

    def backward(self, gradient: Array) -> Array:
        """Divide by the input."""
        (x,) = self.saved
        return gradient / x


class Sqrt(Function):
    """z = sqrt(x);  dL/dx = g / (2 z)."""

    def forward(self, x: Array) -> Array:
        """Take the square root."""
        x = as_float(x)
        z = xp_of(x).sqrt(x)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Divide by twice the output."""
        (z,) = self.saved
        return gradient / (2 * z)


class Tanh(Function):
    """z = tanh x;  dL/dx = g (1 - z^2)."""

    def forward(self, x: Array) -> Array:
        """Take the hyperbolic tangent."""
        x = as_float(x)
        z = xp_of(x).tanh(x)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply by 1 - z^2."""
        (z,) = self.saved
        return gradient * (1 - z * z)


class Sigmoid(Function):
    """z = 1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2;  dL/dx = g z (1 - z).

    The form with tanh cannot overflow, and NumPy computes tanh twice as fast as exp. Far below
    zero, where it would round to 0 or to a multiple of the rounding unit, e^x is the better value.
    """

    def forward(self, x: Array) -> Array:
        """Squash into (0, 1)."""
        x = as_float(x)
        xp = xp_of(x)
        z = 0.5 * (1 + xp.tanh(0.5 * x))
        small = xp.exp(xp.minimum(x, 0))
        z = xp.where(x < -4, small / (1 + small), z)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply by z (1 - z)."""
        (z,) = self.saved
        return gradient * z * (1 - z)


class ReLU(Function):
    """z = max(x, 0);  dL/dx = 0 where x <= 0, else g. Only a boolean mask is kept.

    Where x is NaN so is z, and the gradient passes, as in PyTorch.
    """

    def forward(self, x: Array) -> Array:
        """Cut off below zero."""
        z = xp_of(x).maximum(x, 0)
        if any(self.needs):
            self.save(z != 0)  # which NaN is, too
        return z

    def backward(self, gradient: Array) -> Array:
        """Stop the gradient where the input was cut off."""
        (passed,) = self.saved
        return gradient * passed


class Clamp(Function):
    """z = min(max(x, low), high);  dL/dx = g inside the closed interval, 0 outside."""

    def __init__(self, low: float | None, high: float | None) -> None:
        if low is None and high is None:
            raise ValueError("clamp needs a minimum or a maximum")
        self.low, self.high = plain_number(low), plain_number(high)

    def forward(self, x: Array) -> Array:
        """Limit to the interval; integers become float32 where a limit is a float."""
        xp = xp_of(x)
        if isinstance(self.low, float) or isinstance(self.high, float):
            x = as_float(x)
        inside = xp.ones(x.shape, dtype=bool)
        z = x
        if self.low is not None:
            z = xp.maximum(z, self.low)
            inside &= x >= self.low
        if self.high is not None:
            z = xp.minimum(z, self.high)
            inside &= x <= self.high
        self.save(inside)
        return z

    def backward(self, gradient: Array) -> Array:
        """Stop the gradient outside."""
        (inside,) = self.saved
        return gradient * inside


class Cast(Function):
    """z = x in another dtype; the gradient comes back in the dtype of x."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.differentiable = is_float(dtype)  # type: ignore[misc]  # an integer has no gradient

    def forward(self, x: Array) -> Array:
        """Convert a copy."""
        return x.astype(self.dtype)

    def backward(self, gradient: Array) -> Array:
        """Hand the gradient on; the base class converts it."""
        return gradient


class Copy(Function):
    """z = x in memory of its own;  dL/dx = g."""

    rearranges = True

    def forward(self, x: Array) -> Array:
        """Copy."""
        return x.copy()

    def backward(self, gradient: Array) -> Array:
        """Hand the gradient on."""
        return gradient


class Dropout(Function):
    """z = x m / (1 - p), where each element of m is 0 with probability p, else 1.

    The mask m is made where x is, from a key of two integers (`tinytrain.kernels.philox`): the same
    key gives the same mask on every device.

    References
    ----------
    N. Srivastava et al., "Dropout", JMLR 15 (2014), section 4; scaling in training rather than in
    evaluation is the "inverted" form.
    """

    def __init__(self, probability: float, key: tuple[int, int]) -> None:
        self.probability = plain_number(probability)
        self.scale = 0.0 if probability == 1 else 1 / (1 - self.probability)
        self.key = key

    def forward(self, x: Array) -> Array:
        """Zero the dropped elements and scale up the others."""
        keep = kernels_for(x).keep_mask(x, self.probability, self.key)
        self.save(keep)
        return x * keep * self.scale

    def backward(self, gradient: Array) -> Array:
        """Pass the gradient through the same mask and scale."""
        (keep,) = self.saved
        return gradient * keep * self.scale
