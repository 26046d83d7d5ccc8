"""A batch on its way from one process to another: a small pickle, and the arrays beside it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.data.workers.arena import Arena

__all__ = ["Packed", "dump", "pack", "unpack"]

Reduction = Callable[[Any], Any]

_SHORT = 2048  # bytes of a pickle that goes with the message through the pipe


@dataclass(frozen=True)
class Packed:
    """A batch without the bytes of its arrays.

    Attributes
    ----------
    pickled
        Everything but the bytes of the arrays. None if that is much, as for a long list of
        numbers: then it lies in the arena too, before the arrays.
    sizes
        The number of bytes of each thing in the arena.
    place
        Where they lie in the arena; None if there are none.
    """

    pickled: bytes | None
    sizes: list[int]
    place: Any


class _Pickler(pickle.Pickler):
    """Takes the bytes of arrays out of the pickle, also of those that are strided views."""

    def __init__(self, stream: Any, buffers: list[memoryview], reduce: Reduction | None) -> None:
        super().__init__(
            stream,
            protocol=5,
            # Only contiguous memory comes here, in C or Fortran order: raw() takes either.
            buffer_callback=lambda buffer: buffers.append(buffer.raw()),
        )
        self._reduce = reduce

    def reducer_override(self, value: Any) -> Any:
        if self._reduce is not None:
            reduced = self._reduce(value)
            if reduced is not NotImplemented:
                return reduced
        if type(value) is np.ndarray and not value.flags.forc and not value.dtype.hasobject:
            return value.copy().__reduce_ex__(5)
        return NotImplemented


def dump(value: Any, reduce: Reduction | None = None) -> tuple[bytes, list[memoryview]]:
    """Pickle a value: what ``pickle.loads(pickled, buffers=buffers)`` takes.

    Parameters
    ----------
    value
        Anything that can be pickled.
    reduce
        How to pickle an object, as ``pickle.Pickler.reducer_override``.

    Returns
    -------
    pickled
        The value without the bytes of its arrays.
    buffers
        The bytes of its arrays, not copied unless the array is a strided view.

    Examples
    --------
    >>> pickled, buffers = dump({"x": np.arange(6).reshape(2, 3)[:, ::2]})
    >>> pickle.loads(pickled, buffers=buffers)
    {'x': array([[0, 2],
           [3, 5]])}
    """
    stream = io.BytesIO()
    buffers: list[memoryview] = []
    _Pickler(stream, buffers, reduce).dump(value)
    return stream.getvalue(), buffers


def pack(batch: Any, arena: Arena, slot: int) -> Packed:
    """Pickle a batch, with the bytes of its arrays in a slot of the arena."""
    pickled, buffers = dump(batch, _thawed)
    is_short = len(pickled) <= _SHORT
    if not is_short:
        buffers.insert(0, memoryview(pickled))
    place = arena.write(slot, buffers) if any(map(len, buffers)) else None
    return Packed(pickled if is_short else None, [len(buffer) for buffer in buffers], place)


def _thawed(value: Any) -> Any:
    """Pickle a read-only array as one that can be written to: pickles keep the difference."""
    frozen = type(value) is np.ndarray and not value.flags.writeable
    return value.copy().__reduce_ex__(5) if frozen else NotImplemented


def unpack(packed: Packed, arena: Arena) -> Any:
    """The batch, with arrays that own new memory and can be written to."""
    buffers = [np.empty(size, np.uint8) for size in packed.sizes]
    if packed.place is not None:
        arena.read(packed.place, [buffer.data for buffer in buffers])
    pickled = buffers.pop(0).data if packed.pickled is None else packed.pickled
    return pickle.loads(pickled, buffers=buffers)
