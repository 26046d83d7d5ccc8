"""Padding: values around an array, or, with negative numbers, elements cut off its ends."""

from collections.abc import Sequence
from typing import Any

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import plain_number

MODES = ("constant", "reflect", "replicate", "circular")


def pad_pairs(pad: Sequence[Any], ndim: int) -> list[tuple[int, int]]:
    """Turn PyTorch's padding tuple, which begins with the last axis, into a pair for each axis.

    Raises
    ------
    ValueError
        The length is odd, or there are pairs for more axes than there are.
    TypeError
        An entry is no integer.

    Examples
    --------
    >>> pad_pairs((1, 2, 3, 4), 3)
    [(0, 0), (3, 4), (1, 2)]
    """
    places = [plain_number(p) for p in pad]
    if not all(isinstance(p, int) and not isinstance(p, bool) for p in places):
        raise TypeError(f"pad needs integers, got {tuple(pad)}")
    if len(places) % 2 or len(places) > 2 * ndim:
        raise ValueError(
            f"pad needs one pair of numbers for each of the last axes, at most {2 * ndim} numbers "
            f"for an array of {ndim} axes, got {len(places)}: {tuple(pad)}"
        )
    pairs = list(zip(places[::2], places[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


class Pad(Function):
    """z = x with a constant around it, in `pad` = (before the last axis, behind it, ...) places.

    A negative number cuts elements off. Among booleans, a constant other than 0 is True. dL/dx is
    the part of g where x lies.
    """

    def __init__(self, pad: Sequence[int], value: float = 0.0) -> None:
        self.pad, self.value = tuple(pad), plain_number(value)

    def forward(self, x: Array) -> Array:
        """Copy x into the middle."""
        pairs = pad_pairs(self.pad, x.ndim)
        shape = _padded_shape(x.shape, pairs)
        kept, middle = _middle(x.shape, pairs)
        if x.dtype.kind in "iu" and x.dtype.type(self.value) != self.value:
            raise TypeError(f"pad: {self.value!r} is no value of {x.dtype}")
        self.save(x.shape, kept, middle)
        z = xp_of(x).full(shape, self.value, dtype=x.dtype)
        z[middle] = x[kept]
        return z

    def backward(self, gradient: Array) -> Array:
        """Take the middle; what was cut off gets 0."""
        shape, kept, middle = self.saved
        if min(self.pad, default=0) >= 0:
            return gradient[middle]
        full = xp_of(gradient).zeros(shape, dtype=gradient.dtype)
        full[kept] = gradient[middle]
        return full


def _padded_shape(shape: tuple[int, ...], pairs: list[tuple[int, int]]) -> tuple[int, ...]:
    sizes = tuple(size + before + after for size, (before, after) in zip(shape, pairs, strict=True))
    if min(sizes, default=0) < 0:
        raise ValueError(f"pad of shape {shape} would give the impossible shape {sizes}")
    return sizes


def _middle(
    shape: tuple[int, ...], pairs: list[tuple[int, int]]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return what is kept of x, and where it lies in the result."""
    kept = [_kept(size, *pair) for size, pair in zip(shape, pairs, strict=True)]
    middle = [
        slice(max(before, 0), max(before, 0) + part.stop - part.start)
        for part, (before, _) in zip(kept, pairs, strict=True)
    ]
    return tuple(kept), tuple(middle)


def _kept(size: int, before: int, after: int) -> slice:
    start = max(-before, 0)
    return slice(start, max(size - max(-after, 0), start))


class PadFromInside(Function):
    """z = x continued beyond its ends: mirrored, with the outermost element, or as if it repeated.

    "reflect" mirrors about the outermost element, "replicate" repeats it, "circular" takes the
    elements of the other end. One axis after the other is extended by two slices; dL/dx adds the
    gradients of those slices to those of the elements they came from.
    """

    def __init__(self, pad: Sequence[int], mode: str) -> None:
        self.pad, self.mode = tuple(pad), mode

    def forward(self, x: Array) -> Array:
        """Extend axis by axis."""
        pairs, xp = pad_pairs(self.pad, x.ndim), xp_of(x)
        self._check(x.shape, pairs)
        self.plan = []
        for axis, (before, after) in enumerate(pairs):
            if not before and not after:
                continue
            pieces = self._pieces(x.shape[axis], before, after)
            self.plan.append((axis, x.shape[axis], pieces))
            shape = list(x.shape)
            shape[axis] += before + after
            z = xp.empty(shape, dtype=x.dtype)
            for source, target in pieces:
                z[_along_axis(axis, target)] = x[_along_axis(axis, source)]
            x = z
        return x

    def backward(self, gradient: Array) -> Array:
        """Fold axis by axis."""
        xp = xp_of(gradient)
        for axis, size, pieces in reversed(self.plan):
            shape = list(gradient.shape)
            shape[axis] = size
            folded = xp.zeros(shape, dtype=gradient.dtype)
            for source, target in pieces:
                part = folded[_along_axis(axis, source)]
                given = gradient[_along_axis(axis, target)]
                repeated = part.shape[axis] == 1 != given.shape[axis]
                part += given.sum(axis=axis, keepdims=True) if repeated else given
            gradient = folded
        return gradient

    def _pieces(self, size: int, before: int, after: int) -> list[tuple[slice, slice]]:
        """Return slices of an axis of x, and of z where they go: the middle and the two ends."""
        kept = _kept(size, before, after)
        start = max(before, 0)
        stop = start + kept.stop - kept.start
        pieces = [(kept, slice(start, stop))]
        if before > 0:
            mirrored = slice(before, 0, -1)
            source = {
                "reflect": mirrored,
                "replicate": slice(0, 1),
                "circular": slice(kept.stop - before, kept.stop),
            }[self.mode]
            pieces.append((source, slice(0, start)))
        if after > 0:
            last = size - 2 - after
            source = {
                "reflect": slice(size - 2, None if last < 0 else last, -1),
                "replicate": slice(size - 1, size),
                "circular": slice(kept.start, kept.start + after),
            }[self.mode]
            pieces.append((source, slice(stop, stop + after)))
        return pieces

    def _check(self, shape: tuple[int, ...], pairs: list[tuple[int, int]]) -> None:
        count = len(self.pad) // 2
        if not 1 <= count <= 3 or len(shape) - count not in (1, 2):
            raise ValueError(
                f"pad with mode {self.mode!r} extends the last 1, 2 or 3 axes of an input with one "
                f"or two axes before them; got {len(self.pad)} numbers for shape {shape}"
            )
        padded = _padded_shape(shape, pairs)[-count:]
        if 0 in padded and 0 not in shape[-count:] and self.mode != "circular":
            raise ValueError(
                f"pad with mode {self.mode!r} of shape {shape} by {self.pad} would leave nothing: "
                f"{padded}"
            )
        for size, pair in zip(shape[-count:], pairs[-count:], strict=True):
            kept = _kept(size, *pair)
            room = {
                "reflect": size - 1,
                "circular": kept.stop - kept.start,
                "replicate": max(pair) if size else 0,
            }[self.mode]
            if max(pair) > room:
                raise ValueError(
                    f"pad with mode {self.mode!r} finds {room} elements on an axis of size {size} "
                    f"to put beyond its ends, got {pair} (shape {shape})"
                )


def _along_axis(axis: int, part: slice) -> tuple[slice, ...]:
    """Return the index of a slice of one axis."""
    return (*[slice(None)] * axis, part)
