"""Convolution over any number of axes, as matrix products with the windows of the input."""

import math
from collections.abc import Iterator
from typing import Any

from tinytrain.autograd import Function, describe
from tinytrain.backend import Array, device_of, xp_of
from tinytrain.ops.windows import Windows, one_per_axis

IN_CACHE = 1 << 17
AT_ONCE = 1 << 26
"""How many elements of windows are laid out at a time, on the CPU and on a GPU."""


class Convolution(Function):
    """y[n, o, w] = b[o] + sum over c and k of W[o, c, k] x[n, c, w stride + k dilation - padding].

    The windows of a few samples at a time are laid out as columns X of C K rows, one column per
    window (K kernel positions, P windows): then y = W X, dL/dW = g X^T, and W^T g holds the
    gradient of each column's elements, which add up where windows overlap. Only x is saved, and its
    columns are laid out again for dL/dW: they are K times as large. With groups, W and X fall into
    blocks of channels that are multiplied apart.

    Shapes: x (N, C, *size) or (C, *size), W (O, C / groups, *kernel), b (O,) or None,
    y (N, O, *count) or (O, *count).

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for
    Document Processing", 2006, section 3.1 (unfolding).
    """

    def __init__(
        self,
        axes: int,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> None:
        self.axes, self.what = axes, f"conv{axes}d"
        self.stride = one_per_axis(stride, axes, f"{self.what}: stride", 1)
        self.dilation = one_per_axis(dilation, axes, f"{self.what}: dilation", 1)
        (self.groups,) = one_per_axis(groups, 1, f"{self.what}: groups", 1)
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Multiply block by block, and add the bias in place."""
        self._check(x, weight, bias)
        xp = xp_of(x, weight, bias)
        self.windows = self._windows(x.shape[-self.axes :], weight.shape[2:])
        self.windows.check(self.what)
        needs = self.needs or (False, False)
        self.save(x if needs[1] else None, weight if needs[0] else None, x.shape, weight.shape)
        images = self._batched(x)  # (N, C, *size)
        matrix = self._matrix(weight)
        n, o, count = len(images), len(weight), self.windows.count
        y = xp.empty((n, self.groups, o // self.groups, math.prod(count)), dtype=x.dtype)
        for block in self._blocks(images):
            xp.matmul(matrix, self._columns(images[block]), out=y[block])
        if bias is not None:
            y += bias.reshape(self.groups, -1, 1)
        return y.reshape(*x.shape[: x.ndim - self.axes - 1], o, *count)

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None, Array | None]:
        """Two products per block; the bias is the sum over samples and windows."""
        x, weight, x_shape, weight_shape = self.saved
        o, count = weight_shape[0], math.prod(self.windows.count)
        g = xp_of(gradient).ascontiguousarray(gradient)
        g = g.reshape(-1, self.groups, o // self.groups, count)  # (N, G, O / G, P)
        return (
            self._input_gradient(g, weight, x_shape) if self.needs[0] else None,
            self._weight_gradient(g, x, weight_shape) if self.needs[1] else None,
            g.sum(axis=(0, 3)).reshape(o) if self.needs[2] else None,
        )

    def _input_gradient(self, g: Array, weight: Array, shape: tuple[int, ...]) -> Array:
        """Add up what the windows hold for each place; places in the padding are dropped."""
        xp, windows = xp_of(g), self.windows
        channels, transposed = shape[-self.axes - 1], self._matrix(weight).swapaxes(-1, -2)
        padded = xp.zeros((len(g), channels, *windows.padded_size), dtype=g.dtype)
        for block in self._blocks(padded):
            columns = xp.matmul(transposed, g[block])  # (n, G, C / G K, P)
            columns = columns.reshape(-1, channels, *windows.kernel, *windows.count)
            for position, places in windows.positions:
                target = padded[(block, slice(None), *places)]
                target += columns[(slice(None), slice(None), *position)]
        return padded[windows.inside].reshape(shape)

    def _weight_gradient(self, g: Array, x: Array, shape: tuple[int, ...]) -> Array:
        """Sum the products of gradients and columns over the samples."""
        xp, images = xp_of(g), self._batched(x)
        total = xp.zeros((self.groups, math.prod(shape[1:]), shape[0] // self.groups), g.dtype)
        for block in self._blocks(images):
            products = xp.matmul(self._columns(images[block]), g[block].swapaxes(-1, -2))
            total += products.sum(axis=0)
        return total.swapaxes(-1, -2).reshape(shape)

    def _columns(self, images: Array) -> Array:
        """Lay the windows out: (n, C, *size) to (n, G, C / G K, P)."""
        windows, (n, channels) = self.windows, images.shape[:2]
        padded = windows.pad(images, 0.0)
        if math.prod(windows.kernel) == math.prod(windows.stride) == 1:
            columns = padded  # each window is one place, and no place is left out
        else:
            shape = (n, channels, *windows.kernel, *windows.count)
            columns = xp_of(images).empty(shape, dtype=images.dtype)
            for position, places in windows.positions:
                columns[(slice(None), slice(None), *position)] = padded[(..., *places)]
        rows = channels // self.groups * math.prod(windows.kernel)
        return columns.reshape(n, self.groups, rows, math.prod(windows.count))

    def _blocks(self, images: Array) -> Iterator[slice]:
        """Cut the batch so that the columns of one block are not many."""
        windows = self.windows
        each = images.shape[1] * math.prod(windows.kernel) * math.prod(windows.count)
        limit = IN_CACHE if device_of(images) == "cpu" else AT_ONCE
        step = max(1, limit // max(each, 1))
        return (slice(start, start + step) for start in range(0, len(images), step))

    def _batched(self, x: Array) -> Array:
        return x if x.ndim == self.axes + 2 else x[None]

    def _matrix(self, weight: Array) -> Array:
        """Return the weight as one matrix per group: (G, O / G, C / G K)."""
        return weight.reshape(self.groups, len(weight) // self.groups, math.prod(weight.shape[1:]))

    def _windows(self, size: tuple[int, ...], kernel: tuple[int, ...]) -> Windows:
        """Find the windows; 'same' padding puts the odd place behind the input, as PyTorch."""
        plain = Windows(
            size, kernel, self.stride, self.dilation, (0,) * self.axes, (0,) * self.axes
        )
        if self.padding == "valid":
            return plain
        if self.padding == "same":
            if set(self.stride) != {1}:
                raise ValueError(f"{self.what}: padding='same' needs stride 1, not {self.stride}")
            total = [reach - 1 for reach in plain.reach]
            before, after = [t // 2 for t in total], [t - t // 2 for t in total]
            return Windows(size, kernel, self.stride, self.dilation, tuple(before), tuple(after))
        if isinstance(self.padding, str):
            raise ValueError(
                f"{self.what}: padding is 'same', 'valid' or integers, not {self.padding!r}"
            )
        places = one_per_axis(self.padding, self.axes, f"{self.what}: padding", 0)
        return Windows(size, kernel, self.stride, self.dilation, places, places)

    def _check(self, x: Array, weight: Array, bias: Array | None) -> None:
        if not hasattr(x, "shape") or not hasattr(weight, "shape"):
            raise TypeError(f"{self.what} needs tensors, got {describe(x)} and {describe(weight)}")
        sizes = ("L",) if self.axes == 1 else ("H", "W") if self.axes == 2 else ("D", "H", "W")
        wanted = ", ".join(sizes)
        if weight.ndim != self.axes + 2:
            raise ValueError(
                f"{self.what} needs a weight of shape (out, in / groups, kernel of {wanted}), "
                f"got {weight.shape}"
            )
        if x.ndim not in (self.axes + 1, self.axes + 2):
            raise ValueError(
                f"{self.what} needs an input of shape (N, C, {wanted}) or (C, {wanted}), "
                f"got {x.shape}"
            )
        channels, o = x.shape[-self.axes - 1], weight.shape[0]
        if channels != weight.shape[1] * self.groups:
            raise ValueError(
                f"{self.what}: with a weight of shape {weight.shape} and groups={self.groups} the "
                f"input needs {weight.shape[1] * self.groups} channels, got {channels} "
                f"(input shape {x.shape})"
            )
        if o % self.groups or not o:
            raise ValueError(
                f"{self.what}: {o} output channels do not fall into {self.groups} groups "
                f"(weight shape {weight.shape})"
            )
        if bias is not None and bias.shape != (o,):
            raise ValueError(f"{self.what} needs a bias of shape ({o},), got {bias.shape}")
        if x.dtype != weight.dtype or (bias is not None and x.dtype != bias.dtype):
            raise TypeError(
                f"{self.what}: input is {x.dtype}, weight is {weight.dtype}"
                + (f", bias is {bias.dtype}" if bias is not None else "")
                + "; bring them to one dtype with .to(...)"
            )
        if x.dtype.kind not in "iuf":
            raise TypeError(f"{self.what} computes with numbers, not {x.dtype}")
