"""Taking elements out of an array by position, and putting gradients back there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytrain.autograd import Function, describe
from tinytrain.backend import REMEDY, Array, device_of, is_array, to_host, xp_of
from tinytrain.in_place import hold
from tinytrain.kernels import kernels_for
from tinytrain.ops.reduce import normalize_axis


def extremes_of(host: Array) -> tuple[int, ...]:
    """Return the two smallest and the two largest values of an integer array in host memory.

    They are written down when ids cross to a GPU, which could not be asked without waiting for it.
    Two at each end, because one value may not count: the one that stands for "ignore this".

    Examples
    --------
    >>> extremes_of(np.array([3, -100, 0, 7, -100]))
    (-100, 0, 3, 7)
    """
    if not host.size:
        return ()
    ends = host.min(), host.max()
    between = host[(host != ends[0]) & (host != ends[1])]
    found = {*ends, between.min(), between.max()} if between.size else {*ends}
    return tuple(sorted(map(int, found)))


def check_range(
    ids: Array,
    size: int,
    what: str,
    extremes: tuple[int, ...] | None = None,
    ignored: int | None = None,
) -> None:
    """Raise where an integer lies outside 0 .. size - 1: a GPU would wrap it around silently.

    Parameters
    ----------
    ids : integer array
    size : int
    what : str
        What an integer is, for messages.
    extremes : tuple of int, optional
        What `extremes_of` said of an array that held all these values. If they are in range, the
        array is not looked at, which on a GPU would mean waiting.
    ignored : int, optional
        A value that may stand anywhere.

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
        plural = "indices" if what == "index" else f"{what}s"
        raise TypeError(f"{plural} must be integers, got {ids.dtype}")
    if not ids.size:
        return
    if extremes is not None:
        fine = all(0 <= value < size for value in extremes if value != ignored)
    else:
        on_host = device_of(ids) == "cpu"
        fine = on_host and int(ids.min()) >= 0 and int(ids.max()) < size
    if fine:
        return
    host = to_host(ids)
    outside = (host < 0) | (host >= size)
    if ignored is not None:
        outside &= host != ignored
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])  # host: fetched above
        raise IndexError(f"{what} {host[where]} at position {where} is outside 0 to {size - 1}")


def check_index(
    parts: Sequence[Any], extremes: Sequence[tuple[int, ...] | None], shape: tuple[int, ...]
) -> None:
    """Hold the integer arrays of an index against the shape, since a GPU would not.

    Parameters
    ----------
    parts : sequence
        The index: integers, slices, None, ... and arrays.
    extremes : sequence
        Of each part, what `extremes_of` said of it, where that is known.

    Raises
    ------
    IndexError
        An integer is outside -size .. size - 1 of its axis.
    """
    axis = 0
    for position, part in enumerate(parts):
        if part is Ellipsis:
            axis = len(shape) - sum(map(_axes_covered, parts[position + 1 :]))
        elif is_array(part) and part.dtype != np.bool_ and part.size:
            _check_axis(part, extremes[position], axis, shape)
        axis += _axes_covered(part)


def _check_axis(
    ids: Array, known: tuple[int, ...] | None, axis: int, shape: tuple[int, ...]
) -> None:
    """Hold one index array against its axis; it is looked at only if what is known does not do."""
    size = shape[axis] if axis < len(shape) else 0
    for extremes in (known, None):  # what is known may be of more than these: look, before raising
        found = extremes or extremes_of(to_host(ids))
        if -size <= found[0] and found[-1] < size:
            return
    raise IndexError(
        f"an index array with values from {found[0]} to {found[-1]} does not fit axis {axis} of "
        f"size {size} (shape {shape})"
    )


def _axes_covered(part: Any) -> int:
    """Return how many axes a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if is_array(part) and part.dtype == np.bool_ else 1


class Index(Function):
    """z = x[index], with integers, slices, None, ..., integer arrays and boolean masks."""

    rearranges = True

    def __init__(self, index: Any) -> None:
        self.index = index if isinstance(index, tuple) else (index,)

    def forward(self, x: Array) -> Array:
        """Take: a view where the index holds no array."""
        self.save(x.shape)
        if any(self.needs):  # the index is no input, so nobody else sees to it
            self.holds = [hold(part) for part in self.index if is_array(part)]
        for part in self.index:
            if is_array(part) and type(part) is not type(x):
                raise RuntimeError(
                    f"{self.name}: the arguments are on different devices: x is {describe(x)}, "
                    f"the index is {describe(part)}; {REMEDY}"
                )
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
    """z[..., i, ...] = x[..., positions[..., i, ...], ...] along one axis.

    `extremes` is what `extremes_of` said of the positions, if it is known.
    """

    def __init__(self, axis: int, extremes: tuple[int, ...] | None = None) -> None:
        self.axis, self.extremes = axis, extremes

    def forward(self, x: Array, positions: Array) -> Array:
        """Take one element per position."""
        axis = normalize_axis(self.axis, x.ndim)
        check_range(positions, x.shape[axis], "index", self.extremes)
        self.save(x.shape, axis, positions)
        return xp_of(x, positions).take_along_axis(x, positions, axis=axis)

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Put the gradient back; repeated positions add."""
        shape, axis, positions = self.saved
        xp = xp_of(gradient)
        full = xp.zeros(shape, dtype=gradient.dtype)
        xp.add.at(full, along_axis(positions, axis), gradient)
        return full, None


def along_axis(positions: Array, axis: int) -> tuple[Array, ...]:
    """Return, for positions along one axis, the index arrays of all axes.

    Examples
    --------
    >>> x = np.array([[1, 2], [3, 4]])
    >>> x[along_axis(np.array([[1], [0]]), 1)]
    array([[2],
           [3]])
    """
    xp = xp_of(positions)
    grid = list(xp.ix_(*map(xp.arange, positions.shape)))
    grid[axis] = positions
    return tuple(grid)


class Embedding(Function):
    """z = weight[ids]: one row of the table for each id.

    The gradient of a row is the sum of the gradients of all places where its id stands. `extremes`
    is what `extremes_of` said of the ids, if it is known.
    """

    def __init__(self, extremes: tuple[int, ...] | None = None) -> None:
        self.extremes = extremes

    def forward(self, ids: Array, weight: Array) -> Array:
        """Look the rows up; ids are checked, for a GPU would wrap a wrong one around."""
        xp = xp_of(weight, ids)
        if weight.ndim != 2:
            raise ValueError(f"embedding needs a weight of shape (V, D), got {weight.shape}")
        check_range(ids, weight.shape[0], "embedding id", self.extremes)
        self.save(ids, weight.shape[0])
        return xp.take(weight, ids, axis=0)

    def backward(self, gradient: Array) -> tuple[None, Array]:
        """Add up the gradient rows by id."""
        ids, count = self.saved
        rows = gradient.reshape(ids.size, gradient.shape[-1])
        return None, kernels_for(rows).scatter_add_rows(ids.reshape(-1), rows, count)
