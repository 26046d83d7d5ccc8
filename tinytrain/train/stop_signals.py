"""Ctrl-C and SIGTERM during a run: stop at the next safe moment, so that nothing is lost."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from tinytrain.train.say import flush_outputs, notice

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
        # Not by print: the signal may have come in the middle of one.
        notice(f"\n{self.received.name}: stopping at the next safe moment; once more stops at once")

    def check(self) -> None:
        """Raise `StopRequested` if there was a signal.

        Raises
        ------
        StopRequested
        """
        if self.received is not None:
            flush_outputs()
            raise StopRequested

    def arrived(self) -> bool:
        """Whether there was a signal; to be asked after an error, which may be a part of it.

        A signal to a whole group of processes may reach the others a little earlier.
        """
        if self.received is None and self._earlier:
            time.sleep(0.1)  # the handler runs in the meantime
        return self.received is not None

    @contextlib.contextmanager
    def excusing(self, *kinds: type[Exception]) -> Iterator[None]:
        """Take an error in the block for a consequence of a signal, if there was one.

        It went to the workers of a loader too, or to whoever reads what the run prints.

        Raises
        ------
        StopRequested
            Instead of the error.
        """
        try:
            yield
        except kinds as error:
            if not self.arrived():
                raise
            flush_outputs()
            raise StopRequested from error

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
        flush_outputs()
        earlier: Callable[[int, FrameType | None], Any] | Any = self._earlier[self.received]
        if callable(earlier) and earlier is not signal.default_int_handler:
            earlier(int(self.received), None)
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self.received))
