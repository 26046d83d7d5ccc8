"""Telling the user something, where nobody may be listening any more.

Of ``python train.py | tee log`` Ctrl-C ends `tee` too, and whatever is printed from then on fails.
A run must not end for that, nor where a terminal cannot show a letter.
"""

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import Any


def say(text: str) -> None:
    """Print a text at once; if it cannot be printed, go on without.

    Letters that the output cannot show are escaped.

    Examples
    --------
    >>> say("step 1")
    step 1
    """
    stream = sys.stdout
    with unheard(stream):
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            shown = text.encode(encoding, "backslashreplace").decode(encoding)
            print(shown, file=stream, flush=True)


@contextlib.contextmanager
def unheard(stream: Any) -> Iterator[None]:
    """Go on where writing to a stream in the block fails; one that nobody reads is silenced."""
    try:
        yield
    except BrokenPipeError:
        _silence(stream)
    except (OSError, ValueError, AttributeError):  # a full disk; closed; None, as in a daemon
        pass


def flush_outputs() -> None:
    """Write out what was printed, and silence outputs that nobody reads.

    Python would end with the status 120 if it found that out at its exit.
    """
    for stream in (sys.stdout, sys.stderr):
        with unheard(stream):
            stream.flush()


def notice(text: str) -> None:
    """Write a line to the error output, as a signal handler may: past all that Python buffers."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stderr.fileno()
        if select.select([], [number], [], 0)[1]:  # a full pipe would not let the handler return
            os.write(number, f"{text}\n".encode(errors="backslashreplace"))


def _silence(stream: Any) -> None:
    """Let a stream write to nowhere, what it still holds included."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
