"""Choosing elements by position."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinytrain import backend
from tinytrain.backend import is_array
from tinytrain.ops import index
from tinytrain.tensor_methods.base import TensorBase


class IndexingMethods(TensorBase):
    """What stands in square brackets."""

    __slots__ = ()

    def __getitem__(self, where: Any) -> Self:
        listed = where if isinstance(where, tuple) else (where,)
        parts, extremes = _index_parts(listed, self)
        if not any(map(is_array, parts)):
            return self._apply(index.Index(parts), self)
        if self.device != "cpu":
            index.check_index(parts, extremes, self.shape)
        if any(map(_is_integer, parts)):
            integers, arrays = _integers_first(parts)
            return self._apply(index.Index(arrays), self._apply(index.Index(integers), self))
        return self._apply(index.Index(parts), self)


def _is_integer(part: Any) -> bool:
    return isinstance(part, int | np.integer) and not isinstance(part, bool)


def _integers_first(parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Split an index in two, to be applied one after the other: integers, slices and None; arrays.

    NumPy counts an integer beside an array as an array too, and then moves axes to the front.
    """
    first: list[Any] = []
    second: list[Any] = []
    for part in parts:
        if is_array(part):
            covered = part.ndim if part.dtype == np.bool_ else 1
            first += [slice(None)] * covered
            second.append(part)
        else:
            first.append(part)
            if not _is_integer(part):
                second.append(part if part is Ellipsis else slice(None))
    return tuple(first), tuple(second)


def _index_parts(
    listed: Sequence[Any], tensor: TensorBase
) -> tuple[tuple[Any, ...], list[tuple[int, ...] | None]]:
    """Bring the arrays of an index to the tensor's device, and tell the ranges that are known."""
    parts: list[Any] = []
    extremes: list[tuple[int, ...] | None] = []
    for given in listed:
        part, known = _as_index_array(given), getattr(given, "extremes", None)
        if isinstance(part, np.ndarray) and tensor.device != "cpu":
            known = index.extremes_of(part) if part.dtype.kind in "iu" else None
            part = backend.bring_beside(part, tensor.data)
        parts.append(part)
        extremes.append(known)
    return tuple(parts), extremes


def _as_index_array(part: Any) -> Any:
    """Turn tensors and sequences in an index into arrays."""
    if isinstance(part, TensorBase):
        part = part.data
    elif isinstance(part, list | tuple | range):
        part = np.asarray(part, dtype=None if len(part) else np.int64)  # host: a list of numbers
    if is_array(part) and part.dtype.kind not in "iub":
        raise TypeError(f"an index must be of integers or booleans, got {part.dtype}")
    return part
