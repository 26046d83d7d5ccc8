"""Operations that turn elements about, or keep only some of a matrix."""

from collections.abc import Sequence

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.reduce import normalize_axes, normalize_axis


class Flip(Function):
    """z = x in reverse order along axes; the gradient is reversed again."""

    rearranges = True

    def __init__(self, axes: Sequence[int]) -> None:
        self.axes = tuple(axes)

    def forward(self, x: Array) -> Array:
        """Reverse: a view."""
        self.resolved = normalize_axes(self.axes, x.ndim) if self.axes and x.ndim else ()
        return self._reverse(x)

    def backward(self, gradient: Array) -> Array:
        """Reverse back."""
        return self._reverse(gradient)

    def _reverse(self, x: Array) -> Array:
        step = (slice(None, None, -1 if axis in self.resolved else 1) for axis in range(x.ndim))
        return x[tuple(step)]


class Roll(Function):
    """z = x shifted along axes; what leaves at one end comes in at the other.

    Without axes the elements are shifted as if they stood in one row.
    """

    rearranges = True

    def __init__(self, shifts: Sequence[int], axes: Sequence[int]) -> None:
        self.shifts, self.axes = tuple(shifts), tuple(axes)
        if self.axes and len(self.axes) != len(self.shifts):
            raise ValueError(f"roll: {len(self.shifts)} shifts for {len(self.axes)} axes")
        if not self.axes and len(self.shifts) != 1:
            raise ValueError(f"roll without dims takes one shift, got {self.shifts}")

    def forward(self, x: Array) -> Array:
        """Shift."""
        return self._shift(x, 1)

    def backward(self, gradient: Array) -> Array:
        """Shift back."""
        return self._shift(gradient, -1)

    def _shift(self, x: Array, direction: int) -> Array:
        xp = xp_of(x)
        if not self.axes:
            return xp.roll(x, direction * self.shifts[0])
        if not x.ndim:
            raise IndexError(f"roll: there is no axis {self.axes[0]} in a tensor without axes")
        for shift, axis in zip(self.shifts, self.axes, strict=True):
            x = xp.roll(x, direction * shift, axis=normalize_axis(axis, x.ndim))
        return x


class Tril(Function):
    """z = x on and below a diagonal of its matrices, 0 above; so is the gradient."""

    function = "tril"

    def __init__(self, diagonal: int = 0) -> None:
        self.diagonal = diagonal

    def forward(self, x: Array) -> Array:
        """Keep one side."""
        if x.ndim < 2:
            raise ValueError(f"{self.function} needs at least two axes, got shape {x.shape}")
        return self._keep(x)

    def backward(self, gradient: Array) -> Array:
        """Keep the same side of the gradient."""
        return self._keep(gradient)

    def _keep(self, x: Array) -> Array:
        return getattr(xp_of(x), self.function)(x, self.diagonal)


class Triu(Tril):
    """z = x on and above a diagonal of its matrices, 0 below; so is the gradient."""

    function = "triu"


class Diagonal(Function):
    """z = a diagonal of two axes, as the last axis; its gradient goes back to where it was.

    The diagonal `offset` lies so far to the right of the main one, or to the left where negative.
    """

    rearranges = True

    def __init__(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> None:
        self.offset, self.axes = offset, (axis1, axis2)

    def forward(self, x: Array) -> Array:
        """Take the diagonal: a view."""
        first, second = (normalize_axis(axis, x.ndim) for axis in self.axes)
        if first == second:
            raise ValueError(f"diagonal needs two axes, got {self.axes} of shape {x.shape}")
        self.save(x.shape, first, second)
        return x.diagonal(self.offset, first, second)

    def backward(self, gradient: Array) -> Array:
        """Put the gradient on the diagonal of zeros."""
        shape, first, second = self.saved
        xp = xp_of(gradient)
        full = xp.zeros(shape, dtype=gradient.dtype)
        steps = xp.arange(gradient.shape[-1])
        rows, columns = steps + max(-self.offset, 0), steps + max(self.offset, 0)
        xp.moveaxis(full, (first, second), (-2, -1))[..., rows, columns] = gradient
        return full
