"""Comparison, logic, and the choice between two tensors. Booleans have no gradients."""

from typing import overload

from tinytrain.backend import xp_of
from tinytrain.functions.checks import checked
from tinytrain.ops import selection
from tinytrain.tensor import Operand, Tensor, apply


def eq(input: Tensor, other: Operand) -> Tensor:
    """Return where x = y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> eq(tensor([1, 2, 3]), 2)
    tensor([False,  True, False], dtype=bool, device=cpu)
    """
    return checked(input).eq(other)


def ne(input: Tensor, other: Operand) -> Tensor:
    """Return where x != y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> ne(tensor([1, 2, 3]), 2)
    tensor([ True, False,  True], dtype=bool, device=cpu)
    """
    return checked(input).ne(other)


def lt(input: Tensor, other: Operand) -> Tensor:
    """Return where x < y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> lt(tensor([1, 2, 3]), 2)
    tensor([ True, False, False], dtype=bool, device=cpu)
    """
    return checked(input).lt(other)


def le(input: Tensor, other: Operand) -> Tensor:
    """Return where x <= y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> le(tensor([1, 2, 3]), 2)
    tensor([ True,  True, False], dtype=bool, device=cpu)
    """
    return checked(input).le(other)


def gt(input: Tensor, other: Operand) -> Tensor:
    """Return where x > y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> gt(tensor([1, 2, 3]), 2)
    tensor([False, False,  True], dtype=bool, device=cpu)
    """
    return checked(input).gt(other)


def ge(input: Tensor, other: Operand) -> Tensor:
    """Return where x >= y, as booleans.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> ge(tensor([1, 2, 3]), 2)
    tensor([False,  True,  True], dtype=bool, device=cpu)
    """
    return checked(input).ge(other)


def logical_not(input: Tensor) -> Tensor:
    """Return where x is 0 or False.

    Any shape in, the same out.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logical_not(tensor([0, 1, 2]))
    tensor([ True, False, False], dtype=bool, device=cpu)
    """
    return checked(input).logical_not()


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Return where both operands differ from 0.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logical_and(tensor([0, 1, 0, 2]), tensor([0, 0, 3, 3]))
    tensor([False, False, False,  True], dtype=bool, device=cpu)
    """
    return checked(input).logical_and(checked(other))


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Return where at least one operand differs from 0.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logical_or(tensor([0, 1, 0, 2]), tensor([0, 0, 3, 3]))
    tensor([False,  True,  True,  True], dtype=bool, device=cpu)
    """
    return checked(input).logical_or(checked(other))


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Return where exactly one operand differs from 0.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logical_xor(tensor([0, 1, 0, 2]), tensor([0, 0, 3, 3]))
    tensor([False,  True,  True, False], dtype=bool, device=cpu)
    """
    return checked(input).logical_xor(checked(other))


def isnan(input: Tensor) -> Tensor:
    """Return where x is NaN.

    Any shape in, the same out.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> isnan(tensor([1.0, float("inf"), float("nan")]))
    tensor([False, False,  True], dtype=bool, device=cpu)
    """
    return checked(input).isnan()


def isinf(input: Tensor) -> Tensor:
    """Return where x is inf or -inf.

    Any shape in, the same out.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> isinf(tensor([1.0, float("inf"), float("nan")]))
    tensor([False,  True, False], dtype=bool, device=cpu)
    """
    return checked(input).isinf()


def isfinite(input: Tensor) -> Tensor:
    """Return where x is neither NaN nor infinite.

    Any shape in, the same out.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> isfinite(tensor([1.0, float("inf"), float("nan")]))
    tensor([ True, False, False], dtype=bool, device=cpu)
    """
    return checked(input).isfinite()


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Operand, other: Operand) -> Tensor: ...
def where(
    condition: Tensor, input: Operand | None = None, other: Operand | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Take from `input` where the condition holds, and from `other` elsewhere.

    With the condition alone: where it holds (is not 0), as one tensor of positions for each axis; a
    GPU has to wait for that.

    The three shapes are broadcast.

    Raises
    ------
    ValueError
        They cannot be.
    TypeError
        The condition is not boolean.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.], dtype=float32, device=cpu)
    """
    if input is None and other is None:
        array = checked(condition).data
        array = array.reshape(1) if not array.ndim else array
        return tuple(map(Tensor, xp_of(array).nonzero(array)))  # host: a GPU waits for the count
    if input is None or other is None:
        raise TypeError("where takes a condition alone, or with both input and other")
    return apply(selection.Where(), checked(condition), input, other)
