"""Pooling: the largest element or the mean of each window, channel by channel."""

import math
from typing import Any

import numpy as np

from tinytrain.autograd import Function, describe
from tinytrain.backend import Array, xp_of
from tinytrain.ops.windows import Windows, one_per_axis


class Pool(Function):
    """What the poolings share: their settings, and the windows on an input."""

    kind = "pool"

    def __init__(
        self,
        axes: int,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.axes, self.what = axes, f"{self.kind}{axes}d"
        self.kernel = one_per_axis(kernel_size, axes, f"{self.what}: kernel_size", 1)
        own = stride is None or (isinstance(stride, tuple | list) and not stride)
        self.stride = self.kernel if own else one_per_axis(stride, axes, f"{self.what}: stride", 1)
        self.padding = one_per_axis(padding, axes, f"{self.what}: padding", 0)
        self.dilation = one_per_axis(dilation, axes, f"{self.what}: dilation", 1)
        self.ceil_mode = bool(ceil_mode)

    def windows_on(self, x: Array) -> Windows:
        """Check the input, (N, C, *size) or (C, *size), and find its windows."""
        check_pool_input(x, self.axes, self.what)
        windows = Windows(
            x.shape[-self.axes :],
            self.kernel,
            self.stride,
            self.dilation,
            self.padding,
            self.padding,
            self.ceil_mode,
        )
        if any(2 * p > reach for p, reach in zip(self.padding, windows.reach, strict=True)):
            raise ValueError(
                f"{self.what}: padding {self.padding} is more than half of the "
                f"{windows.reach} places that a kernel of size {self.kernel} spans: some windows "
                "would hold padding alone"
            )
        windows.check(self.what)
        return windows


def check_pool_input(x: Array, axes: int, what: str) -> None:
    """Raise where an array is no (N, C, *size) or (C, *size) with `axes` sizes that are not 0.

    Examples
    --------
    >>> check_pool_input(np.ones((2, 3)), 2, "max_pool2d")
    Traceback (most recent call last):
        ...
    ValueError: max_pool2d needs an input of shape (N, C, H, W) or (C, H, W), got (2, 3)
    """
    if not hasattr(x, "shape"):
        raise TypeError(f"{what} needs a tensor, got {describe(x)}")
    sizes = "L" if axes == 1 else "H, W"
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"{what} needs an input of shape (N, C, {sizes}) or (C, {sizes}), got {x.shape}"
        )
    if 0 in x.shape[1 if x.ndim == axes + 2 else 0 :]:
        raise ValueError(f"{what} of no elements: only the batch may be empty, got {x.shape}")


