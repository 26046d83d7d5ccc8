"""Normalisation by the root mean square, as one operation."""

import math

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.normalization import check_affine, check_eps
from tinytrain.ops.promotion import plain_number


class RMSNorm(Function):
    """y = x / r * weight with r = sqrt(mean(x^2) + eps), over the last axes of x.

    With n = x / r, h = g weight and means over a row: dL/dx = (h - n mean(h n)) / r.
    Shapes: x (..., *S), weight (*S) or None, y like x.

    References
    ----------
    B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, section 4.
    """

    def __init__(self, normalized_shape: tuple[int, ...], eps: float) -> None:
        self.normalized_shape, self.eps = normalized_shape, plain_number(eps)

    def forward(self, x: Array, weight: Array | None) -> Array:
        """Divide each row by its root mean square."""
        shape = self.normalized_shape
        if not shape or x.shape[-len(shape) :] != shape:
            raise ValueError(f"rms_norm over {shape} expects it at the end of shape {x.shape}")
        check_affine("rms_norm", x, shape, weight, None)
        xp = xp_of(x, weight)
        rows = self._rows(x)
        check_eps("rms_norm", self.eps, rows, center=False)
        mean_square = kernels_for(x).row_sums(rows * rows) / max(rows.shape[1], 1)
        inverse = (1 / xp.sqrt(mean_square + self.eps))[:, None]
        normalized = rows * inverse
        self.save(normalized, inverse, weight)
        y = normalized.reshape(x.shape)
        return y if weight is None else y * weight

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None]:
        """Differentiate through the mean square."""
        normalized, inverse, weight = self.saved
        kernels = kernels_for(normalized)
        g = self._rows(gradient)
        along = g * normalized
        dweight = None
        if self.needs[1]:
            dweight = kernels.column_sums(along).reshape(self.normalized_shape)
        if not self.needs[0]:
            return None, dweight
        if weight is not None:
            flat = weight.reshape(-1)
            g, along = g * flat, along * flat
        mean = kernels.row_sums(along)[:, None] / max(g.shape[1], 1)
        return ((g - normalized * mean) * inverse).reshape(gradient.shape), dweight

    def _rows(self, x: Array) -> Array:
        width = math.prod(self.normalized_shape)
        return x.reshape(math.prod(x.shape[: x.ndim - len(self.normalized_shape)]), width)
