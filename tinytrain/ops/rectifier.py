"""Activations that are straight lines, or nearly so: leaky ReLU, ELU and the hard tanh."""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import check_float, is_float, plain_number


class LeakyReLU(Function):
    """z = x where x > 0, else s x;  dL/dx = g where x > 0, else s g. Only a mask is kept.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic
    Models", ICML 2013, section 2.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = plain_number(negative_slope)

    def forward(self, x: Array) -> Array:
        """Shrink what is not positive."""
        check_float("leaky_relu", x)
        positive = x > 0
        self.save(positive)
        return xp_of(x).where(positive, x, x * self.negative_slope)

    def backward(self, gradient: Array) -> Array:
        """Shrink the gradient at the same places."""
        (positive,) = self.saved
        return xp_of(gradient).where(positive, gradient, gradient * self.negative_slope)


class ELU(Function):
    """z = x where x > 0, else a (e^x - 1);  dL/dx = g where x > 0, else g a e^x.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by
    Exponential Linear Units", arXiv 1511.07289, section 3.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = plain_number(alpha)

    def forward(self, x: Array) -> Array:
        """Let what is not positive run towards -a; expm1 keeps the digits near 0."""
        check_float("elu", x)
        xp = xp_of(x)
        positive, below = x > 0, xp.minimum(x, 0)  # the exponential of a large x would overflow
        if any(self.needs):
            self.save(xp.where(positive, x.dtype.type(1), self.alpha * xp.exp(below)))
        return xp.where(positive, x, self.alpha * xp.expm1(below))

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope


class Hardtanh(Function):
    """z = min(max(x, low), high);  dL/dx = g where low < x < high, else 0.

    Integers stay integers, and the bounds are then cut to whole numbers. At the bounds themselves
    the slope is 0; that of `Clamp` is 1 there. All three are PyTorch's choices.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.low, self.high = plain_number(low), plain_number(high)
        if self.low > self.high:
            raise ValueError(f"hardtanh: the lower bound {low} is above the upper bound {high}")

    def forward(self, x: Array) -> Array:
        """Cut off at both ends."""
        xp = xp_of(x)
        if any(self.needs):
            self.save((x > self.low) & (x < self.high))
        low, high = (self.low, self.high) if is_float(x.dtype) else self._whole_bounds(x)
        return xp.minimum(xp.maximum(x, low), high)

    def backward(self, gradient: Array) -> Array:
        """Stop the gradient where the input was cut off."""
        (inside,) = self.saved
        return gradient * inside

    def _whole_bounds(self, x: Array) -> tuple[int, int]:
        """Cut the bounds to whole numbers for integers, as PyTorch does."""
        low, high = int(self.low), int(self.high)
        if x.dtype.kind not in "iu" or (x.dtype.kind == "u" and low < 0):
            raise TypeError(f"hardtanh to {self.low} and {self.high} is not for {x.dtype}")
        return low, high
