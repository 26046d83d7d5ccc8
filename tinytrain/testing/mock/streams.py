"""Streams, events and pinned memory of the mock GPU.

The stream that is current computes at once. Any other puts its work off for as long as nobody waits
for it, which a GPU may do as well: so what is read too early is not there yet, and what is written
over too early is lost.
"""

from collections.abc import Callable
from types import SimpleNamespace

from tinytrain.testing.mock import ledger


class Stream:
    """A queue of work beside the one that computes.

    Parameters
    ----------
    null, non_blocking
        As in CuPy. The null stream is the one that computes.
    """

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.null = null
        self.non_blocking = non_blocking
        self._waiting: list[Callable[[], None]] = []
        self._queued = 0

    def put(self, work: Callable[[], None]) -> None:
        """Queue a piece of work; the stream that computes does it at once."""
        self._queued += 1
        self._waiting.append(work)
        if self.null:
            self._work_until(self._queued)

    def record(self, event: "Event | None" = None) -> "Event":
        """Note in an event what has been queued until now."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Let later work of this stream begin only when the event has happened."""
        if self.null:
            event.happen()
        else:
            self._waiting.append(event.happening())
            self._queued += 1

    def synchronize(self) -> None:
        """Make the host wait, on purpose, for all that is queued."""
        self._work_until(self._queued)
        ledger.count_wait()

    def _is_done(self, count: int) -> bool:
        return self._queued - len(self._waiting) >= count

    def _work_until(self, count: int) -> None:
        while not self._is_done(count):
            self._waiting.pop(0)()


class Event:
    """A mark in a stream; without having been recorded it has happened.

    Parameters
    ----------
    block, disable_timing, interprocess
        As in CuPy; without effect.
    """

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self._stream: Stream | None = None
        self._count = 0

    @property
    def done(self) -> bool:
        """Whether everything before the mark has been done."""
        return self._stream is None or self._stream._is_done(self._count)

    def record(self, stream: Stream | None = None) -> None:
        """Set the mark at the end of a stream; by default of the one that computes."""
        self._stream = current_stream() if stream is None else stream
        self._count = self._stream._queued

    def synchronize(self) -> None:
        """Make the host wait, on purpose, until it has happened."""
        self.happen()
        ledger.count_wait()

    def happen(self) -> None:
        """Do what is queued before the mark."""
        self.happening()()

    def happening(self) -> Callable[[], None]:
        """Return what makes it happen; a mark that is set again later does not change that."""
        stream, count = self._stream, self._count
        return lambda: None if stream is None else stream._work_until(count)


_computing = Stream(null=True)


def current_stream() -> Stream:
    """Return the stream that computes."""
    return _computing


cuda = SimpleNamespace(
    Event=Event,
    Stream=Stream,
    alloc_pinned_memory=bytearray,
    get_current_stream=current_stream,
)
"""What tinytrain uses of ``cupy.cuda``."""
