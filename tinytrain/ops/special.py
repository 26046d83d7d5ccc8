"""More functions of each element: exponentials near 0, roots, sines, the error function."""

import math

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels.special import erf
from tinytrain.ops.promotion import as_float


class Expm1(Function):
    """z = e^x - 1, exact near 0 too;  dL/dx = g (z + 1)."""

    def forward(self, x: Array) -> Array:
        """Exponentiate and subtract 1 without losing digits."""
        x = as_float(x)
        z = xp_of(x).expm1(x)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply by e^x."""
        (z,) = self.saved
        return gradient * (z + 1)


class Log1p(Function):
    """z = ln(1 + x), exact near 0 too;  dL/dx = g / (1 + x)."""

    def forward(self, x: Array) -> Array:
        """Take the logarithm of 1 + x without losing digits."""
        x = as_float(x)
        self.save(x)
        return xp_of(x).log1p(x)

    def backward(self, gradient: Array) -> Array:
        """Divide by 1 + x."""
        (x,) = self.saved
        return gradient / (1 + x)


class Rsqrt(Function):
    """z = 1 / sqrt(x);  dL/dx = -g z^3 / 2."""

    def forward(self, x: Array) -> Array:
        """Take the inverse of the square root."""
        x = as_float(x)
        z = 1 / xp_of(x).sqrt(x)
        self.save(z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply by the cube of the output."""
        (z,) = self.saved
        return gradient * (-0.5 * (z * z * z))


class Sin(Function):
    """z = sin x;  dL/dx = g cos x."""

    def forward(self, x: Array) -> Array:
        """Take the sine."""
        x = as_float(x)
        self.save(x)
        return xp_of(x).sin(x)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the cosine."""
        (x,) = self.saved
        return gradient * xp_of(x).cos(x)


class Cos(Function):
    """z = cos x;  dL/dx = -g sin x."""

    def forward(self, x: Array) -> Array:
        """Take the cosine."""
        x = as_float(x)
        self.save(x)
        return xp_of(x).cos(x)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the negated sine."""
        (x,) = self.saved
        return gradient * -xp_of(x).sin(x)


class Erf(Function):
    """z = 2 / sqrt(pi) integral of e^(-t^2) from 0 to x;  dL/dx = 2 g e^(-x^2) / sqrt(pi).

    The formula of `tinytrain.kernels.special.erf`.
    """

    def forward(self, x: Array) -> Array:
        """Compute the error function."""
        x = as_float(x)
        self.save(x)
        return erf(x)

    def backward(self, gradient: Array) -> Array:
        """Multiply by the bell curve."""
        (x,) = self.saved
        return gradient * (2 / math.sqrt(math.pi) * xp_of(x).exp(-x * x))
