"""Batches on their way to a GPU: through page-locked memory, while the GPU still computes.

A copy from ordinary host memory makes the processor wait; one from page-locked ("pinned") memory
runs beside everything else, on a queue ("stream") of its own. Two things can then go wrong, and an
event guards against each: the copy may write where the computation still reads, so it waits for
the computation; and the computation may read what has not arrived, so it waits for the copy.

`DataLoader` uses this for ``pin_memory=True``: one `Staging` per loader, made at construction ::

    self._staging = Staging(pin_memory, pin_memory_device)

of which every epoch asks (in ``iter(loader)``, in the main process) what to do with its batches,
and does it to each just before handing it out (nothing is read ahead) ::

    stage = self._staging.begin_epoch()  # None: hand batches out as they are
    ...
    batch = batch if stage is None else stage(batch)
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain import backend
from tinytrain.backend import Array, StagedArray

__all__ = ["Staging", "StagingRing"]

_ALIGNMENT = 256  # bytes; what a GPU's own allocations start at
# float64 is left to `to_device`: on a GPU it is nearly always an accident, and the mock GPU says
# so there. What a GPU has no type for is left to it as well.
_STAGED_TYPES = frozenset("?bBhHiIlLqQef")


class Staging:
    """What ``pin_memory=True`` means on the chosen device.

    Parameters
    ----------
    pin_memory
        Whether batches are to be staged at all.
    pin_memory_device
        As in PyTorch: deprecated, the chosen device is the one. It is named in a warning.

    Examples
    --------
    >>> Staging(False).begin_epoch() is None
    True
    >>> from tinytrain.testing import mock
    >>> _ = backend.set_device("mock")
    >>> stage = Staging(True).begin_epoch()
    >>> with mock.record() as ledger:
    ...     inputs, names = stage((np.zeros((4, 2), np.float32), ["a", "b", "c", "d"]))
    ...     on_device = backend.to_device(inputs)
    >>> type(on_device).__module__, ledger.copies_to_device
    ('tinytrain.testing.mock.device_array', 1)
    >>> _ = backend.set_device("cpu")
    """

    def __init__(self, pin_memory: bool, pin_memory_device: str = "") -> None:
        self._pin_memory = pin_memory
        self._device = pin_memory_device
        self._ring: StagingRing | None = None
        self._said = False

    def begin_epoch(self) -> Callable[[Any], Any] | None:
        """Return the function that stages a batch, or None where there is nothing to do.

        Warns
        -----
        UserWarning
            Once: batches were to be pinned and the chosen device is the CPU, or a device was
            named.
        """
        if not self._pin_memory:
            return None
        library = backend.creation_library()
        if not self._said:
            self._said = True
            self._say(library)
        if library is np:
            return None
        if self._ring is None or self._ring.library is not library:
            self._ring = StagingRing(library)
        return self._ring.stage

    def _say(self, library: ModuleType) -> None:
        if self._device:
            warnings.warn(
                "pin_memory_device is deprecated, the current accelerator will be used as the "
                f"device,ignore pin_memory_device='{self._device}'.",
                stacklevel=4,
            )
        if library is np:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used. (tinytrain computes on the CPU now: choose a GPU "
                "with tt.set_device('cuda') before the first epoch, or leave pin_memory out.)",
                stacklevel=4,
            )


class StagingRing:
    """Pinned buffers that take turns, and a stream beside that of the computation.

    Batch k is written into a pinned buffer, copied by the side stream in one piece, and cut into
    arrays again on the device. The device memory for it was set aside when batch k - 1 was handed
    out; the copy waits for what was queued until then (the steps up to k - 2, one of which may
    have used that memory before), and runs while step k - 1 computes. The stream that is current
    when a batch is handed out waits for its copy; the host waits for nothing, unless it is so
    far ahead that the pinned buffer's former copy is not done.

    A batch's memory is its own: batches may be kept for as long as one likes.

    Parameters
    ----------
    library : module
        Of a device: CuPy, or the mock GPU.
    slots : int
        The number of pinned buffers.
    """

    def __init__(self, library: Any, slots: int = 2) -> None:
        self.library = library
        self._stream = library.cuda.Stream(non_blocking=True)
        self._slots = [_PinnedSlot(library) for _ in range(slots)]
        self._turn = 0
        self._room: Array = None
        self._room_is_free = library.cuda.Event(disable_timing=True)

    def stage(self, batch: Any) -> Any:
        """Return the batch with a `StagedArray` in place of each array that a GPU can hold.

        Mappings, sequences, tuples and data classes keep their types. An object with a method
        ``pin_memory`` is asked for it, as in PyTorch, and its answer taken.
        """
        arrays: list[StagedArray] = []
        staged = _replaced(batch, arrays)
        if arrays:
            self._copy(arrays)
        return staged

    def _copy(self, arrays: list[StagedArray]) -> None:
        ends = np.cumsum([_aligned(array.nbytes) for array in arrays]).tolist()
        starts, size = [0, *ends[:-1]], ends[-1]
        if self._room is None or self._room.size < size:
            self._set_room_aside(size)
        device, slot = self._room, self._slots[self._turn]
        self._turn = (self._turn + 1) % len(self._slots)

        pinned = slot.claim(size)
        for array, start in zip(arrays, starts, strict=True):
            _part(pinned, start, array)[...] = array
        self._stream.wait_event(self._room_is_free)
        device[:size].set(pinned, stream=self._stream)
        slot.copied.record(self._stream)
        self.library.cuda.get_current_stream().wait_event(slot.copied)

        for array, start in zip(arrays, starts, strict=True):
            array.on_device = _part(device, start, array)
        self._set_room_aside(self._room.size)

    def _set_room_aside(self, size: int) -> None:
        """Allocate for the next batch, and note when the memory's former use will be over.

        The memory comes from the pool of the current stream, which hands it out in that stream's
        order: what it was before may still be computed with by what has been queued until now.
        """
        self._room = self.library.empty(size, dtype=np.uint8)
        self._room_is_free.record(self.library.cuda.get_current_stream())


class _PinnedSlot:
    """One pinned buffer, and the event of its last copy."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._memory: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.copied = library.cuda.Event(disable_timing=True)

    def claim(self, size: int) -> NDArray[np.uint8]:
        """Return `size` bytes of the buffer, once its last copy is done."""
        if not self.copied.done:
            self.copied.synchronize()
        if self._memory.size < size:
            # Page-locking is slow: batches that grow bit by bit must not ask for it each time.
            room = 1 << (size - 1).bit_length()
            pinned = self._library.cuda.alloc_pinned_memory(room)
            self._memory = np.frombuffer(pinned, dtype=np.uint8, count=room)
        return self._memory[:size]


