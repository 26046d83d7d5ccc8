"""Activations made of the logistic function s(x) = 1 / (1 + e^-x): SiLU, softplus, log-sigmoid.

All are computed from e^-|x|, which lies in 0 to 1: nothing overflows, and no digits are lost.
"""

from tinytrain.autograd import Function
from tinytrain.backend import Array, as_array, xp_of
from tinytrain.ops.promotion import check_float, plain_number


def logistic(x: Array) -> Array:
    """Return s(x) = 1 / (1 + e^-x), elementwise, in the dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> logistic(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    xp = xp_of(as_array(x))
    top, bottom = xp.exp(xp.minimum(x, 0)), xp.exp(-abs(x))  # a choice by a mask takes much longer
    bottom += 1
    return top / bottom


def log_one_plus_exp(x: Array) -> Array:
    """Return log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), elementwise, in the dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> log_one_plus_exp(np.array([-1000.0, 0.0, 1000.0]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    xp = xp_of(as_array(x))
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


class SiLU(Function):
    """z = x s(x);  dL/dx = g s(x) (1 + x s(-x)). The slope is all that is kept.

    References
    ----------
    S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units", arXiv 1702.03118, section 2.
    """

    def forward(self, x: Array) -> Array:
        """Weigh x by the logistic function."""
        check_float("silu", x)
        weight = logistic(x)
        if any(self.needs):
            self.save(weight * (1 + x * (1 - weight)))
        return x * weight

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope


class Softplus(Function):
    """z = log(1 + e^{b x}) / b, or x where b x > threshold;  dL/dx = g s(b x), or g there.

    References
    ----------
    C. Dugas et al., "Incorporating Second-Order Functional Knowledge for Better Option Pricing",
    NIPS 2000, section 3.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = plain_number(beta), plain_number(threshold)
        if self.beta == 0:
            raise ValueError("softplus divides by beta, which must not be 0")

    def forward(self, x: Array) -> Array:
        """Round off the corner of ReLU."""
        check_float("softplus", x)
        xp = xp_of(x)
        scaled = x * self.beta
        straight = scaled > self.threshold
        if any(self.needs):
            self.save(xp.where(straight, x.dtype.type(1), logistic(scaled)))
        return xp.where(straight, x, log_one_plus_exp(scaled) / self.beta)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope


class LogSigmoid(Function):
    """z = log s(x) = -log(1 + e^-x);  dL/dx = g s(-x)."""

    def forward(self, x: Array) -> Array:
        """Take the logarithm without the sigmoid, which would round to 0 first."""
        check_float("logsigmoid", x)
        if any(self.needs):
            self.save(logistic(-x))
        return -log_one_plus_exp(-x)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope
