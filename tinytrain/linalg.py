"""Linear algebra, under the names of `torch.linalg`."""

from numpy.typing import DTypeLike

from tinytrain.functions.checks import checked
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Scalar, Tensor


def vector_norm(
    x: Tensor,
    ord: Scalar = 2,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Return (sum |x|^ord)^(1/ord), over all elements or along axes, computed in `dtype`.

    ord = inf gives the largest |x|, ord = -inf the smallest, ord = 0 the number that differ from 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> vector_norm(tensor([3.0, 4.0])), vector_norm(tensor([3.0, 4.0]), float("inf"))
    (tensor(5., dtype=float32, device=cpu), tensor(4., dtype=float32, device=cpu))
    """
    return checked(x).norm(ord, dim, keepdim, dtype)