class MaxPool(Pool):
    """z = the largest element of each window; the gradient goes to where it came from.

    Of equal elements the first one counts, and NaN counts as the largest: as in PyTorch. The
    kernel positions are compared one after the other, and in `backward` each gives its share back
    in the same order, so that sums of overlapping windows are the same in every run.
    """

    kind = "max_pool"

    def __init__(
        self,
        axes: int,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        super().__init__(axes, kernel_size, stride, padding, dilation, ceil_mode)
        self.return_indices = return_indices

    def forward(self, x: Array) -> Array:
        """Keep the largest so far, and at which kernel position it was found."""
        windows = self.windows_on(x)
        xp = xp_of(x)
        if x.dtype.kind not in "iuf":
            raise TypeError(f"{self.what} compares numbers, not {x.dtype}")
        is_float = x.dtype.kind == "f"
        lowest = -math.inf if is_float else np.iinfo(x.dtype).min
        padded = windows.pad(x, lowest)
        shape = (*x.shape[: -self.axes], *windows.count)
        largest = xp.full(shape, lowest, dtype=x.dtype)
        if not (self.return_indices or (self.needs and self.needs[0])):
            for _, places in windows.positions:
                xp.maximum(largest, padded[(..., *places)], out=largest)
            return largest
        dtype = xp.uint8 if len(windows.positions) <= 255 else xp.int64
        found = xp.empty(shape, dtype=dtype)
        found[...] = self._first_inside(windows, xp)
        for number, (_, places) in enumerate(windows.positions):
            candidates = xp.ascontiguousarray(padded[(..., *places)])  # it is read several times
            larger = candidates > largest
            if is_float:
                larger |= candidates != candidates  # NaN is larger than everything
            xp.maximum(largest, candidates, out=largest)
            xp.maximum(found, larger * dtype(number), out=found)  # the numbers only grow
        self.windows = windows
        self.save(found, x.shape)
        return largest

    def backward(self, gradient: Array) -> Array:
        """Add each window's gradient at the place where its largest element was."""
        (found, shape), windows = self.saved, self.windows
        xp, zero = xp_of(gradient), gradient.dtype.type(0)
        padded = xp.zeros((*shape[: -self.axes], *windows.padded_size), dtype=gradient.dtype)
        for number, (_, places) in enumerate(windows.positions):
            target = padded[(..., *places)]
            target += xp.where(found == number, gradient, zero)
        return padded[windows.inside]

    def indices(self) -> Array:
        """Return where each largest element lies in the flattened axes of the input, in int64.

        To be asked after `forward` and before `backward`, of an operation made with
        ``return_indices=True``.
        """
        (found, _), windows = self.saved, self.windows
        xp = xp_of(found)
        rest, index, step = found.astype(xp.int64), xp.zeros(found.shape, dtype=xp.int64), 1
        for axis in reversed(range(self.axes)):
            number, rest = rest % windows.kernel[axis], rest // windows.kernel[axis]
            place = _along(_starts(windows, axis, xp), axis, self.axes)
            index += (place + number * windows.dilation[axis]) * step
            step *= windows.size[axis]
        return index

    def _first_inside(self, windows: Windows, xp: Any) -> Array:
        """Return, for each window, the number of its first kernel position that is not padding.

        There a window of nothing but -inf has its largest element.
        """
        number: Any = 0
        for axis in range(self.axes):
            outside = xp.minimum(_starts(windows, axis, xp), 0)
            first = -(outside // windows.dilation[axis])
            number = number * windows.kernel[axis] + _along(first, axis, self.axes)
        return number


def _starts(windows: Windows, axis: int, xp: Any) -> Array:
    """Return where each window begins on an axis of the input; negative in the padding."""
    return xp.arange(windows.count[axis]) * windows.stride[axis] - windows.before[axis]


def _along(values: Array, axis: int, axes: int) -> Array:
    """Give a vector the shape that broadcasts it along one of the last axes."""
    return values.reshape([-1 if i == axis else 1 for i in range(axes)])


class AvgPool(Pool):
    """z = the sum of each window divided by its number of elements;  dL/dx adds up g / number.

    Padding counts as elements of value 0 if `count_include_pad`, else not at all; what a last
    window has beyond the padding (`ceil_mode`) never counts. `divisor_override` takes the place of
    the number.
    """

    kind = "avg_pool"

    def __init__(
        self,
        axes: int,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(axes, kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad, self.divisor = bool(count_include_pad), divisor_override
        if divisor_override is not None and divisor_override == 0:
            raise ValueError(f"{self.what}: divisor_override must not be 0")

    def forward(self, x: Array) -> Array:
        """Sum the kernel positions."""
        self.windows = self.windows_on(x)
        if x.dtype.kind != "f":
            raise TypeError(
                f"{self.what} needs a floating-point tensor, got {x.dtype}; use x.float()"
            )
        self.save(x.shape)
        padded = self.windows.pad(x, 0.0)
        shape = (*x.shape[: -self.axes], *self.windows.count)
        total = xp_of(x).zeros(shape, dtype=x.dtype)
        for _, places in self.windows.positions:
            total += padded[(..., *places)]
        total /= self._numbers(total)
        return total

    def backward(self, gradient: Array) -> Array:
        """Share each window's gradient among its elements."""
        (shape,), windows = self.saved, self.windows
        share = gradient / self._numbers(gradient)
        padded = xp_of(gradient).zeros(
            (*shape[: -self.axes], *windows.padded_size), dtype=gradient.dtype
        )
        for _, places in windows.positions:
            target = padded[(..., *places)]
            target += share
        return padded[windows.inside]

    def _numbers(self, like: Array) -> Any:
        """Return by what each window's sum is divided: one number, or one for each window."""
        windows = self.windows
        if self.divisor is not None:
            return self.divisor
        if not self.ceil_mode and (self.count_include_pad or not any(self.padding)):
            return math.prod(windows.kernel)
        xp = xp_of(like)
        numbers = xp.ones((), dtype=like.dtype)
        for axis in range(self.axes):
            start = _starts(windows, axis, xp)
            counted = windows.before[axis] if self.count_include_pad else 0
            stop = xp.minimum(start + windows.kernel[axis], windows.size[axis] + counted)
            number = (stop - xp.maximum(start, -counted)).astype(like.dtype)
            numbers = numbers * _along(number, axis, self.axes)
        return numbers
