"""Messages to and from a worker, in pieces so small that the main process never waits for one.

A pipe holds some 64 KiB. A list of 50,000 indices is longer, and a worker that is stopped, or
busy in C code, takes nothing out. So a piece is sent when the pipe is seen to have room for it,
and the sender can look at the clock in between. In the other direction a worker could be stopped
in the middle of a long message. A piece is short enough for the system to write it as a whole.
"""

from __future__ import annotations

import pickle
import select
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Assembly", "has_room", "pieces_of"]

# What a pipe that is ready surely takes; a few bytes are for the connection's own header.
_PIECE = getattr(select, "PIPE_BUF", 512) - 32


def pieces_of(message: Any) -> list[bytes]:
    """Pickle a message, and cut it: to be sent one by one with ``send_bytes``.

    Examples
    --------
    >>> assembly = Assembly()
    >>> [assembly.add(piece) for piece in pieces_of("short")]
    [(True, 'short')]
    >>> parts = [assembly.add(piece) for piece in pieces_of("long " * 2000)]
    >>> len(parts) > 1, parts[0], parts[-1] == (True, "long " * 2000)
    (True, (False, None), True)
    """
    pickled = pickle.dumps(message, protocol=5)
    starts = range(0, len(pickled), _PIECE)
    return [
        (b"+" if start + _PIECE < len(pickled) else b".") + pickled[start : start + _PIECE]
        for start in starts
    ]


class Assembly:
    """Puts the pieces of messages together again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, piece: bytes) -> tuple[bool, Any]:
        """Take one more piece: whether a message is complete, and the message."""
        self._parts.append(piece[1:])
        if piece[:1] == b"+":
            return False, None
        pickled = b"".join(self._parts)
        self._parts.clear()
        return True, pickle.loads(pickled)


def has_room(connection: Connection, seconds: float) -> bool:
    """Wait until a piece can be sent without waiting, or the other end is gone.

    (Windows cannot tell; there it is always True, and sending may wait.)
    """
    if not hasattr(select, "poll"):
        return True
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLOUT)
    return bool(poller.poll(1000 * seconds))
