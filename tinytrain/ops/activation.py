"""The GELU activation in its two forms."""

import math

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import cpu as kernels
from tinytrain.ops.promotion import is_float
from tinytrain.ops.special import erf


class GELU(Function):
    """z = x Phi(x), with Phi the distribution function of the normal distribution.

    dL/dx = g (Phi(x) + x phi(x)) with phi the density. The slope is computed on the way forward,
    while its ingredients are at hand, and is all that is kept.

    References
    ----------
    D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units", arXiv 1606.08415, section 2: the
    exact form and the approximation by tanh.
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """Weigh x by the probability that a normal variable lies below it."""
        if not is_float(x.dtype):
            raise TypeError(f"gelu needs a floating-point tensor, got {x.dtype}")
        flat = x.reshape(-1)
        compute = kernels.gelu_tanh if self.approximate == "tanh" else _gelu_exact
        z, slope = compute(flat, any(self.needs))
        self.save(slope)
        return z.reshape(x.shape)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope.reshape(gradient.shape)


def _gelu_exact(x: Array, with_slope: bool) -> tuple[Array, Array | None]:
    """Compute x Phi(x) and its slope, block by block."""
    xp = xp_of(x)
    z = xp.empty_like(x)
    slope = xp.empty_like(x) if with_slope else None
    for block in kernels.blocks(x):
        part = x[block]
        below = 0.5 * (1 + erf(part * math.sqrt(0.5)))  # Phi
        z[block] = part * below
        if slope is not None:
            density = xp.exp(-0.5 * part * part) / math.sqrt(2 * math.pi)
            slope[block] = below + part * density
    return z, slope
