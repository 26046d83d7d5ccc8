"""Means over windows whose sizes follow from the number of outputs that is wanted."""

from typing import Any

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.pooling import check_pool_input
from tinytrain.ops.windows import one_per_axis


class AdaptiveAvgPool(Function):
    """z = means over windows that share an axis of size L evenly among a wanted number of outputs.

    Window i of n runs from floor(i L / n) to ceil((i + 1) L / n). The axes are treated one after
    the other. None leaves an axis as it is.
    """

    def __init__(self, axes: int, output_size: Any) -> None:
        self.axes, self.what = axes, f"adaptive_avg_pool{axes}d"
        listed = list(output_size) if isinstance(output_size, tuple | list) else [output_size]
        if len(listed) not in (1, axes):
            raise ValueError(
                f"{self.what}: output_size needs one integer or {axes} of them, got {output_size!r}"
            )
        self.output_size = [
            None if n is None else one_per_axis(n, 1, f"{self.what}: output_size", 0)[0]
            for n in listed * (axes // len(listed))
        ]

    def forward(self, x: Array) -> Array:
        """Average window by window, the last axis first."""
        check_pool_input(x, self.axes, self.what)
        if x.dtype.kind != "f":
            raise TypeError(
                f"{self.what} needs a floating-point tensor, got {x.dtype}; use x.float()"
            )
        xp, self.plan = xp_of(x), []
        for axis, wanted in zip(range(-self.axes, 0), self.output_size, strict=True):
            if wanted is None or wanted == x.shape[axis]:
                continue
            size, shape = x.shape[axis], list(x.shape)
            parts = [
                _at(axis, slice(i * size // wanted, -(-(i + 1) * size // wanted)))
                for i in range(wanted)
            ]
            shape[axis] = wanted
            self.plan.append((axis, size, parts))
            means = xp.empty(shape, dtype=x.dtype)
            for i, part in enumerate(parts):
                means[_at(axis, i)] = x[part].mean(axis=axis)
            x = means
        return x

    def backward(self, gradient: Array) -> Array:
        """Share each mean's gradient evenly; windows may overlap, so the shares add."""
        xp = xp_of(gradient)
        for axis, size, parts in reversed(self.plan):
            shape = list(gradient.shape)
            shape[axis] = size
            spread = xp.zeros(shape, dtype=gradient.dtype)
            for i, part in enumerate(parts):
                target = spread[part]
                target += gradient[_at(axis, slice(i, i + 1))] / target.shape[axis]
            gradient = spread
        return gradient


def _at(axis: int, place: Any) -> tuple[Any, ...]:
    """Return the index of a place, or a slice, of an axis counted from the end."""
    return (..., place, *[slice(None)] * (-1 - axis))
