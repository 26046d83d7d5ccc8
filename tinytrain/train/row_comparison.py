"""Comparing the rows of a micro-batch with the same rows of the whole batch, wherever they lie."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.creation import from_numpy
from tinytrain.tensor import Tensor


def relative_difference(arrays: Sequence[Any], others: Sequence[Any]) -> float:
    """Return |others - arrays| / |arrays|, over all elements; infinities that agree are equal.

    Examples
    --------
    >>> relative_difference([np.array([3.0, 4.0])], [np.array([3.0, 4.5])])
    0.1
    """
    distance = length = 0.0
    for array, other in zip(arrays, others, strict=True):
        a, b = np.asarray(array, np.float64), np.asarray(other, np.float64)
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):
            distance += float(np.square(np.where(equal, 0.0, b - a)).sum())
        length += float(np.square(np.where(np.isfinite(a), a, 0.0)).sum())
    return float(np.sqrt(distance) / (np.sqrt(length) or 1.0))


@dataclass(frozen=True)
class Rows:
    """The rows of a micro-batch among those of the whole batch.

    Examples
    --------
    >>> rows, whole = Rows(1, 3, total=4), np.arange(8.0).reshape(2, 4)
    >>> difference, own, _ = rows.closest(whole[:, 1:3], whole)  # rows lie on the second axis
    >>> difference, own.tolist()
    (0.0, [[1.0, 2.0], [5.0, 6.0]])
    """

    start: int
    stop: int
    total: int

    @property
    def count(self) -> int:
        """How many they are."""
        return self.stop - self.start

    @property
    def are_all(self) -> bool:
        """Whether there are no others."""
        return self.count == self.total

    def _axes(self, shape: tuple[int, ...], whole: tuple[int, ...]) -> list[int]:
        """List the axes that carry rows: that are as much shorter as there are fewer rows."""
        if len(shape) != len(whole):
            return []
        axes = [axis for axis in range(len(shape)) if shape[axis] != whole[axis]]
        fit = all(shape[axis] * self.total == whole[axis] * self.count for axis in axes)
        return axes if fit else []

    def pair(self, shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
        """Whether there is a value for each pair of rows."""
        return len(self._axes(shape, whole)) > 1

    def between(self, whole: Any) -> float:
        """Return how much of such values is between rows of different micro-batches, relatively."""
        axes = [axis for axis in range(whole.ndim) if whole.shape[axis] == self.total]
        own = np.moveaxis(whole, axes[:1], [0])[self.start : self.stop] if axes else whole
        outside = np.delete(own, np.s_[self.start : self.stop], axis=1) if own.ndim > 1 else own
        return float(np.linalg.norm(outside) / (np.linalg.norm(own) or 1.0))

    def closest(self, part: Any, whole: Any, order: str = "") -> tuple[float, Any, str]:
        """Return how far a part is from its own rows of the whole; these; and their order.

        A position on the axis that carries rows may stand for several in a row, as after a reshape:
        row by row, or, where time comes first, step by step. Whichever fits is taken, if no order
        is given. Where no axis carries rows, there is nothing to compare with, unless the shapes
        are equal.
        """
        axes = self._axes(part.shape, whole.shape)
        if part.shape == whole.shape:
            return relative_difference([whole], [part]), whole, ""
        if len(axes) != 1:
            return 0.0, part, ""
        (axis,) = axes
        each = whole.shape[axis] // self.total
        by_row = np.arange(self.total * each).reshape(self.total, each)[self.start : self.stop]
        by_step = np.arange(self.total * each).reshape(each, self.total)[:, self.start : self.stop]
        found = []
        for name, places in (("by row", by_row), ("by step", by_step)):
            own = whole.take(places.ravel(), axis)
            found.append((relative_difference([own], [part]), own, name if each > 1 else ""))
        chosen = [one for one in found if one[2] == order] if order and each > 1 else found
        return min(chosen, key=lambda one: (np.isnan(one[0]), one[0]))


# ---------------------------------------------------------------- nested values


def arrays_on_host(value: Any) -> list[Any]:
    """List the tensors among some nested values, as arrays in host memory."""
    if isinstance(value, Tensor):
        return [np.array(backend.to_host(value.data))]
    return [array for part in parts_of(value).values() for array in arrays_on_host(part)]


def parts_of(value: Any) -> Mapping[Any, Any]:
    """Return the parts of a container by name or place; none of anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {}


def with_arrays(value: Any, arrays: Iterator[Any]) -> Any:
    """Put arrays in the place of the tensors among some nested values."""
    if isinstance(value, Tensor):
        return from_numpy(next(arrays))
    parts = {key: with_arrays(part, arrays) for key, part in parts_of(value).items()}
    if isinstance(value, Mapping):
        return type(value)(parts)  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*parts.values())
    if isinstance(value, tuple | list):
        return type(value)(parts.values())
    return replace(value, **parts) if parts else value
