"""A limit on memory, which makes a laptop behave like a small GPU."""

import threading
from types import TracebackType

from tinytrain.autograd import add_watcher, remove_watcher
from tinytrain.memory.ledger import MemoryLedger
from tinytrain.memory.units import parse_bytes


class _Present(threading.local):
    """The limits of this thread, from the outside in.

    They alternate: the one that was called at top level, that of a block, the one that was called
    in the block, and so on. All of them look on.
    """

    def __init__(self) -> None:
        self.ledgers: list[MemoryLedger | None] = [None]


_present = _Present()


class memory_limit:
    """Allow the operations of this thread so much memory; beyond it `OutOfMemoryError` is raised.

    Called, it sets the limit from then on, in the place of one that was called before; as a
    ``with`` block it holds until the end, beside those of the blocks around it: the smallest
    counts. One object may stand for several blocks, one after the other.

    What is on the device while a training step runs counts: parameters, gradients, the state of
    optimizers, the micro-batch, activations kept for backward and the gradients on their way. What
    an operation uses within itself does not, nor what no operation was given yet. Batches that wait
    in host memory do not count, as on a GPU: a part of one does as long as the tensors live that
    `tinytrain.to_device` has made of it. The limit looks at sizes only and changes no result.

    Parameters
    ----------
    limit : str, int or None
        ``"512MB"``, ``"2GiB"``, or a number of bytes; None for none but those of the blocks around.

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
        self._before = _present.ledgers[-1]
        self._called = True  # and not entered yet
        _replace_last(self.ledger)

    def __enter__(self) -> "memory_limit":
        if self._called and _present.ledgers[-1] is self.ledger:
            _replace_last(self._before)
        self._called = False
        if self.ledger is not None and self.ledger in _present.ledgers:
            raise RuntimeError(f"{self!r} is in force already: make another one for another block")
        _add(self.ledger)
        _add(None)  # for what is called in the block
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _ in range(2):
            _replace_last(None)
            _present.ledgers.pop()

    def __repr__(self) -> str:
        return f"memory_limit({None if self.ledger is None else self.ledger.limit})"


def _replace_last(ledger: MemoryLedger | None) -> None:
    """Let a ledger look on in the place of the innermost one."""
    last = _present.ledgers.pop()
    if last is not None:
        remove_watcher(last)
    _add(ledger)


def _add(ledger: MemoryLedger | None) -> None:
    _present.ledgers.append(ledger)
    if ledger is not None:
        add_watcher(ledger)
