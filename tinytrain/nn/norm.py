"""Layers that normalise over the last axes."""

from collections.abc import Sequence

import numpy as np

from tinytrain.creation import ones, zeros
from tinytrain.nn import functional as F
from tinytrain.nn.module import Module, Parameter
from tinytrain.tensor import Tensor


class LayerNorm(Module):
    """Normalise over the last axes, then scale and shift each element; see `functional.layer_norm`.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the biased variance of one
    row. Input and output (..., *normalized_shape); weight, which starts at 1, and bias, which
    starts at 0, have normalized_shape.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the axes to normalise over.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are weight and bias.
    bias : bool
        Whether there is a bias beside the weight.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, arXiv 1607.06450, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> LayerNorm(4)(tt.ones(2, 4)).shape
    (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None
        shifts = elementwise_affine and bias
        self.bias = Parameter(zeros(self.normalized_shape)) if shifts else None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (..., *normalized_shape)."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class RMSNorm(Module):
    """Divide by the root mean square over the last axes, then scale; see `functional.rms_norm`.

    y = x / sqrt(mean(x^2) + eps) * weight. Input and output (..., *normalized_shape); weight, which
    starts at 1, has normalized_shape.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the axes to normalise over.
    eps : float, optional
        By default the distance from 1 to the next number of the dtype.
    elementwise_affine : bool
        Whether there is a weight.

    References
    ----------
    B. Zhang and R. Sennrich, arXiv 1910.07467, section 4.

    Examples
    --------
    >>> import tinytrain as tt
    >>> RMSNorm(4)(tt.ones(2, 4)).shape
    (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (..., *normalized_shape)."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


def _as_shape(sizes: int | Sequence[int]) -> tuple[int, ...]:
    return (int(sizes),) if isinstance(sizes, int | np.integer) else tuple(sizes)
