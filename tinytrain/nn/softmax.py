"""Softmax and its logarithm as layers."""

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class Softmax(Module):
    """e^{x_i} / sum_j e^{x_j} along an axis: any shape in, the same out; see `functional.softmax`.

    Parameters
    ----------
    dim : int
        The axis. PyTorch guesses one where it is missing, with a warning; here it is needed.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Softmax(dim=1)(tt.zeros(1, 2))
    tensor([[0.5, 0.5]], dtype=float32, device=cpu)
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Apply along the axis."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Show the axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of softmax along an axis: any shape in, the same out.

    Parameters
    ----------
    dim : int
        The axis.

    Examples
    --------
    >>> import tinytrain as tt
    >>> LogSoftmax(dim=0)(tt.tensor([0.0, 1000.0]))
    tensor([-1000.,     0.], dtype=float32, device=cpu)
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Apply along the axis."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Show the axis."""
        return f"dim={self.dim}"
