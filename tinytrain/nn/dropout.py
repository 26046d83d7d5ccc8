"""Dropout as layers."""

from tinytrain.generator import Generator
from tinytrain.nn import functional as F
from tinytrain.nn.functional.activation import refuse_inplace
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class DropoutBase(Module):
    """What the dropouts share: a probability and a source of masks."""

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        refuse_inplace(type(self).__name__, inplace)
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability must lie in 0 to 1, got {p}")
        self.p, self.generator = p, generator

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"


class Dropout(DropoutBase):
    """In training, zero each element with probability p and divide the others by 1 - p.

    Any shape in, the same out; in evaluation the input itself. See `functional.dropout`.

    Parameters
    ----------
    p : float
        In 0 to 1.
    inplace : bool
        Must stay False.
    generator : Generator, optional
        The source of the masks; the default one otherwise.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Dropout(0.5).eval()(tt.ones(2))
    tensor([1., 1.], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training; hand the input on in evaluation."""
        return F.dropout(input, self.p, self.training, generator=self.generator)


class Dropout1d(DropoutBase):
    """In training, zero each channel with probability p and divide the others by 1 - p.

    Input and output (N, C, L) or (C, L). See `functional.dropout1d`.

    Parameters
    ----------
    p : float
        In 0 to 1.
    inplace : bool
        Must stay False.
    generator : Generator, optional
        The source of the masks; the default one otherwise.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Dropout1d(1.0)(tt.ones(1, 2, 2)).tolist()
    [[[0.0, 0.0], [0.0, 0.0]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training; hand the input on in evaluation."""
        return F.dropout1d(input, self.p, self.training, generator=self.generator)


class Dropout2d(DropoutBase):
    """In training, zero each channel with probability p and divide the others by 1 - p.

    Input and output (N, C, H, W). See `functional.dropout2d`.

    Parameters
    ----------
    p : float
        In 0 to 1.
    inplace : bool
        Must stay False.
    generator : Generator, optional
        The source of the masks; the default one otherwise.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Dropout2d(0.5).eval()(tt.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 1.0]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training; hand the input on in evaluation."""
        return F.dropout2d(input, self.p, self.training, generator=self.generator)
