"""Functions that are constant between jumps: rounding and the sign. Their gradient is 0."""

from typing import Any

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.elementwise import sign_of
from tinytrain.ops.promotion import Operand, is_boolean, is_float, promote


class Step(Function):
    """What these functions share: a gradient of 0, as PyTorch has it."""

    def backward(self, gradient: Array) -> Any:
        """Return zeros."""
        return xp_of(gradient).zeros_like(gradient)


class Sign(Step):
    """z = -1, 0 or 1, by the sign of x, and 0 where x is NaN;  dL/dx = 0."""

    def forward(self, x: Array) -> Array:
        """Take the sign."""
        if is_float(x.dtype):
            return sign_of(x)
        return x.copy() if x.dtype == np.bool_ else xp_of(x).sign(x)


class Floor(Step):
    """z = the largest whole number <= x;  dL/dx = 0."""

    function = "floor"

    def forward(self, x: Array) -> Array:
        """Round; integers stay what they are."""
        return getattr(xp_of(x), self.function)(x) if is_float(x.dtype) else x.copy()


class Ceil(Floor):
    """z = the smallest whole number >= x;  dL/dx = 0."""

    function = "ceil"


class Trunc(Floor):
    """z = x without what follows the point;  dL/dx = 0."""

    function = "trunc"


class Round(Floor):
    """z = the nearest multiple of 10^-decimals, at a tie the even one;  dL/dx = 0."""

    function = "rint"

    def __init__(self, decimals: int = 0) -> None:
        self.decimals = decimals

    def forward(self, x: Array) -> Array:
        """Round; integers stay what they are."""
        if not self.decimals or not is_float(x.dtype):
            return super().forward(x)
        scale = 10.0 ** abs(self.decimals)
        xp = xp_of(x)
        return xp.rint(x * scale) / scale if self.decimals > 0 else xp.rint(x / scale) * scale


class RoundedQuotient(Step):
    """z = x / y, rounded down ("floor") or towards 0 ("trunc");  dL/dx = dL/dy = 0."""

    broadcasts = True

    def __init__(self, rounding: str) -> None:
        if rounding not in ("floor", "trunc"):
            raise ValueError(
                f"div: rounding_mode must be None, 'floor' or 'trunc', not {rounding!r}"
            )
        self.rounding = rounding

    def forward(self, x: Operand, y: Operand) -> Array:
        """Divide and round; two integers give an integer."""
        x, y = promote(x, y)
        array = x if hasattr(x, "dtype") else y
        xp = xp_of(array)
        if is_boolean(x) and is_boolean(y):
            raise TypeError("a rounded quotient is for numbers, not for two booleans: use .long()")
        if self.rounding == "floor":
            return xp.floor_divide(x, y)
        if is_float(array.dtype):
            return xp.trunc(x / y)
        down = xp.floor_divide(x, y)
        upwards = (down * y != x) & ((x < 0) != (y < 0))
        return down + upwards.astype(array.dtype)

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """Return zeros."""
        zero = xp_of(gradient).zeros_like(gradient)
        return zero, zero
