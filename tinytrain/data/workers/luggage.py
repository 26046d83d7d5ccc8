"""What a worker gets at its start: the data set and the functions of the loader.

They are pickled together, once for all workers: so a method of the data set that serves as
``worker_init_fn`` belongs to the data set of the worker. The bytes of arrays lie in one file in
memory that every worker maps privately: workers share the pages, and a worker that writes to its
data set gets a page of its own. A memory-mapped file is opened again.
"""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from collections.abc import Callable
from multiprocessing import context as mp_context
from multiprocessing import reduction
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import SemLock
from types import FunctionType
from typing import Any

from tinytrain.data.workers.context import fork_context, obstacle_to_fork
from tinytrain.data.workers.failure import find_unpicklable
from tinytrain.data.workers.memmap import reduce_memmap
from tinytrain.data.workers.transport import dump

__all__ = ["Luggage", "packed_luggage"]

_ALIGNMENT = 64


class Luggage:
    """Objects as they are: inherited by a forked process, or pickled while it starts.

    A lock or a queue of `multiprocessing` can travel in no other way.
    """

    def __init__(self, objects: tuple[Any, ...]) -> None:
        self._objects = objects

    def open(self) -> tuple[Any, ...]:
        """The objects; to be called in the worker."""
        return self._objects

    def close(self) -> None:
        """Free what the process of the loader holds; the workers keep theirs."""


class _Pickled(Luggage):
    """Objects pickled beforehand; the arrays in shared memory where the system has it."""

    def __init__(self, pickled: bytes, buffers: list[memoryview]) -> None:
        self._inline: list[bytes] = []
        self._places: list[tuple[int, int]] = []
        self._descriptor = -1
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("tinytrain-dataset", os.MFD_CLOEXEC)
            # All of it: the start of a process waits for what is longer than a pipe holds.
            self._write([memoryview(pickled), *buffers])
        else:
            self._inline = [pickled, *(bytes(buffer) for buffer in buffers)]

    def _write(self, buffers: list[memoryview]) -> None:
        end = 0
        for buffer in buffers:
            self._places.append((end, len(buffer)))
            done = 0
            while done < len(buffer):
                done += os.pwrite(self._descriptor, buffer[done:], end + done)
            end += len(buffer) + -len(buffer) % _ALIGNMENT

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self._descriptor >= 0:
            state["_handle"] = reduction.DupFd(self._descriptor)
        return state

    def open(self) -> tuple[Any, ...]:
        buffers: list[Any] = [bytearray(data) for data in self._inline]
        if self._descriptor >= 0:
            descriptor = self._handle.detach()  # type: ignore[attr-defined]
            memory = _private_map(descriptor)
            os.close(descriptor)
            buffers = [memory[start : start + length] for start, length in self._places]
        pickled, *arrays = buffers
        objects: tuple[Any, ...] = pickle.loads(pickled, buffers=arrays)
        return objects

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _private_map(descriptor: int) -> memoryview:
    """The bytes of a file; what is written to them stays in this process."""
    size = os.fstat(descriptor).st_size
    return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY) if size else bytearray())


def packed_luggage(
    objects: dict[str, Any], context: BaseContext, may_fork: bool
) -> tuple[Luggage, BaseContext]:
    """Make objects ready for the workers of a context, or of another one if they force it.

    Parameters
    ----------
    objects
        By the name that the user knows them by.
    context
        What will start the workers.
    may_fork
        Whether workers may be forked where the objects cannot be pickled and it is safe.

    Returns
    -------
    luggage
        To be sent to each worker.
    context
        What must start the workers.

    Raises
    ------
    pickle.PicklingError
        If an object cannot be sent: which one, why, and what to do.
    """
    values = tuple(objects.values())
    if context.get_start_method() == "fork":
        return Luggage(values), context
    try:
        return _Pickled(*dump(values, _reduce)), context
    except Exception:
        # Once more, in the way of multiprocessing: it can send its own locks and pipes.
        try:
            _dry_run(values)
            return Luggage(values), context
        except Exception as error:
            obstacle = obstacle_to_fork() if may_fork else ""
            if obstacle is None:
                return Luggage(values), fork_context()
            raise _explained(error, objects, context, obstacle) from error


def _reduce(value: Any) -> Any:
    if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__":
        _check_main(value)
    return reduce_memmap(value)


def _check_main(value: Any) -> None:
    """A worker imports the main module again: that takes a file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is None and not os.path.exists(getattr(main, "__file__", None) or ""):
        raise pickle.PicklingError(
            f"{value.__qualname__} is defined in the interactive main module, "
            "which a new process cannot import"
        )


class _DryRun(reduction.ForkingPickler):
    """Pickles as multiprocessing does while it starts a process, for the errors only."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, SemLock):
            # A lock of the fork context has no name by which a fresh process could find it.
            # Python before 3.12 sends it all the same, and the process crashes.
            if sys.platform != "win32" and value._semlock.name is None:  # type: ignore[attr-defined]
                raise pickle.PicklingError(
                    f"a {type(value).__name__} of multiprocessing's fork context "
                    "cannot be sent to a process that is not forked"
                )
            return int, (0,)
        if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__":
            _check_main(value)
        return NotImplemented


class _NoProcess:
    """Stands for the process that is about to be started."""

    @staticmethod
    def duplicate_for_child(handle: int) -> int:
        return handle

    DupFd: Callable[[int], int] = staticmethod(lambda descriptor: descriptor)


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def _dry_run(value: Any) -> None:
    mp_context.set_spawning_popen(_NoProcess())  # type: ignore[arg-type]
    try:
        _DryRun(_Nowhere(), pickle.HIGHEST_PROTOCOL).dump(value)
    finally:
        mp_context.set_spawning_popen(None)


def _explained(
    error: Exception, objects: dict[str, Any], context: BaseContext, obstacle: str
) -> Exception:
    for name, value in objects.items():
        try:
            _dry_run(value)
        except Exception:
            where, culprit = find_unpicklable(value)
            what = f"{name}{where} (a {type(culprit).__qualname__})"
            break
    else:
        what = "the data set and the functions of the loader"
    return pickle.PicklingError(
        f"cannot send {what} to a worker process that is started by "
        f"{context.get_start_method()!r}: {type(error).__name__}: {error}. Define classes and "
        "functions at the top level of a module (functools.partial can replace a lambda), open "
        'files and locks in worker_init_fn, or pass multiprocessing_context="fork" if no other '
        "thread of this program computes."
        + (f" (It is not forked without being asked, because {obstacle}.)" if obstacle else "")
    )
