"""The GELU activation in its two forms."""

from tinytrain.autograd import Function
from tinytrain.backend import Array
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import is_float


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
        kernels = kernels_for(x)
        compute = kernels.gelu_tanh if self.approximate == "tanh" else kernels.gelu_exact
        z, slope = compute(flat, any(self.needs))
        self.save(slope)
        return z.reshape(x.shape)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the slope."""
        (slope,) = self.saved
        return gradient * slope.reshape(gradient.shape)
