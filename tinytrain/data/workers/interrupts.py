"""Ctrl-C while workers start: it goes to every process of a terminal, but only one should speak.

A worker ignores SIGINT. Until it runs code of this package, it has to be kept from it: a signal
that is blocked here is blocked in the processes started here as well.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["QuietName", "hold_interrupts", "ignore_interrupts"]


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Put SIGINT off until the end of the block, here and in the processes started in it.

    A signal that comes meanwhile is acted upon at the end. (Windows has no such thing: there a
    worker may complain of a Ctrl-C during its start.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It would take the signal off the list again when it starts its own process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Ignore SIGINT in this process from now on, one that waits to be delivered included."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # What a sample starts with subprocess is not to inherit that it is blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class QuietName(str):
    """The name of a process that ignores SIGINT from the moment in which it reads its name.

    A child of the fork server inherits nothing from here. It reads its name before it imports
    the main script, which may take long, and is told nothing else as early.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _read_name, (str(self),)


def _read_name(name: str) -> str:
    ignore_interrupts()
    return name
