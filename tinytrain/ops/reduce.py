"""Reductions: sums, means, variances and extremes along axes."""

import math

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, as_array, xp_of
from tinytrain.ops.promotion import is_float, plain_number

Axes = int | tuple[int, ...] | None


def normalize_axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    """Return axes as sorted non-negative numbers; None and () stand for all of them.

    Raises
    ------
    IndexError
        An axis does not exist.
    ValueError
        An axis is named twice.
    TypeError
        An axis is no integer.

    Examples
    --------
    >>> normalize_axes(-1, 3), normalize_axes(None, 2)
    ((2,), (0, 1))
    """
    if axes is None or (isinstance(axes, tuple) and not axes):
        return tuple(range(ndim))
    listed = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
    found = sorted(normalize_axis(axis, ndim) for axis in listed)
    if len(set(found)) < len(found):
        raise ValueError(f"an axis appears twice in {listed} of an array of {ndim} axes")
    return tuple(found)


def normalize_axis(axis: int, ndim: int) -> int:
    """Return one axis as a non-negative number; a 0-d array accepts 0 and -1.

    Examples
    --------
    >>> normalize_axis(-1, 3)
    2
    """
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"an axis is an integer, got {axis!r}")
    count = max(ndim, 1)
    if not -count <= axis < count:
        raise IndexError(
            f"axis {axis} is out of range for an array of {ndim} axes "
            f"(expected {-count} to {count - 1})"
        )
    return int(axis) % count


class Reduction(Function):
    """What all reductions share: the axes, and bringing a gradient back to the input's shape."""

    def __init__(self, axes: Axes = None, keepdims: bool = False) -> None:
        self.axes, self.keepdims = axes, keepdims

    def resolve(self, x: Array) -> tuple[int, ...] | None:
        """Find the axes for this input, and remember its shape; None for a 0-d input."""
        self.shape = x.shape
        self.resolved = normalize_axes(self.axes, x.ndim)
        if x.ndim == 0:
            self.resolved = ()
            return None
        return self.resolved

    @property
    def count(self) -> int:
        """The number of elements that go into one result."""
        return math.prod(self.shape[axis] for axis in self.resolved)

    def restore(self, reduced: Array) -> Array:
        """Give a result or its gradient the reduced axes back, with size 1."""
        if self.keepdims:
            return reduced
        shape = [1 if i in self.resolved else size for i, size in enumerate(self.shape)]
        return reduced.reshape(shape)

    def check_not_empty(self) -> None:
        """Raise where there is nothing to take an extreme of."""
        if self.count == 0:
            raise ValueError(
                f"{self.name} over no elements: shape {self.shape}, axes {self.resolved}"
            )


class Sum(Reduction):
    """z = sum of x over the axes; dL/dx = g, broadcast."""

    def forward(self, x: Array) -> Array:
        """Add up; booleans and integers are counted in int64."""
        dtype = x.dtype if is_float(x.dtype) else np.int64
        return x.sum(axis=self.resolve(x), keepdims=self.keepdims, dtype=dtype)

    def backward(self, gradient: Array) -> Array:
        """Broadcast the gradient over what was summed, without copying it."""
        return xp_of(as_array(gradient)).broadcast_to(self.restore(gradient), self.shape)


class Mean(Reduction):
    """z = mean of x over the axes; dL/dx = g / n, broadcast."""

    def forward(self, x: Array) -> Array:
        """Average."""
        if not is_float(x.dtype):
            raise TypeError(f"mean needs a floating-point tensor, got {x.dtype}; use x.float()")
        axes = self.resolve(x)
        if self.count == 0:  # NumPy warns here; the answer, 0 / 0, is NaN in PyTorch too
            shape = x.sum(axis=axes, keepdims=self.keepdims).shape
            return xp_of(x).full(shape, math.nan, dtype=x.dtype)
        return x.mean(axis=axes, keepdims=self.keepdims)

    def backward(self, gradient: Array) -> Array:
        """Broadcast the gradient divided by the number of elements."""
        spread = self.restore(gradient / max(self.count, 1))
        return xp_of(as_array(gradient)).broadcast_to(spread, self.shape)


