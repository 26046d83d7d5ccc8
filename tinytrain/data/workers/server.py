"""Imported by a fork server as the last of what it loads; does nothing in any other process.

The server is started with SIGINT blocked, so that Ctrl-C cannot hit it amid its imports. Its
children are not to inherit that, because they may be other processes than our workers.
"""

from __future__ import annotations

import signal

__all__ = ["accept_interrupts"]


def accept_interrupts() -> None:
    """Forget a SIGINT that has come while it was blocked, and unblock it."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    if signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which drops one that waits
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


accept_interrupts()