def _aligned(size: int) -> int:
    return max(1, -(-size // _ALIGNMENT)) * _ALIGNMENT


def _part(buffer: Array, start: int, like: NDArray[Any]) -> Array:
    """Return the array of the same shape and dtype that starts at a byte of a buffer."""
    return buffer[start : start + like.nbytes].view(like.dtype).reshape(like.shape)


def _replaced(value: Any, arrays: list[StagedArray]) -> Any:
    """Return a batch whose arrays are to be staged; they are listed in `arrays`, too."""
    if type(value) in (np.ndarray, np.memmap):
        return _listed(value, arrays) if value.dtype.char in _STAGED_TYPES else value
    if hasattr(value, "pin_memory"):
        return value.pin_memory()
    if isinstance(value, Mapping):
        return _mapping_like(value, {key: _replaced(item, arrays) for key, item in value.items()})
    if isinstance(value, tuple):
        items = [_replaced(item, arrays) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, list):
        clone = copy.copy(value)
        clone[:] = [_replaced(item, arrays) for item in value]
        return clone
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        return [_replaced(item, arrays) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        return replace(value, **{n: _replaced(getattr(value, n), arrays) for n in names})
    return value


def _listed(array: NDArray[Any], arrays: list[StagedArray]) -> NDArray[Any]:
    if not array.dtype.isnative:
        return array
    staged = array.view(StagedArray)
    # What is written now would not reach the copy on the device: an error is better than a loss.
    staged.flags.writeable = False
    arrays.append(staged)
    return staged


def _mapping_like(example: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    try:
        if isinstance(example, MutableMapping):
            clone = copy.copy(example)
            clone.update(values)
            return clone
        return type(example)(values)  # type: ignore[call-arg]
    except TypeError:
        return values
