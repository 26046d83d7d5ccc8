"""Arithmetic of tensors, as operators and under names."""

from typing import Self

from tinytrain.ops import arithmetic, elementwise, selection, steps
from tinytrain.tensor_methods.base import Operand, Scalar, TensorBase


class ArithmeticMethods(TensorBase):
    """Sums, products, quotients and powers."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Add(), self, other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Sub(), self, other)

    def __rsub__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Sub(), other, self)

    def __mul__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Mul(), self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Div(), self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Div(), other, self)

    def __pow__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Pow(), self, other)

    def __rpow__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Pow(), other, self)

    def __neg__(self) -> Self:
        return self._apply(elementwise.Neg(), self)

    def __abs__(self) -> Self:
        return self._apply(elementwise.Abs(), self)

    def __and__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("bitwise_and"), self, other)

    def __or__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("bitwise_or"), self, other)

    def __invert__(self) -> Self:
        return self._apply(selection.Invert(), self)

    def add(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """Add `alpha` times another operand."""
        return self._apply(arithmetic.Add(), self, self._times(other, alpha))

    def sub(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """Subtract `alpha` times another operand."""
        return self._apply(arithmetic.Sub(), self, self._times(other, alpha))

    def mul(self, other: Operand) -> Self:
        """Multiply by another operand."""
        return self._apply(arithmetic.Mul(), self, other)

    def div(self, other: Operand, *, rounding_mode: str | None = None) -> Self:
        """Divide by another operand; the quotient may be rounded: "floor" or "trunc"."""
        if rounding_mode is None:
            return self._apply(arithmetic.Div(), self, other)
        return self._apply(steps.RoundedQuotient(rounding_mode), self, other)

    def pow(self, exponent: Operand) -> Self:
        """Raise to a power."""
        return self._apply(arithmetic.Pow(), self, exponent)

    def maximum(self, other: Self) -> Self:
        """Return the larger of two tensors, elementwise; a tie shares the gradient."""
        return self._apply(arithmetic.Maximum(), self, other)

    def minimum(self, other: Self) -> Self:
        """Return the smaller of two tensors, elementwise; a tie shares the gradient."""
        return self._apply(arithmetic.Minimum(), self, other)

    def _times(self, other: Operand, alpha: Scalar) -> Operand:
        return other if alpha == 1 else other * alpha
