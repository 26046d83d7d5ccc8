"""Activations and dropout as layers."""

from tinytrain.generator import Generator
from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class ReLU(Module):
    """max(x, 0), elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReLU()(tt.tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.relu(input)


class Tanh(Module):
    """The hyperbolic tangent, elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Tanh()(tt.tensor([0.0, 100.0]))
    tensor([0., 1.], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + e^-x), elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Sigmoid()(tt.tensor([0.0, 100.0]))
    tensor([0.5, 1. ], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.sigmoid(input)


class GELU(Module):
    """x Phi(x), elementwise: any shape in, the same out; see `functional.gelu`.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        The exact form, or the approximation by tanh.

    Examples
    --------
    >>> import tinytrain as tt
    >>> GELU("tanh")(tt.tensor([0.0, 2.0]))
    tensor([0.       , 1.9545977], dtype=float32, device=cpu)
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Show the form."""
        return f"approximate={self.approximate!r}"


class Dropout(Module):
    """In training, zero each element with probability p and divide the others by 1 - p.

    Any shape in, the same out; in evaluation the input itself. See `functional.dropout`.

    Parameters
    ----------
    p : float
        In 0 to 1.
    generator : Generator, optional
        The source of the masks; the default one otherwise.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Dropout(0.5).eval()(tt.ones(2))
    tensor([1., 1.], dtype=float32, device=cpu)
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability must lie in 0 to 1, got {p}")
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements in training; hand the input on in evaluation."""
        return F.dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"
