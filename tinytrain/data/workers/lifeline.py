"""The end of a worker whose main process has died, also amid C code that never lets Python run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys

__all__ = ["die_with_parent", "parent_is_gone"]


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as the main process is gone (Linux).

    A child of `multiprocessing` holds the reading end of a pipe whose writing end nobody has but
    the main process. The kernel sends a signal when that is closed, if it is asked to, and no
    thread of Python has to run for it. Elsewhere a thread looks from time to time.
    """
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    import fcntl  # which Windows does not have

    pipe = parent.sentinel
    with contextlib.suppress(OSError):  # a kernel that cannot do it: the thread remains
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_ASYNC)


def parent_is_gone(parent_pid: int) -> bool:
    """Whether the main process has ended; `parent_pid` is what ``os.getppid()`` was before."""
    parent = multiprocessing.parent_process()
    return os.getppid() != parent_pid or (parent is not None and not parent.is_alive())
