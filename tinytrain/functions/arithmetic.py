"""Arithmetic of two operands, one of which may be a number."""

from tinytrain.ops import arithmetic, steps
from tinytrain.tensor import Operand, Scalar, Tensor, apply


def add(input: Operand, other: Operand, *, alpha: Scalar = 1) -> Tensor:
    """Return x + alpha y.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> add(tensor([1.0, 2.0]), 10, alpha=2)
    tensor([21., 22.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Add(), input, other if alpha == 1 else other * alpha)


def sub(input: Operand, other: Operand, *, alpha: Scalar = 1) -> Tensor:
    """Return x - alpha y.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor, or both are boolean.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sub(tensor([1.0, 2.0]), tensor([1.0, 1.0]), alpha=2)
    tensor([-1.,  0.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Sub(), input, other if alpha == 1 else other * alpha)


def mul(input: Operand, other: Operand) -> Tensor:
    """Return x y.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> mul(tensor([1.0, 2.0]), 10)
    tensor([10., 20.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Mul(), input, other)


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """Return x / y, or the quotient rounded: down ("floor") or towards 0 ("trunc").

    Integers give float32, rounded quotients of integers an integer. A rounded one has gradient 0.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast, or the rounding mode is none of these.
    TypeError
        Neither is a tensor.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> div(tensor([1, -7]), 2), div(tensor([1, -7]), 2, rounding_mode="floor")
    (tensor([ 0.5, -3.5], dtype=float32, device=cpu), tensor([ 0, -4], dtype=int64, device=cpu))
    """
    if rounding_mode is None:
        return apply(arithmetic.Div(), input, other)
    return apply(steps.RoundedQuotient(rounding_mode), input, other)


def pow(input: Operand, exponent: Operand) -> Tensor:
    """Return x^y.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor, or both are boolean.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> pow(tensor([2.0, 3.0]), 2), pow(2.0, tensor([2.0, 3.0]))
    (tensor([4., 9.], dtype=float32, device=cpu), tensor([4., 8.], dtype=float32, device=cpu))
    """
    return apply(arithmetic.Pow(), input, exponent)


def maximum(input: Operand, other: Operand) -> Tensor:
    """Return the larger of two tensors, elementwise; a tie shares the gradient.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> maximum(tensor([1.0, 5.0]), tensor([3.0, 2.0]))
    tensor([3., 5.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Maximum(), input, other)


def minimum(input: Operand, other: Operand) -> Tensor:
    """Return the smaller of two tensors, elementwise; a tie shares the gradient.

    Shapes are broadcast: (2, 1) and (3,) to (2, 3).

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        Neither is a tensor.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> minimum(tensor([1.0, 5.0]), tensor([3.0, 2.0]))
    tensor([1., 2.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Minimum(), input, other)
