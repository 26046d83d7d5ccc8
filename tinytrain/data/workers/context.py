"""How worker processes are started: forkserver or spawn, and when a plain fork is allowed.

A fork copies a process in the middle of whatever its other threads do. If one of them is inside
a matrix product, OpenBLAS waits for ever, in the parent (OpenBLAS issue 294). So workers are
started fresh. What cannot be sent to a fresh process (a lambda, a class of a function's or of a
notebook) is still no obstacle in a program that has no other thread: then a fork is safe.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from multiprocessing.context import BaseContext
from pathlib import Path

from tinytrain.data.workers.blas import foreign_threads
from tinytrain.data.workers.interrupts import hold_interrupts

__all__ = ["choose_context", "fork_context", "obstacle_to_fork", "warm_up"]

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


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


def fork_context() -> BaseContext:
    """The context that forks: where `obstacle_to_fork` finds none."""
    return multiprocessing.get_context("fork")


def obstacle_to_fork() -> str | None:
    """Why workers cannot be forked here and now without being asked for; None if they can.

    Any other thread is a reason, whatever it does at the moment: between a look at it and the
    fork it may have begun something else.
    """
    if "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return "this system cannot fork safely"
    names = other_threads()
    if names:
        return f"other threads run: {', '.join(names)}"
    if foreign_threads():
        return "a library has OpenMP threads, which do not survive a fork"
    return None


def other_threads() -> list[str]:
    """The names of all Python threads but this one, also of those not made by `threading`."""
    me = threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    running = {*names, *sys._current_frames()} - {me}
    return sorted(names.get(thread, "one without a name") for thread in running)


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
    ours = ["tinytrain.data.workers.child", "tinytrain.data.workers.server"]
    server.set_forkserver_preload([*before, *ours])
    try:
        with hold_interrupts():
            server.ensure_running()
    finally:
        server.set_forkserver_preload(before)


def _server_finds_this_tinytrain() -> bool:
    """Whether no other copy of the package lies where a new Python may look first."""
    roots = {Path(folder or ".").resolve() for folder in ("", *sys.path)}
    return not any(
        (root / "tinytrain" / "__init__.py").exists() for root in roots - {_PACKAGE_ROOT}
    )