class Var(Reduction):
    """z = sum (x - mean)^2 / (n - correction);  dL/dx = 2 g (x - mean) / (n - correction).

    Two passes, because the mean of squares less the square of the mean loses all digits where the
    mean is large. Where n <= correction the divisor is 0: infinity, and NaN for values all alike.
    """

    def __init__(self, axes: Axes = None, correction: float = 1, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)
        self.correction = plain_number(correction)

    def forward(self, x: Array) -> Array:
        """Average the squared distance from the mean."""
        if not is_float(x.dtype):
            raise TypeError(f"var needs a floating-point tensor, got {x.dtype}; use x.float()")
        axes = self.resolve(x)
        self.divisor = max(self.count - self.correction, 0)
        centered = x - x.mean(axis=axes, keepdims=True) if self.count else x
        self.save(centered)
        total = (centered * centered).sum(axis=axes, keepdims=self.keepdims)
        with np.errstate(invalid="ignore"):  # 0 times infinity
            return total * math.inf if self.divisor == 0 else total / self.divisor

    def backward(self, gradient: Array) -> Array:
        """Multiply the distances from the mean."""
        (centered,) = self.saved
        return self.restore(gradient) * self.slope(centered)

    def slope(self, centered: Array) -> Array:
        """Return the derivative 2 (x - mean) / (n - correction), as PyTorch has it.

        Where n <= correction it is infinite for the variance of all elements, and NaN for those
        that are the mean; along axes the formula stands, except for a division by 0.
        """
        freedom = self.count - self.correction
        if freedom <= 0 and (self.axes is None or not self.shape):
            xp, dtype = xp_of(centered), centered.dtype.type
            return xp.where(centered == 0, dtype(math.nan), dtype(math.inf))
        with np.errstate(invalid="ignore"):  # 0 times infinity
            return centered * (2 / freedom if freedom else math.inf)


class Std(Var):
    """z = sqrt(var x);  dL/dx = g (x - mean) / (z (n - correction)), and 0 where z = 0."""

    def forward(self, x: Array) -> Array:
        """Take the root of the variance."""
        variance = super().forward(x)
        z = as_array(xp_of(x).sqrt(variance))
        self.save(*self.saved, z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Multiply the distances from the mean."""
        centered, z = self.saved
        xp, zero = xp_of(z), z.dtype.type(0)
        flat = z == 0
        scale = xp.where(flat, zero, as_array(gradient) / xp.where(flat, z.dtype.type(1), 2 * z))
        with np.errstate(invalid="ignore"):  # 0 times infinity
            return self.restore(scale) * self.slope(centered)


class Amax(Reduction):
    """z = largest x over the axes; the gradient is shared evenly by all that are largest."""

    function = "max"

    def forward(self, x: Array) -> Array:
        """Find the extreme."""
        axes = self.resolve(x)
        self.check_not_empty()
        z = as_array(getattr(x, self.function)(axis=axes, keepdims=self.keepdims))
        self.save(x, z)
        return z

    def backward(self, gradient: Array) -> Array:
        """Share the gradient among the ties."""
        x, z = self.saved
        winners = (x == self.restore(z)).astype(gradient.dtype)
        ties = winners.sum(axis=self.resolved or None, keepdims=True)
        return winners * (self.restore(gradient) / ties)


class Amin(Amax):
    """z = smallest x over the axes; the gradient is shared evenly by all that are smallest."""

    function = "min"


class Argmax(Reduction):
    """The position of the largest element along one axis, or in the flattened array."""

    differentiable = False
    function = "argmax"

    def forward(self, x: Array) -> Array:
        """Find the first position of the extreme."""
        if not (self.axes is None or isinstance(self.axes, int | np.integer)):
            raise TypeError(f"{self.name} takes one axis or None, got {self.axes!r}")
        axes = self.resolve(x)
        self.check_not_empty()
        find = getattr(xp_of(x), self.function)
        if self.axes is None or axes is None:
            flat = find(x.reshape(-1))
            return flat.reshape([1] * x.ndim) if self.keepdims else flat
        positions = find(x, axis=axes[0])
        return self.restore(positions) if self.keepdims and self.shape != () else positions

    def restore(self, reduced: Array) -> Array:
        """Give the positions the reduced axis back, with size 1."""
        shape = [1 if i in self.resolved else size for i, size in enumerate(self.shape)]
        return reduced.reshape(shape)


class Argmin(Argmax):
    """The position of the smallest element along one axis, or in the flattened array."""

    function = "argmin"
