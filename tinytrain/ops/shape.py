"""Operations that move elements about without computing on them."""

import math
import operator
from collections.abc import Sequence
from itertools import pairwise

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import result_dtype
from tinytrain.ops.reduce import normalize_axis


class Reshape(Function):
    """z = the elements of x in another shape; one size may be -1 and is then worked out."""

    rearranges = True

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(operator.index(size) for size in shape)

    def forward(self, x: Array) -> Array:
        """Reshape: a view where the memory allows it."""
        self.save(x.shape)
        known = math.prod(size for size in self.shape if size != -1)
        fits = x.size == known if -1 not in self.shape else known and x.size % known == 0
        if not fits or self.shape.count(-1) > 1:
            raise ValueError(f"cannot reshape {x.size} elements of shape {x.shape} to {self.shape}")
        return x.reshape(self.shape)

    def backward(self, gradient: Array) -> Array:
        """Reshape back."""
        (shape,) = self.saved
        return gradient.reshape(shape)


class Permute(Function):
    """z = x with its axes in another order: axis i of z is axis order[i] of x."""

    rearranges = True

    def __init__(self, order: Sequence[int]) -> None:
        self.order = tuple(order)

    def forward(self, x: Array) -> Array:
        """Reorder the axes: a view."""
        order = tuple(normalize_axis(axis, x.ndim) for axis in self.order)
        if sorted(order) != list(range(x.ndim)):
            raise ValueError(f"permute needs every axis of shape {x.shape} once, got {self.order}")
        self.save(order)
        return x.transpose(order)

    def backward(self, gradient: Array) -> Array:
        """Undo the reordering."""
        (order,) = self.saved
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return gradient.transpose(inverse)


class Expand(Function):
    """z = x broadcast to a larger shape; -1 keeps a size. The gradient is summed back."""

    broadcasts = True
    rearranges = True

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def forward(self, x: Array) -> Array:
        """Broadcast: a read-only view."""
        added = len(self.shape) - x.ndim
        if added < 0:
            raise ValueError(f"cannot expand shape {x.shape} to fewer axes: {self.shape}")
        current = (1,) * added + x.shape
        shape = tuple(
            old if new == -1 and axis >= added else new
            for axis, (new, old) in enumerate(zip(self.shape, current, strict=True))
        )
        for new, old in zip(shape, current, strict=True):
            if new < 0:
                raise ValueError(
                    f"cannot expand shape {x.shape} to {self.shape}: a size is at least 0, or -1 "
                    "to keep that of an axis that is there"
                )
            if old not in (1, new):
                raise ValueError(f"cannot expand shape {x.shape} to {self.shape}: {old} is not 1")
        return xp_of(x).broadcast_to(x, shape)

    def backward(self, gradient: Array) -> Array:
        """Hand the gradient on; the base class sums it over the new elements."""
        return gradient


class Cat(Function):
    """z = the inputs one after the other along an axis."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, *pieces: Array) -> Array:
        """Concatenate; sizes may differ along the axis alone."""
        if not pieces:
            raise ValueError("cat needs at least one tensor")
        first = pieces[0]
        xp = xp_of(*pieces)
        if first.ndim == 0:
            raise ValueError("cat needs tensors that have an axis; stack makes one")
        axis = normalize_axis(self.axis, first.ndim)
        for piece in pieces[1:]:
            if piece.ndim != first.ndim or any(
                a != b for i, (a, b) in enumerate(zip(piece.shape, first.shape, strict=True))
                if i != axis
            ):  # fmt: skip
                raise ValueError(
                    f"cat along axis {axis}: {first.shape} and {piece.shape} differ elsewhere"
                )
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + piece.shape[axis])
        self.save(axis, ends)
        return xp.concatenate(_to_one_dtype(pieces), axis=axis)

    def backward(self, gradient: Array) -> tuple[Array, ...]:
        """Cut the gradient into the pieces: views."""
        axis, ends = self.saved
        before = (slice(None),) * axis
        return tuple(gradient[(*before, slice(start, end))] for start, end in pairwise(ends))


def _to_one_dtype(pieces: Sequence[Array]) -> list[Array]:
    """Bring arrays to the dtype in which all of them meet; NumPy's own rule is another."""
    xp, dtype = xp_of(*pieces), pieces[0].dtype
    for piece in pieces[1:]:
        if piece.dtype != dtype:
            dtype = result_dtype(xp.empty(1, dtype), xp.empty(1, piece.dtype))
    return [piece.astype(dtype, copy=False) for piece in pieces]


class Stack(Function):
    """z = the inputs, all of one shape, along a new axis."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, *pieces: Array) -> Array:
        """Stack."""
        if not pieces:
            raise ValueError("stack needs at least one tensor")
        xp = xp_of(*pieces)
        shapes = {piece.shape for piece in pieces}
        if len(shapes) > 1:
            raise ValueError(f"stack needs equal shapes, got {', '.join(map(str, sorted(shapes)))}")
        self.resolved = normalize_axis(self.axis, pieces[0].ndim + 1)
        return xp.stack(_to_one_dtype(pieces), axis=self.resolved)

    def backward(self, gradient: Array) -> tuple[Array, ...]:
        """Take the slices apart: views."""
        before = (slice(None),) * self.resolved
        return tuple(gradient[(*before, i)] for i in range(gradient.shape[self.resolved]))
