"""Comparison of tensors, and logic: the results are booleans, without gradients."""

from typing import Self

import numpy as np

from tinytrain.ops import logic, selection
from tinytrain.tensor_methods.base import Operand, TensorBase


class ComparisonMethods(TensorBase):
    """Comparisons, as operators and under names, and logic."""

    __slots__ = ()

    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        if not _is_operand(other):
            return NotImplemented
        return self._apply(selection.Comparison("=="), self, other)

    def __ne__(self, other: object) -> Self:  # type: ignore[override]
        if not _is_operand(other):
            return NotImplemented
        return self._apply(selection.Comparison("!="), self, other)

    def __lt__(self, other: Operand) -> Self:
        return self._apply(selection.Comparison("<"), self, other)

    def __le__(self, other: Operand) -> Self:
        return self._apply(selection.Comparison("<="), self, other)

    def __gt__(self, other: Operand) -> Self:
        return self._apply(selection.Comparison(">"), self, other)

    def __ge__(self, other: Operand) -> Self:
        return self._apply(selection.Comparison(">="), self, other)

    __hash__ = object.__hash__

    def eq(self, other: Operand) -> Self:
        """Return where the operands are equal.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.eq`.
        """
        return self._apply(selection.Comparison("=="), self, other)

    def ne(self, other: Operand) -> Self:
        """Return where the operands differ.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.ne`.
        """
        return self._apply(selection.Comparison("!="), self, other)

    def lt(self, other: Operand) -> Self:
        """Return where this is less than the other.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.lt`.
        """
        return self._apply(selection.Comparison("<"), self, other)

    def le(self, other: Operand) -> Self:
        """Return where this is at most the other.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.le`.
        """
        return self._apply(selection.Comparison("<="), self, other)

    def gt(self, other: Operand) -> Self:
        """Return where this is greater than the other.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.gt`.
        """
        return self._apply(selection.Comparison(">"), self, other)

    def ge(self, other: Operand) -> Self:
        """Return where this is at least the other.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.ge`.
        """
        return self._apply(selection.Comparison(">="), self, other)

    def logical_not(self) -> Self:
        """Return where the elements are 0.

        Any shape in, the same out.
        """
        return self._apply(logic.Not(), self)

    def logical_and(self, other: Self) -> Self:
        """Return where both operands differ from 0.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.logical_and`.
        """
        return self._apply(logic.Truth("logical_and"), self, other)

    def logical_or(self, other: Self) -> Self:
        """Return where an operand differs from 0.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.logical_or`.
        """
        return self._apply(logic.Truth("logical_or"), self, other)

    def logical_xor(self, other: Self) -> Self:
        """Return where exactly one operand differs from 0.

        Shapes are broadcast: (2, 1) and (3,) to (2, 3); errors as for `tinytrain.logical_xor`.
        """
        return self._apply(logic.Truth("logical_xor"), self, other)

    def isnan(self) -> Self:
        """Return where the elements are NaN.

        Any shape in, the same out.
        """
        return self._apply(logic.Classify("isnan"), self)

    def isinf(self) -> Self:
        """Return where the elements are inf or -inf.

        Any shape in, the same out.
        """
        return self._apply(logic.Classify("isinf"), self)

    def isfinite(self) -> Self:
        """Return where the elements are neither NaN nor infinite.

        Any shape in, the same out.
        """
        return self._apply(logic.Classify("isfinite"), self)


def _is_operand(value: object) -> bool:
    """Whether a value can be compared elementwise; a bare array is, to be refused with words."""
    numbers = TensorBase | bool | int | float | np.generic
    return isinstance(value, numbers) or hasattr(value, "shape")
