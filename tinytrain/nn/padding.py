"""Layers that extend the last one or two axes on both sides."""

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class PadBase(Module):
    """What layers that pad have in common: how far they go, and what they put there."""

    axes: ClassVar[int]
    """How many axes are extended, from the last one on."""
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        sides = 2 * self.axes
        given = tuple(padding) if isinstance(padding, Sequence) else (padding,) * sides
        words = f"{type(self).__name__}: padding is one integer or {sides} of them, got {padding!r}"
        if not all(isinstance(number, Integral) for number in given):
            raise TypeError(words)
        if len(given) != sides:
            raise ValueError(words)
        self.padding: tuple[int, ...] = given

    def forward(self, input: Tensor) -> Tensor:
        """Extend the last axes.

        Raises
        ------
        ValueError
            The input has too few axes, or is shorter than what is to be copied from it.
        """
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """Show how far it goes."""
        return f"{self.padding}"


class ConstantPadBase(PadBase):
    """What the layers that put a value around their input share."""

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Extend the last axes by the value."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """Show how far it goes, and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPadBase):
    """Put a value on both sides of the last axis.

    Input (N, C, L) or (C, L), output with L + left + right.

    Parameters
    ----------
    padding : int, or two: (left, right)
        Negative numbers cut elements off.
    value : float
        What is put there.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ConstantPad1d((1, 2), 9.0)(tt.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[9.0, 1.0, 2.0, 3.0, 9.0, 9.0]]
    """

    axes = 1


class ConstantPad2d(ConstantPadBase):
    """Put a value around the last two axes.

    Input (N, C, H, W) or (C, H, W), output with H + top + bottom and W + left + right.

    Parameters
    ----------
    padding : int, or four: (left, right, top, bottom)
        Negative numbers cut elements off.
    value : float
        What is put there.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ConstantPad2d((1, 2, 0, 1), 9.0)(tt.ones(1, 2, 3, 3)).shape
    (1, 2, 4, 6)
    """

    axes = 2


class ZeroPad1d(PadBase):
    """Put zeros on both sides of the last axis.

    Input (N, C, L) or (C, L), output with L + left + right.

    Parameters
    ----------
    padding : int, or two: (left, right)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ZeroPad1d((1, 2))(tt.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]]
    """

    axes = 1
    mode = "constant"


class ZeroPad2d(PadBase):
    """Put zeros around the last two axes.

    Input (N, C, H, W) or (C, H, W), output with H + top + bottom and W + left + right.

    Parameters
    ----------
    padding : int, or four: (left, right, top, bottom)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ZeroPad2d((1, 2, 0, 1))(tt.ones(1, 2, 3, 3)).shape
    (1, 2, 4, 6)
    """

    axes = 2
    mode = "constant"


class ReflectionPad1d(PadBase):
    """Mirror the elements about the outermost one on both sides of the last axis.

    Input (N, C, L) or (C, L), output with L + left + right.

    Parameters
    ----------
    padding : int, or two: (left, right)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReflectionPad1d((1, 2))(tt.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """

    axes = 1
    mode = "reflect"


class ReflectionPad2d(PadBase):
    """Mirror the elements about the outermost one around the last two axes.

    Input (N, C, H, W) or (C, H, W), output with H + top + bottom and W + left + right.

    Parameters
    ----------
    padding : int, or four: (left, right, top, bottom)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReflectionPad2d((1, 2, 0, 1))(tt.ones(1, 2, 3, 3)).shape
    (1, 2, 4, 6)
    """

    axes = 2
    mode = "reflect"


class ReplicationPad1d(PadBase):
    """Repeat the outermost element on both sides of the last axis.

    Input (N, C, L) or (C, L), output with L + left + right.

    Parameters
    ----------
    padding : int, or two: (left, right)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReplicationPad1d((1, 2))(tt.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[1.0, 1.0, 2.0, 3.0, 3.0, 3.0]]
    """

    axes = 1
    mode = "replicate"


class ReplicationPad2d(PadBase):
    """Repeat the outermost element around the last two axes.

    Input (N, C, H, W) or (C, H, W), output with H + top + bottom and W + left + right.

    Parameters
    ----------
    padding : int, or four: (left, right, top, bottom)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReplicationPad2d((1, 2, 0, 1))(tt.ones(1, 2, 3, 3)).shape
    (1, 2, 4, 6)
    """

    axes = 2
    mode = "replicate"


class CircularPad1d(PadBase):
    """Continue with the elements of the other end on both sides of the last axis.

    Input (N, C, L) or (C, L), output with L + left + right.

    Parameters
    ----------
    padding : int, or two: (left, right)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> CircularPad1d((1, 2))(tt.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 1.0, 2.0, 3.0, 1.0, 2.0]]
    """

    axes = 1
    mode = "circular"


class CircularPad2d(PadBase):
    """Continue with the elements of the other end around the last two axes.

    Input (N, C, H, W) or (C, H, W), output with H + top + bottom and W + left + right.

    Parameters
    ----------
    padding : int, or four: (left, right, top, bottom)
        Negative numbers cut elements off.

    Examples
    --------
    >>> import tinytrain as tt
    >>> CircularPad2d((1, 2, 0, 1))(tt.ones(1, 2, 3, 3)).shape
    (1, 2, 4, 6)
    """

    axes = 2
    mode = "circular"
