"""Putting elements in order."""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.reduce import normalize_axis


class Argsort(Function):
    """The positions of the elements in rising or falling order along an axis.

    Equal elements keep their order, and NaN counts as the largest. The sorted values themselves
    are taken by these positions (`ops.index.TakeAlong`), through which gradients flow.
    """

    differentiable = False

    def __init__(self, axis: int = -1, descending: bool = False) -> None:
        self.axis, self.descending = axis, descending

    def forward(self, x: Array) -> Array:
        """Sort; falling order is rising order read backwards, of elements read backwards."""
        xp, axis = xp_of(x), normalize_axis(self.axis, x.ndim)
        if not x.ndim:
            return xp.zeros((), dtype=int)
        if not self.descending:
            return xp.argsort(x, axis=axis, kind="stable")
        positions = xp.argsort(xp.flip(x, axis=axis), axis=axis, kind="stable")
        return x.shape[axis] - 1 - xp.flip(positions, axis=axis)
