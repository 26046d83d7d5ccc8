"""What a GPU would have been asked to do: copies across the bus, waits, and kernel launches.

The mock GPU reports every such event here. Whoever wants to know opens a ledger with `record`; the
ledgers that are open at the time take the event down. With none open nothing is kept.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from tinytrain.autograd import Function

EXPLICIT = "read on purpose"
"""The reason noted for a wait that the code asked for by name: ``get`` or ``synchronize``."""


class ImplicitSynchronization(RuntimeError):
    """Something made the host wait for the GPU, where `forbid_sync` had forbidden it.

    Examples
    --------
    >>> import tinytrain as tt
    >>> _ = tt.set_device("mock")
    >>> with forbid_sync():
    ...     tt.ones(1).item()
    Traceback (most recent call last):
        ...
    tinytrain.testing.mock.ledger.ImplicitSynchronization: x.item() makes the host wait for the GPU
    >>> _ = tt.set_device("cpu")
    """


@dataclass
class Ledger:
    """Counts of what was asked of the GPU while this ledger was open.

    Attributes
    ----------
    copies_to_device, bytes_to_device : int
        Copies from host memory, explicit (a batch) and implicit (an index list) ones.
    copies_to_host, bytes_to_host : int
        Copies back.
    waits : Counter of str
        How often the host waited for the GPU, by reason; `EXPLICIT` where it was asked for.
    launches : Counter of (str, str)
        Kernel launches, by operation (``"Linear.forward"``) and kernel (``"matmul"``).

    Examples
    --------
    >>> with record() as ledger:
    ...     count_launch("matmul")
    >>> ledger.launch_count
    1
    """

    copies_to_device: int = 0
    bytes_to_device: int = 0
    copies_to_host: int = 0
    bytes_to_host: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    launches: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def launch_count(self) -> int:
        """All launches."""
        return self.launches.total()

    @property
    def implicit_waits(self) -> Counter[str]:
        """Waits that nobody asked for by name, by reason."""
        return Counter({reason: n for reason, n in self.waits.items() if reason != EXPLICIT})

    def launches_by_operation(self) -> Counter[str]:
        """Launches by operation, whatever the kernel."""
        found: Counter[str] = Counter()
        for (operation, _), count in self.launches.items():
            found[operation] += count
        return found

    def add(self, other: "Ledger") -> None:
        """Add the counts of another ledger to this one."""
        self.copies_to_device += other.copies_to_device
        self.bytes_to_device += other.bytes_to_device
        self.copies_to_host += other.copies_to_host
        self.bytes_to_host += other.bytes_to_host
        self.waits.update(other.waits)
        self.launches.update(other.launches)


_open_ledgers: list[Ledger] = []
_forbidden = [False]  # a stack: the innermost block decides


@contextmanager
def record(ledger: Ledger | None = None) -> Iterator[Ledger]:
    """Open a ledger for the block; blocks may be nested, and each ledger sees what happens in it.

    Parameters
    ----------
    ledger : Ledger, optional
        To go on with; a new one otherwise.

    Examples
    --------
    >>> with record() as outer:
    ...     count_launch("add")
    ...     with record() as inner:
    ...         count_launch("exp")
    >>> outer.launch_count, inner.launch_count
    (2, 1)
    """
    ledger = Ledger() if ledger is None else ledger
    _open_ledgers.append(ledger)
    try:
        yield ledger
    finally:
        _open_ledgers[:] = [other for other in _open_ledgers if other is not ledger]


@contextmanager
def forbid_sync(forbidden: bool = True) -> Iterator[None]:
    """Turn implicit waits and implicit copies in the block into errors.

    Raises
    ------
    ImplicitSynchronization
        The host would have had to wait for the GPU without having asked for it: ``float(x)``,
        ``if x:``, a boolean mask as an index, ``print(x)``, a Python list as an index, ...

    Examples
    --------
    >>> with forbid_sync():
    ...     count_wait("float(x)")
    Traceback (most recent call last):
        ...
    tinytrain.testing.mock.ledger.ImplicitSynchronization: float(x) makes the host wait for the GPU
    """
    _forbidden.append(forbidden)
    try:
        yield
    finally:
        _forbidden.pop()


@contextmanager
def uncounted() -> Iterator[None]:
    """Note nothing in the block: it only allocates, say."""
    aside = _open_ledgers[:]
    _open_ledgers.clear()
    try:
        yield
    finally:
        _open_ledgers[:] = aside


def count_launch(kernel: str) -> None:
    """Note that a kernel was started."""
    if _open_ledgers:
        entry = (current_operation(), kernel)
        for ledger in _open_ledgers:
            ledger.launches[entry] += 1


def count_copy_to_device(size: int, implicit: str | None = None) -> None:
    """Note a copy of `size` bytes from the host; `implicit` says what made it, if nobody asked."""
    if implicit is not None and _forbidden[-1]:
        raise ImplicitSynchronization(f"{implicit} copies host memory to the GPU")
    for ledger in _open_ledgers:
        ledger.copies_to_device += 1
        ledger.bytes_to_device += size


def count_copy_to_host(size: int, reason: str = EXPLICIT) -> None:
    """Note a copy of `size` bytes to the host, for which the host waits."""
    count_wait(reason)
    for ledger in _open_ledgers:
        ledger.copies_to_host += 1
        ledger.bytes_to_host += size


def count_wait(reason: str = EXPLICIT) -> None:
    """Note that the host waited for the GPU."""
    if reason != EXPLICIT and _forbidden[-1]:
        raise ImplicitSynchronization(f"{reason} makes the host wait for the GPU")
    for ledger in _open_ledgers:
        ledger.waits[reason] += 1


def current_operation() -> str:
    """Name what is running: ``"Linear.backward"``, or else the nearest public tinytrain function.

    The call stack knows it, so that the engine needs no bookkeeping for the sake of the mock. As
    few frames as possible are asked for their variables: up to Python 3.12 a frame that was asked
    keeps them, and with them arrays that a memory ledger would go on counting.
    """
    nearest = "outside tinytrain"
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        method = frame.f_code.co_name
        if method in ("forward", "backward") and _is_called_by_engine(frame):
            return f"{frame.f_locals['self'].name}.{method}"
        if nearest == "outside tinytrain" and _is_public(frame):
            owner = frame.f_locals.get("self")
            nearest = method if owner is None else f"{type(owner).__name__}.{method}"
        frame = frame.f_back
    return nearest


_ENGINE = (Function.__call__.__code__, Function.input_gradients.__code__)


def _is_called_by_engine(frame: FrameType) -> bool:
    return frame.f_back is not None and frame.f_back.f_code in _ENGINE


_MACHINERY = ("tinytrain.testing.mock", "tinytrain.kernels", "tinytrain.backend")


def _is_public(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    ours = module.startswith("tinytrain.") and not module.startswith(_MACHINERY)
    return ours and not frame.f_code.co_name.startswith(("_", "<"))
