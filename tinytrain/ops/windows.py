"""Where the windows of a convolution or a pooling lie on their input.

Along one axis, window number w reads the places w stride + k dilation - before, for the kernel
positions k = 0 .. kernel - 1, where `before` counts the places of padding in front of the input.
Seen the other way round, one kernel position reads, over all windows, a slice with the step
`stride`: so everything here is done by looping over the few kernel positions, with slices.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinytrain.backend import Array, xp_of


def one_per_axis(value: Any, axes: int, what: str, smallest: int) -> tuple[int, ...]:
    """Return one integer per axis, of an integer for all of them or of a sequence.

    Raises
    ------
    TypeError
        The value is neither an integer nor a sequence of integers.
    ValueError
        The sequence has another length, or an integer is below `smallest`.

    Examples
    --------
    >>> one_per_axis(3, 2, "kernel_size", 1), one_per_axis((3, 5), 2, "kernel_size", 1)
    ((3, 3), (3, 5))
    >>> one_per_axis((1, 2, 3), 2, "stride", 1)
    Traceback (most recent call last):
        ...
    ValueError: stride needs one integer or 2 of them, got (1, 2, 3)
    """
    listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in listed):
        raise TypeError(f"{what} needs integers, got {value!r}")
    if len(listed) not in (1, axes):
        raise ValueError(f"{what} needs one integer or {axes} of them, got {value!r}")
    if min(listed) < smallest:
        raise ValueError(f"{what} must be at least {smallest}, got {value!r}")
    return tuple(int(v) for v in listed) * (axes // len(listed))


@dataclass(frozen=True)
class Windows:
    """The windows on the last axes of an input; each field has one integer per axis.

    Attributes
    ----------
    size : tuple of int
        Of the input.
    kernel, stride, dilation : tuple of int
        Places per window; the distance of windows; the distance of places within a window.
    before, after : tuple of int
        Places of padding in front of the input and behind it.
    ceil : bool
        Whether a last window may start inside the padded input and reach beyond its end.

    Examples
    --------
    >>> windows = Windows((6,), (3,), (2,), (1,), (1,), (1,))
    >>> windows.count, windows.padded_size
    ((3,), (8,))
    >>> [slices for _, slices in windows.positions]
    [(slice(0, 5, 2),), (slice(1, 6, 2),), (slice(2, 7, 2),)]
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    ceil: bool = False

    @property
    def axes(self) -> int:
        """The number of axes the windows run over."""
        return len(self.size)

    @cached_property
    def reach(self) -> tuple[int, ...]:
        """The distance from a window's first place to the place behind its last."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def count(self) -> tuple[int, ...]:
        """The number of windows: the size of the output."""
        return tuple(map(self._count, range(self.axes)))

    def _count(self, axis: int) -> int:
        room = self.size[axis] + self.before[axis] + self.after[axis] - self.reach[axis]
        stride = self.stride[axis]
        if not self.ceil:
            return room // stride + 1
        count = -(-room // stride) + 1
        # A window that would start in the padding behind the input is left out.
        last_start = (count - 1) * stride
        return count - (last_start >= self.size[axis] + self.before[axis])

    @cached_property
    def padded_size(self) -> tuple[int, ...]:
        """The size that holds the padded input, and all of the last window too."""
        given = zip(self.size, self.before, self.after, strict=True)
        reached = zip(self.count, self.stride, self.reach, strict=True)
        return tuple(
            max(size + before + after, (count - 1) * stride + reach)
            for (size, before, after), (count, stride, reach) in zip(given, reached, strict=True)
        )

    def check(self, what: str) -> None:
        """Raise where there is no window.

        Raises
        ------
        ValueError
            The kernel reaches beyond the padded input, or the input has an axis of size 0.
        """
        if min(self.size) < 1 or min(self.count) < 1:
            padded = tuple(
                s + b + a for s, b, a in zip(self.size, self.before, self.after, strict=True)
            )
            raise ValueError(
                f"{what}: a kernel of size {self.kernel} with dilation {self.dilation} spans "
                f"{self.reach} places and does not fit the input of size {self.size}, padded to "
                f"{padded}; use a smaller kernel, more padding or a larger input"
            )

    @cached_property
    def positions(self) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Each kernel position, with the slices of the padded input that it reads."""
        along = [
            [slice(k * dilation, k * dilation + (n - 1) * stride + 1, stride) for k in range(size)]
            for size, n, stride, dilation in zip(
                self.kernel, self.count, self.stride, self.dilation, strict=True
            )
        ]
        numbers = itertools.product(*map(range, self.kernel))
        return list(zip(numbers, itertools.product(*along), strict=True))

    @cached_property
    def inside(self) -> tuple[Any, ...]:
        """The index that picks the input out of the padded input."""
        return (
            ...,
            *(slice(b, b + size) for b, size in zip(self.before, self.size, strict=True)),
        )

    def pad(self, x: Array, value: float) -> Array:
        """Return x with padding around it, or x itself where there is none."""
        if self.padded_size == self.size:
            return x
        lead = x.shape[: x.ndim - self.axes]
        padded = xp_of(x).full((*lead, *self.padded_size), value, dtype=x.dtype)
        padded[self.inside] = x
        return padded
