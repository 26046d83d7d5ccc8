"""Comparing operands and choosing between them."""

from typing import Any, ClassVar

import numpy as np

from tinytrain.autograd import Function, describe
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import (
    DEFAULT_FLOAT,
    Operand,
    check_broadcast,
    is_boolean,
    is_float,
    promote,
)


class Comparison(Function):
    """Compare two operands elementwise; the result is boolean and never requires a gradient."""

    differentiable = False
    broadcasts = True
    symbols: ClassVar[dict[str, str]] = {
        "==": "equal",
        "!=": "not_equal",
        "<": "less",
        "<=": "less_equal",
        ">": "greater",
        ">=": "greater_equal",
    }

    def __init__(self, symbol: str) -> None:
        self.function = self.symbols[symbol]

    def forward(self, x: Operand, y: Operand) -> Array:
        """Compare."""
        x, y = promote(x, y)
        compare = getattr(xp_of(x if hasattr(x, "dtype") else y), self.function)
        return compare(x, y)


class Logical(Function):
    """Combine the bits of booleans or integers elementwise: ``&``, ``|``, ``^``, ``<<``, ``>>``."""

    differentiable = False
    broadcasts = True

    def __init__(self, function: str) -> None:
        self.function = function

    def forward(self, x: Operand, y: Operand) -> Array:
        """Combine."""
        for operand in (x, y):
            if isinstance(operand, float) or (
                hasattr(operand, "dtype") and is_float(operand.dtype)
            ):
                raise TypeError(
                    f"{self.function} is for booleans and integers, not for "
                    f"{describe(operand)}: compare first, or use .long()"
                )
        if self.function.endswith("shift") and is_boolean(x) and is_boolean(y):
            raise TypeError(f"{self.function} is for integers, not for two booleans: use .long()")
        x, y = promote(x, y)
        combine = getattr(xp_of(x if hasattr(x, "dtype") else y), self.function)
        return combine(x, y)


class Where(Function):
    """z = x where the condition holds, else y; the gradient goes to the operand that was taken."""

    broadcasts = True

    def forward(self, condition: Array, x: Operand, y: Operand) -> Array:
        """Choose elementwise."""
        if condition.dtype != np.bool_:
            raise TypeError(f"where expects a boolean condition, got {condition.dtype}")
        x, y = promote(x, y) if hasattr(x, "dtype") or hasattr(y, "dtype") else (x, y)
        check_broadcast(condition.shape, *(v.shape for v in (x, y) if hasattr(v, "shape")))
        self.save(condition)
        xp = xp_of(condition, x, y)
        if not hasattr(x, "dtype") and not hasattr(y, "dtype"):
            x = xp.full((), x, dtype=_dtype_of_numbers(x, y))
        return xp.where(condition, x, y)

    def backward(self, gradient: Array) -> tuple[None, Array, Array]:
        """Route the gradient."""
        (condition,) = self.saved
        xp, zero = xp_of(condition), gradient.dtype.type(0)
        # Chosen, not multiplied: an infinite gradient of the other operand must not become NaN.
        return None, xp.where(condition, gradient, zero), xp.where(condition, zero, gradient)


def _dtype_of_numbers(x: float, y: float) -> Any:
    if isinstance(x, float) or isinstance(y, float):
        return DEFAULT_FLOAT
    return np.bool_ if isinstance(x, bool) and isinstance(y, bool) else np.int64


class MaskedFill(Function):
    """z = value where the mask is True, else x; no gradient flows where the mask is True."""

    broadcasts = True

    def __init__(self, value: float) -> None:
        self.value = value

    def forward(self, x: Array, mask: Array) -> Array:
        """Replace."""
        if mask.dtype != np.bool_:
            raise TypeError(f"masked_fill expects a boolean mask, got {mask.dtype}")
        if x.dtype.kind in "iu" and x.dtype.type(self.value) != self.value:
            raise TypeError(f"masked_fill: {self.value!r} is no value of {x.dtype}")
        check_broadcast(x.shape, mask.shape)
        self.save(mask)
        return xp_of(x, mask).where(mask, x.dtype.type(self.value), x)

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Stop the gradient at the mask."""
        (mask,) = self.saved
        return xp_of(mask).where(mask, gradient.dtype.type(0), gradient), None


class Invert(Function):
    """Flip booleans (and the bits of integers)."""

    differentiable = False

    def forward(self, x: Array) -> Array:
        """Flip."""
        if is_float(x.dtype):
            raise TypeError(f"~ is for booleans and integers, not {x.dtype}")
        return ~x
