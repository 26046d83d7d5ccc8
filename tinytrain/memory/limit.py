"""A limit on memory, which makes a laptop behave like a small GPU."""

import threading
from types import TracebackType

from tinytrain.autograd import add_watcher, remove_watcher
from tinytrain.memory.ledger import MemoryLedger
from tinytrain.memory.units import parse_bytes


class _Present(threading.local):
    """The limit of this thread."""

    ledger: MemoryLedger | None = None


_present = _Present()


class memory_limit:
    """Allow the operations of this thread so much memory; beyond it `OutOfMemoryError` is raised.

    Called, it sets the limit from then on; as a ``with`` block it puts the one before back at the
    end. What is on the device while a training step runs counts: parameters, gradients, the state
    of optimizers, the batch, activations kept for backward and the gradients on their way. What an
    operation uses within itself does not, nor what no operation was given yet. The limit looks at
    sizes only and changes no result.

    Parameters
    ----------
    limit : str, int or None
        ``"512MB"``, ``"2GiB"``, or a number of bytes; None for no limit.

    Attributes
    ----------
    ledger : MemoryLedger or None
        ``ledger.used`` and ``ledger.peak`` are the bytes in use, and at most so far.

    Raises
    ------
    ValueError, TypeError
        The limit is no amount of memory.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer = tt.nn.Linear(100, 100)
    >>> with memory_limit("100KB") as limit:
    ...     loss = layer(tt.ones(10, 100)).sum()
    >>> limit.ledger.peak
    48404
    >>> with memory_limit("100KB"):
    ...     loss = layer(tt.ones(500, 100)).sum()
    Traceback (most recent call last):
        ...
    tinytrain.memory.errors.OutOfMemoryError: the forward of Linear needs 440 KB in all, and the
    limit is 100 KB: ...
    """

    def __init__(self, limit: str | int | None) -> None:
        self.ledger = None if limit is None else MemoryLedger(parse_bytes(limit))
        self._before = _present.ledger
        _install(self.ledger)

    def __enter__(self) -> "memory_limit":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _install(self._before)

    def __repr__(self) -> str:
        return f"memory_limit({None if self.ledger is None else self.ledger.limit})"


def _install(ledger: MemoryLedger | None) -> None:
    """Let a ledger look on in the place of the one before."""
    if _present.ledger is not None:
        remove_watcher(_present.ledger)
    _present.ledger = ledger
    if ledger is not None:
        add_watcher(ledger)
