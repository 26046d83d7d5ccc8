"""Ctrl-C and SIGTERM during a run: stop at the next safe moment, so that nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

HANDLED = (signal.SIGINT, signal.SIGTERM)


class StopRequested(BaseException):
    """Unwinds a step or an evaluation that a signal asked to break off."""


class StopSignals:
    """Notes the first signal, for the run to look at; the second one acts at once.

    Examples
    --------
    >>> import os
    >>> signals = StopSignals()
    >>> with signals.noticed():
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     signals.received.name
    <BLANKLINE>
    SIGTERM: stopping at the next safe moment; once more stops at once
    'SIGTERM'
    >>> signals.leave()
    Traceback (most recent call last):
        ...
    SystemExit: 143
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._earlier: dict[signal.Signals, Any] = {}

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Note signals in the block; the earlier handlers are put back at its end.

        Python lets only the main thread handle signals: in another one the block does nothing. A
        signal that the process ignores stays ignored.
        """
        self.received = None
        self._earlier = {}
        try:
            if threading.current_thread() is threading.main_thread():
                for number in HANDLED:
                    earlier = signal.getsignal(number)
                    if earlier not in (signal.SIG_IGN, None):
                        self._earlier[number] = earlier
                        signal.signal(number, self._note)
            yield
        finally:
            for number, earlier in self._earlier.items():
                signal.signal(number, earlier)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for handled in self._earlier:  # the next one stops the process, whatever it is doing
            at_once = signal.default_int_handler if handled == signal.SIGINT else signal.SIG_DFL
            signal.signal(handled, at_once)
        print(f"\n{self.received.name}: stopping at the next safe moment; once more stops at once")

    def check(self) -> None:
        """Raise `StopRequested` if there was a signal.

        Raises
        ------
        StopRequested
        """
        if self.received is not None:
            raise StopRequested

    def leave(self) -> NoReturn:
        """End as the signal would have ended the process; call it after the block.

        A handler of Python's that was there before is called first, and may end it in another way.

        Raises
        ------
        KeyboardInterrupt
            For SIGINT: uncaught, it gives the exit status 130 to the shell.
        SystemExit
            For SIGTERM, with the status 143.
        """
        assert self.received is not None
        earlier: Callable[[int, FrameType | None], Any] | Any = self._earlier[self.received]
        if callable(earlier) and earlier is not signal.default_int_handler:
            earlier(int(self.received), None)
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self.received))
