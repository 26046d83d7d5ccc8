"""Layers that put axes together or take one apart."""

import math
from collections.abc import Sequence

from tinytrain.nn.module import Module
from tinytrain.ops.reduce import normalize_axis
from tinytrain.tensor import Tensor


class Flatten(Module):
    """Make the axes from `start_dim` to `end_dim` one axis: (N, C, H, W) becomes (N, C H W).

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last of the axes.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Flatten()(tt.ones(2, 3, 4, 5)).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, *sizes) to (N, product of the sizes)."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Show the axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Make one axis several: with dim 1 and sizes (3, 4), (N, 12) becomes (N, 3, 4).

    Parameters
    ----------
    dim : int
        The axis.
    unflattened_size : sequence of int
        The sizes whose product it has; one of them may be -1, which stands for what is left.

    Raises
    ------
    ValueError
        The sizes do not multiply to that of the axis.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Unflatten(1, (3, -1))(tt.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., product of the sizes, ...) to (..., *sizes, ...)."""
        axis, sizes = normalize_axis(self.dim, input.ndim), self.unflattened_size
        size = input.shape[axis]
        known = math.prod(n for n in sizes if n != -1)
        fits = known == size if -1 not in sizes else known and size % known == 0
        if not fits or sizes.count(-1) > 1:
            raise ValueError(
                f"Unflatten: axis {self.dim} of size {size} does not fall into {sizes} "
                f"(input shape {input.shape})"
            )
        rest = [size // known if n == -1 else n for n in sizes]
        return input.reshape(*input.shape[:axis], *rest, *input.shape[axis + 1 :])

    def extra_repr(self) -> str:
        """Show the axis and the sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
