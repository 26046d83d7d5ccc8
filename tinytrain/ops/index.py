"""Taking elements out of an array by position, and putting gradients back there."""

from typing import Any

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, is_array, to_host, xp_of
from tinytrain.kernels import cpu as kernels
from tinytrain.ops.reduce import normalize_axis


def check_range(ids: Array, size: int, what: str) -> None:
    """Raise where an integer lies outside 0 .. size - 1: a GPU would wrap it around silently.

    Raises
    ------
    TypeError
        The array does not hold integers.
    IndexError
        A value is out of range; the message gives the first one and where it stands.

    Examples
    --------
    >>> check_range(np.array([0, 7]), 5, "embedding id")
    Traceback (most recent call last):
        ...
    IndexError: embedding id 7 at position (1,) is outside 0 to 4
    """
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{what}s must be integers, got {ids.dtype}")
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= size):
        host = to_host(ids)
        first = np.argwhere((host < 0) | (host >= size))[0]
        where = tuple(int(i) for i in first)
        raise IndexError(f"{what} {host[where]} at position {where} is outside 0 to {size - 1}")


class Index(Function):
    """z = x[index], with integers, slices, None, ..., integer arrays and boolean masks."""

    def __init__(self, index: Any) -> None:
        self.index = index if isinstance(index, tuple) else (index,)

    def forward(self, x: Array) -> Array:
        """Take: a view where the index holds no array."""
        self.save(x.shape)
        xp_of(x, *(part for part in self.index if is_array(part)))
        return x[self.index]

    def backward(self, gradient: Array) -> Array:
        """Put the gradient back; where an element was taken more than once, contributions add."""
        (shape,) = self.saved
        xp = xp_of(gradient)
        full = xp.zeros(shape, dtype=gradient.dtype)
        may_repeat = any(is_array(part) and part.dtype != np.bool_ for part in self.index)
        if may_repeat:
            xp.add.at(full, self.index, gradient)
        else:
            full[self.index] = gradient
        return full


class TakeAlong(Function):
    """z[..., i, ...] = x[..., positions[..., i, ...], ...] along one axis."""

    def __init__(self, positions: Array, axis: int) -> None:
        self.positions, self.axis = positions, axis

    def forward(self, x: Array) -> Array:
        """Take one element per position."""
        self.axis = normalize_axis(self.axis, x.ndim)
        check_range(self.positions, x.shape[self.axis], "index")
        self.save(x.shape)
        return xp_of(x, self.positions).take_along_axis(x, self.positions, axis=self.axis)

    def backward(self, gradient: Array) -> Array:
        """Put the gradient back; repeated positions add."""
        (shape,) = self.saved
        xp = xp_of(gradient)
        full = xp.zeros(shape, dtype=gradient.dtype)
        grid = list(xp.indices(self.positions.shape, sparse=True))
        grid[self.axis] = self.positions
        xp.add.at(full, tuple(grid), gradient)
        return full


class Embedding(Function):
    """z = weight[ids]: one row of the table for each id.

    The gradient of a row is the sum of the gradients of all places where its id stands.
    """

    def forward(self, ids: Array, weight: Array) -> Array:
        """Look the rows up; ids are checked, for a GPU would wrap a wrong one around."""
        xp = xp_of(weight, ids)
        if weight.ndim != 2:
            raise ValueError(f"embedding needs a weight of shape (V, D), got {weight.shape}")
        check_range(ids, weight.shape[0], "embedding id")
        self.save(ids, weight.shape[0])
        return xp.take(weight, ids, axis=0)

    def backward(self, gradient: Array) -> tuple[None, Array]:
        """Add up the gradient rows by id."""
        ids, count = self.saved
        rows = gradient.reshape(ids.size, gradient.shape[-1])
        return None, kernels.scatter_add_rows(ids.reshape(-1), rows, count)
