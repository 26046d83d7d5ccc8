"""How worker processes are started: forkserver or spawn, and when a plain fork is allowed.

A fork copies a process in the middle of whatever its other threads do. If one of them is inside
a matrix product, OpenBLAS waits for ever, in the parent (OpenBLAS issue 294). So workers are
started fresh. What cannot be sent to a fresh process (a lambda, a class of a function's or of a
notebook) is still no obstacle while every other Python thread is seen waiting: then none of them
computes, and a fork is safe.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from multiprocessing.context import BaseContext
from pathlib import Path
from types import FrameType

__all__ = ["choose_context", "fork_if_safe", "warm_up"]

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
# The functions of the standard library in which a thread waits, and calls nothing else.
_WAITING_FUNCTIONS = {
    ("threading", "wait"),
    ("threading", "_wait_for_tstate_lock"),
    ("selectors", "select"),
    ("concurrent.futures.thread", "_worker"),
    ("multiprocessing.connection", "_recv"),
}
# The libraries in which the threads of a notebook wait.
_WAITING_PACKAGES = ("zmq", "tornado", "ipykernel")


def choose_context(context: BaseContext | str | None) -> BaseContext:
    """The multiprocessing context that starts the workers.

    Parameters
    ----------
    context
        What the user asked for: a context, the name of a start method, or None. None means the
        method that ``multiprocessing.set_start_method`` has set, unless it is fork; otherwise
        forkserver on Linux, and spawn elsewhere (on macOS a fork server that has loaded NumPy
        is not safe to fork either, because of Apple's Accelerate).

    Raises
    ------
    ValueError
        If there is no start method of that name.
    """
    if isinstance(context, BaseContext):
        return context
    if context is None:
        chosen = multiprocessing.get_start_method(allow_none=True)
        available = multiprocessing.get_all_start_methods()
        fresh = "forkserver" if sys.platform == "linux" and "forkserver" in available else "spawn"
        context = fresh if chosen in (None, "fork") else chosen
    return multiprocessing.get_context(context)


def fork_if_safe() -> BaseContext | None:
    """The fork context if a fork can do no harm now, else None."""
    if "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return None
    me = threading.get_ident()
    frames = sys._current_frames()
    if all(_waits(frame) for thread, frame in frames.items() if thread != me):
        return multiprocessing.get_context("fork")
    return None


def _waits(frame: FrameType) -> bool:
    """Whether a thread is seen waiting, and so is in no BLAS routine."""
    module = frame.f_globals.get("__name__", "")
    return (module, frame.f_code.co_name) in _WAITING_FUNCTIONS or module.partition(".")[
        0
    ] in _WAITING_PACKAGES


def warm_up(context: BaseContext) -> None:
    """Start the fork server with NumPy and tinytrain loaded, so that no worker loads them again.

    What the server loads is a setting of the whole program. It is put back afterwards, and left
    alone where the program has made it, or where the server is running already.
    """
    if context.get_start_method() != "forkserver":
        return
    from multiprocessing import forkserver  # which Windows does not have

    server = forkserver._forkserver
    if getattr(server, "_forkserver_pid", 0) is not None:
        return
    before = getattr(server, "_preload_modules", None)
    if before != ["__main__"] or not _server_finds_this_tinytrain():
        return
    server.set_forkserver_preload([*before, "tinytrain.data.workers.child"])
    try:
        server.ensure_running()
    finally:
        server.set_forkserver_preload(before)


def _server_finds_this_tinytrain() -> bool:
    """Whether no other copy of the package lies where a new Python may look first."""
    roots = {Path(folder or ".").resolve() for folder in ("", *sys.path)}
    return not any(
        (root / "tinytrain" / "__init__.py").exists() for root in roots - {_PACKAGE_ROOT}
    )
