"""Arithmetic of tensors, as operators and under names."""

from typing import Self, TypeVar

from tinytrain.autograd import Function
from tinytrain.ops import arithmetic, elementwise, selection, steps
from tinytrain.tensor_methods.base import Operand, Scalar, TensorBase

AnyTensor = TypeVar("AnyTensor", bound=TensorBase)


class ArithmeticMethods(TensorBase):
    """Sums, products, quotients and powers."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Add(), self, other)

    def __radd__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Add(), other)

    def __sub__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Sub(), self, other)

    def __rsub__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Sub(), other)

    def __mul__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Mul(), self, other)

    def __rmul__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Mul(), other)

    def __truediv__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Div(), self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Div(), other)

    def __floordiv__(self, other: Operand) -> Self:
        return self._apply(steps.RoundedQuotient("floor"), self, other)

    def __rfloordiv__(self, other: Operand) -> Self:
        return _reflected(self, steps.RoundedQuotient("floor"), other)

    def __mod__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Remainder(), self, other)

    def __rmod__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Remainder(), other)

    def __pow__(self, other: Operand) -> Self:
        return self._apply(arithmetic.Pow(), self, other)

    def __rpow__(self, other: Operand) -> Self:
        return _reflected(self, arithmetic.Pow(), other)

    def __neg__(self) -> Self:
        return self._apply(elementwise.Neg(), self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._apply(elementwise.Abs(), self)

    def __and__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("bitwise_and"), self, other)

    def __rand__(self, other: Operand) -> Self:
        return _reflected(self, selection.Logical("bitwise_and"), other)

    def __or__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("bitwise_or"), self, other)

    def __ror__(self, other: Operand) -> Self:
        return _reflected(self, selection.Logical("bitwise_or"), other)

    def __xor__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("bitwise_xor"), self, other)

    def __rxor__(self, other: Operand) -> Self:
        return _reflected(self, selection.Logical("bitwise_xor"), other)

    def __lshift__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("left_shift"), self, other)

    def __rlshift__(self, other: Operand) -> Self:
        return _reflected(self, selection.Logical("left_shift"), other)

    def __rshift__(self, other: Operand) -> Self:
        return self._apply(selection.Logical("right_shift"), self, other)

    def __rrshift__(self, other: Operand) -> Self:
        return _reflected(self, selection.Logical("right_shift"), other)

    def __invert__(self) -> Self:
        return self._apply(selection.Invert(), self)

    def add(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """Add `alpha` times another operand.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.add`.
        """
        return self._apply(arithmetic.Add(), self, self._times(other, alpha))

    def sub(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """Subtract `alpha` times another operand.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.sub`.
        """
        return self._apply(arithmetic.Sub(), self, self._times(other, alpha))

    def mul(self, other: Operand) -> Self:
        """Multiply by another operand.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.mul`.
        """
        return self._apply(arithmetic.Mul(), self, other)

    def div(self, other: Operand, *, rounding_mode: str | None = None) -> Self:
        """Divide by another operand; the quotient may be rounded: "floor" or "trunc".

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.div`.
        """
        if rounding_mode is None:
            return self._apply(arithmetic.Div(), self, other)
        return self._apply(steps.RoundedQuotient(rounding_mode), self, other)

    def pow(self, exponent: Operand) -> Self:
        """Raise to a power.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.pow`.
        """
        return self._apply(arithmetic.Pow(), self, exponent)

    def maximum(self, other: Self) -> Self:
        """Return the larger of two tensors, elementwise; a tie shares the gradient.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.maximum`.
        """
        return self._apply(arithmetic.Maximum(), self, other)

    def minimum(self, other: Self) -> Self:
        """Return the smaller of two tensors, elementwise; a tie shares the gradient.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.minimum`.
        """
        return self._apply(arithmetic.Minimum(), self, other)

    def _times(self, other: Operand, alpha: Scalar) -> Operand:
        return other if alpha == 1 else other * alpha


def _reflected(tensor: AnyTensor, function: Function, left: Operand) -> AnyTensor:
    """Run an operator for the tensor on its right, as Python asks where the left has none."""
    if not isinstance(tensor, TensorBase):
        raise TypeError(
            f"the operator's method was called on {tensor!r}, which is no tensor: "
            f"write the operator itself between the operands ({function.name})"
        )
    return tensor._apply(function, left, tensor)
