"""Arithmetic of two operands, which are broadcast and brought to one dtype."""

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import DEFAULT_FLOAT, Operand, as_float, is_boolean, is_float, promote


class Add(Function):
    """z = x + y;  dL/dx = g,  dL/dy = g."""

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Add."""
        x, y = promote(x, y)
        return x + y

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """Hand the gradient to both operands."""
        return gradient, gradient


class Sub(Function):
    """z = x - y;  dL/dx = g,  dL/dy = -g."""

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Subtract; two booleans have no difference."""
        x, y = promote(x, y)
        if is_boolean(x) and is_boolean(y):
            raise TypeError(
                "a difference is for numbers, not for two booleans: use x != y for where they "
                "differ, or x.long() - y.long()"
            )
        return x - y

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Hand the gradient on, negated for the second operand."""
        return gradient, -gradient if self.needs[1] else None


class Mul(Function):
    """z = x y;  dL/dx = g y,  dL/dy = g x."""

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Multiply; each operand is kept only if the other one wants a gradient."""
        x, y = promote(x, y)
        if any(self.needs):
            self.save(x if self.needs[1] else None, y if self.needs[0] else None)
        return x * y

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None]:
        """Multiply the gradient by the other operand."""
        x, y = self.saved
        return (
            None if y is None else gradient * y,
            None if x is None else gradient * x,
        )


class Div(Function):
    """z = x / y;  dL/dx = g / y,  dL/dy = -(g / y) z."""

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Divide; integers give float32."""
        x, y = (as_float(value) if hasattr(value, "dtype") else value for value in promote(x, y))
        z = x / y
        self.save(y, z if any(self.needs[1:]) else None)
        return z

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Divide the gradient by y; for y itself multiply by -z as well."""
        y, z = self.saved
        over_y = gradient / y
        return over_y, None if z is None else -over_y * z


class Remainder(Function):
    """z = x - y floor(x / y), with the sign of y;  dL/dx = g,  dL/dy = -g floor(x / y)."""

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Take what the division rounded down leaves; two integers give an integer."""
        x, y = promote(x, y)
        if is_boolean(x) and is_boolean(y):
            raise TypeError("a remainder is for numbers, not for two booleans: use .long()")
        xp = xp_of(x if hasattr(x, "dtype") else y)
        self.save(xp.floor_divide(x, y) if any(self.needs[1:]) else None)
        return xp.remainder(x, y)

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Hand the gradient on; to y times how often it was taken away."""
        (quotient,) = self.saved
        return gradient, None if quotient is None else -gradient * quotient


class Pow(Function):
    """z = x^y;  dL/dx = g y x^(y-1),  dL/dy = g z log x.

    Where y = 0 the gradient of x is 0, and where x = 0 and y >= 0 the gradient of y is 0, as the
    limits are. Small whole exponents are multiplied out: a power of 3 in float32 is otherwise
    about a hundred times slower.
    """

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Raise to a power."""
        x, y = promote(x, y)
        z = _power(x, y)
        self.save(x, y, z if any(self.needs[1:]) else None)
        return z

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None]:
        """Differentiate with respect to the base and to the exponent."""
        x, y, z = self.saved
        return (
            self._base_gradient(gradient, x, y) if self.needs[0] else None,
            self._exponent_gradient(gradient, x, y, z) if self.needs[1] else None,
        )

    @staticmethod
    def _base_gradient(gradient: Array, x: Operand, y: Operand) -> Array:
        xp = xp_of(gradient)
        if isinstance(y, bool | int | float):
            if y == 0:
                return xp.zeros_like(gradient)
            return gradient * (y * _power(x, y - 1))
        with np.errstate(divide="ignore", invalid="ignore"):  # 0^-1 where y = 0 is not used
            slope = y * xp.power(x, y - 1)
        return gradient * xp.where(y == 0, xp.zeros_like(slope), slope)

    @staticmethod
    def _exponent_gradient(gradient: Array, x: Operand, y: Array, z: Array) -> Array:
        xp = xp_of(gradient)
        base = x if hasattr(x, "dtype") else xp.full((), x, dtype=z.dtype)
        flat = (base == 0) & (y >= 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 where flat is not used
            slope = z * xp.log(base)
        return gradient * xp.where(flat, xp.zeros_like(slope), slope)


def _integer_power(x: Operand, y: Array) -> Array:
    """Raise integers to powers that may be negative: 1 / x^|y|, cut to an integer, as in PyTorch.

    That is 0 except for x = 1 and x = -1. (For a number y, known beforehand, it is an error.)
    """
    xp = xp_of(y)
    if not hasattr(x, "dtype"):
        x = xp.full((), x, dtype=y.dtype)
    if y.dtype.kind == "u":
        return xp.power(x, y)
    inverse = (x == 1).astype(y.dtype) + (x == -1).astype(y.dtype) * (1 - 2 * (y & 1))
    return xp.where(y < 0, inverse, xp.power(x, xp.maximum(y, 0)))


def _power(x: Operand, y: Operand) -> Array:
    if is_boolean(x) and is_boolean(y):
        raise TypeError("pow is for numbers, not for two booleans: use .long()")
    if hasattr(y, "dtype") and y.dtype.kind in "iu" and not isinstance(x, float):
        return _integer_power(x, y)
    if y is True or y is False or not isinstance(y, int | float) or not hasattr(x, "dtype"):
        return x**y
    if x.dtype == np.bool_:
        x = x.astype(np.int64 if isinstance(y, int) else DEFAULT_FLOAT)
    if y < 0 and not is_float(x.dtype):
        raise ValueError(
            f"integers to a negative integer power ({y}) are not integers: "
            "make the base floating point first, x.float()"
        )
    if y == 1:
        return x.copy()
    if y == 2:
        return x * x
    if y == 3:
        return x * x * x
    return x**y


class Maximum(Function):
    """z = max(x, y) elementwise; the larger gets the gradient, at a tie each half.

    NaN is neither larger nor smaller: where one is, both get all of it, as in PyTorch.
    """

    broadcasts = True

    def forward(self, x: Operand, y: Operand) -> Array:
        """Take the larger of the two."""
        x, y = promote(x, y)
        self.save(*_shares(x, y, x < y, x > y) if any(self.needs) else ())
        return xp_of(x if hasattr(x, "dtype") else y).maximum(x, y)

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """Give each operand its share."""
        share_x, share_y = self.saved
        return gradient * share_x, gradient * share_y


class Minimum(Maximum):
    """z = min(x, y) elementwise; the smaller gets the gradient, at a tie each half."""

    def forward(self, x: Operand, y: Operand) -> Array:
        """Take the smaller of the two."""
        x, y = promote(x, y)
        self.save(*_shares(x, y, x > y, x < y) if any(self.needs) else ())
        return xp_of(x if hasattr(x, "dtype") else y).minimum(x, y)


def _shares(x: Operand, y: Operand, x_loses: Array, y_loses: Array) -> tuple[Array, Array]:
    """Return which share of the gradient each operand gets: 1, 0, or 0.5 at a tie."""
    dtype = x.dtype if hasattr(x, "dtype") else y.dtype
    whole = 1 - (x == y).astype(dtype) * 0.5
    return whole * ~x_loses, whole * ~y_loses
