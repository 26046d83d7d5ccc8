"""Memory that two processes share: a worker writes the arrays of a batch, the loader reads them.

An arena has one slot for each task that a worker may have waiting. The k-th task of a worker
uses slot k modulo the number of slots; the loader sends no further task before it has copied the
oldest result out. So a slot is free whenever it is written, and no message says so.

The loader copies instead of handing out views of the shared memory: a batch then lives as long
as its user keeps it, can be written to, and holds back no worker. That is one pass over memory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from multiprocessing import reduction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.shared_memory import SharedMemory

__all__ = ["Arena", "MemoryFile", "NamedSegments", "new_arena"]

_MOST_BUFFERS = 1024  # that one system call takes (IOV_MAX on Linux)


class Arena:
    """What both kinds of arena do. It can be sent to a process at its start only."""

    def write(self, slot: int, buffers: Sequence[memoryview]) -> Any:
        """Write buffers of bytes one after the other, and return the place for `read`."""
        raise NotImplementedError

    def read(self, place: Any, buffers: Sequence[memoryview]) -> None:
        """Fill buffers of bytes, whose lengths are those that were written."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up this process's share of the memory."""
        raise NotImplementedError


class MemoryFile(Arena):
    """One file in memory without a name (``memfd_create``, Linux).

    The kernel frees it when the last process that has it open is gone, whatever ended it. It is
    written and read by system calls, which cost little more than a copy through a mapping, let
    the file grow by themselves, and report a lack of memory as an error instead of a signal.

    Parameters
    ----------
    slots
        How many batches can lie in it at a time.
    """

    def __init__(self, slots: int) -> None:
        self._descriptor = os.memfd_create("tinytrain-batches", os.MFD_CLOEXEC)
        self._slots = [(0, 0)] * slots  # where each begins, and how many bytes fit
        self._end = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"handle": reduction.DupFd(self._descriptor), "slots": len(self._slots)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._descriptor = state["handle"].detach()
        self._slots = [(0, 0)] * state["slots"]
        self._end = 0

    def write(self, slot: int, buffers: Sequence[memoryview]) -> int:
        """Write the buffers to a slot; the place is a position in the file."""
        needed = sum(len(buffer) for buffer in buffers)
        start, size = self._slots[slot]
        if needed > size:
            # The slot moves to the end of the file. Twice what is needed: so all places that
            # were given up take less memory than those in use.
            start, size = self._end, 2 * needed
            self._slots[slot] = start, size
            self._end += size
        _transfer(os.pwritev, self._descriptor, buffers, start)
        return start

    def read(self, place: int, buffers: Sequence[memoryview]) -> None:
        """Fill the buffers from a position in the file."""
        _transfer(os.preadv, self._descriptor, buffers, place)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _transfer(
    call: Callable[[int, Any, int], int],
    descriptor: int,
    buffers: Sequence[memoryview],
    position: int,
) -> None:
    """Write or read all of the buffers; one call moves at most 2 GiB and 1024 buffers."""
    left = [buffer for buffer in reversed(buffers) if len(buffer)]
    while left:
        moved = call(descriptor, left[: -_MOST_BUFFERS - 1 : -1], position)
        if not moved:
            raise EOFError("the shared memory of a worker ends before the batch does")
        position += moved
        while left and moved >= len(left[-1]):
            moved -= len(left.pop())
        if moved:
            left[-1] = left[-1][moved:]


class NamedSegments(Arena):
    """One named segment of shared memory per slot (where there is no ``memfd_create``).

    The reader takes the name away as soon as it has the segment open; on Windows the system does
    so when nobody has it open.
    """

    def __init__(self, slots: int) -> None:
        self._written: list[SharedMemory | None] = [None] * slots
        self._open: list[SharedMemory | None] = [None] * slots

    def __getstate__(self) -> dict[str, Any]:
        return {"slots": len(self._written)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["slots"])  # type: ignore[misc]

    def write(self, slot: int, buffers: Sequence[memoryview]) -> tuple[int, str]:
        """Write the buffers to a slot; the place is the slot and the name of its segment."""
        needed = sum(len(buffer) for buffer in buffers)
        segment = self._written[slot]
        if segment is None or segment.size < needed:
            if segment is not None:
                segment.close()
            segment = _shared_memory(create=True, size=2 * needed)
            self._written[slot] = segment
        memory, position = segment.buf, 0
        assert memory is not None
        for buffer in buffers:
            memory[position : position + len(buffer)] = buffer
            position += len(buffer)
        return slot, segment.name

    def read(self, place: tuple[int, str], buffers: Sequence[memoryview]) -> None:
        """Fill the buffers from a segment."""
        slot, name = place
        segment = self._open[slot]
        if segment is None or segment.name != name:
            if segment is not None:
                segment.close()
            segment = _shared_memory(name)
            segment.unlink()
            self._open[slot] = segment
        memory, position = segment.buf, 0
        assert memory is not None
        for buffer in buffers:
            buffer[:] = memory[position : position + len(buffer)]
            position += len(buffer)

    def close(self) -> None:
        """Close the segments, and take away the names that are left."""
        for segment in self._open:
            if segment is not None:
                segment.close()
        for segment in self._written:
            if segment is not None:
                segment.close()
                # A segment that the reader never opened still has its name.
                with contextlib.suppress(FileNotFoundError):
                    segment.unlink()
        self.__init__(len(self._open))  # type: ignore[misc]


def _shared_memory(*args: Any, **options: Any) -> SharedMemory:
    from multiprocessing import shared_memory  # slow to import, and not needed on Linux

    return shared_memory.SharedMemory(*args, **options)


def new_arena(slots: int) -> Arena:
    """An arena of the kind that this system offers.

    Examples
    --------
    >>> arena = new_arena(slots=2)
    >>> place = arena.write(1, [memoryview(b"abc"), memoryview(b"de")])
    >>> together = bytearray(5)
    >>> arena.read(place, [memoryview(together)])
    >>> together
    bytearray(b'abcde')
    >>> arena.close()
    """
    return MemoryFile(slots) if hasattr(os, "memfd_create") else NamedSegments(slots)
