"""A ledger of the memory that operations read, make and keep, while it is alive.

It looks on as operations run (see `autograd.Watcher`), and asks Python to be told when an array is
gone. So it counts on every device, and nothing has to be given back by hand: what a graph keeps
goes off the ledger when the graph does.
"""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytrain.anomaly import arrays_in
from tinytrain.autograd import (
    Function,
    LeafGradient,
    Watcher,
    add_watcher,
    remove_watcher,
    watchers,
)
from tinytrain.backend import Array, is_array
from tinytrain.memory.errors import OutOfMemoryError
from tinytrain.memory.units import format_bytes


class MemoryLedger(Watcher):
    """Counts the bytes of arrays that are alive.

    - An array that an operation made, forward or backward, counts whole, once, however many views
      of it there are.
    - Of an array that no operation made, such as a batch, or the buffer in which an optimizer keeps
      all parameters, those parts count that operations were given.
    - Not seen are temporaries within one operation.

    Parameters
    ----------
    limit : int, optional
        The number of bytes above which `OutOfMemoryError` is raised.

    Attributes
    ----------
    used, peak : int
        Bytes now, and at most so far.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(1000, requires_grad=True)
    >>> with count_memory() as ledger:
    ...     y = x.exp()
    >>> ledger.used  # x and e^x, of four bytes per element
    8000
    >>> del y
    >>> ledger.used, ledger.peak
    (4000, 8000)
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.used = self.peak = 0
        self._made: dict[int, weakref.ref[Any]] = {}  # by the owner's id
        self._parts: dict[int, _Part] = {}  # by the address

    # ---------------------------------------------------------------- what it looks at

    def after_forward(self, node: Function, inputs: Sequence[Any], output: Array) -> None:
        """Count an operation's inputs, what it made, and what it keeps for backward."""
        given = set()
        for array in inputs:
            if is_array(array):
                given.add(id(owner_of(array)))
                self._count_given(array)
        for array in (output, *arrays_in(kept_by(node))):
            if id(owner_of(array)) in given:
                self._count_given(array)
            else:
                self._count_made(array)
        self._check(node, "the forward")

    def before_backward(self, node: Function, gradient: Array) -> None:
        """Count the gradient of a node's output, which may be a sum that the walk made."""
        self._count_made(gradient)
        self._check(node, "the backward")

    def after_backward(self, node: Function, results: Sequence[Array | None]) -> None:
        """Count the gradients of a node's inputs."""
        for result in results:
            if result is not None:
                self._count_made(result)
        self._check(node, "the backward")

    def after_leaf(self, leaf: LeafGradient) -> None:
        """Count what a leaf has collected."""
        self.count(leaf.array)

    def count(self, array: Array) -> None:
        """Count an array that no operation made, such as an optimizer's momenta.

        Raises
        ------
        OutOfMemoryError
            The limit is exceeded.
        """
        self._count_given(array)
        self._check(None, "an array of state or of gradients")

    # ---------------------------------------------------------------- counting

    def _count_made(self, array: Array) -> None:
        """Count the whole memory that an array is a part of, until it is freed."""
        owner = owner_of(array)
        key, size = id(owner), owner.nbytes
        if key in self._made or not size:
            return

        def forget(_: Any) -> None:
            del self._made[key]
            self.used -= size

        self._made[key] = weakref.ref(owner, forget)
        self._grow(size)

    def _count_given(self, array: Array) -> None:
        """Count the part of foreign memory that an array covers, until no such array is left."""
        if id(owner_of(array)) in self._made or not array.nbytes:
            return
        address = _address(array)
        part = self._parts.setdefault(address, _Part())
        holder = id(array)
        if holder not in part.holders:

            def forget(_: Any) -> None:
                del part.holders[holder]
                if not part.holders:
                    del self._parts[address]
                    self.used -= part.size

            part.holders[holder] = weakref.ref(array, forget)
        if array.nbytes > part.size:
            added, part.size = array.nbytes - part.size, array.nbytes
            self._grow(added)

    def _grow(self, size: int) -> None:
        self.used += size
        self.peak = max(self.peak, self.used)

    def _check(self, node: Function | None, where: str) -> None:
        if self.limit is None or self.used <= self.limit:
            return
        raise OutOfMemoryError(
            f"{where}{f' of {node.name}' if node else ''} needs {format_bytes(self.used)} in all, "
            f"and the limit is {format_bytes(self.limit)}: use smaller micro-batches (and "
            "accumulate), a smaller model, tt.checkpoint, or tt.no_grad where nothing is trained"
        )


class _Part:
    """A part of foreign memory, and the arrays that cover it."""

    def __init__(self) -> None:
        self.size = 0
        self.holders: dict[int, weakref.ref[Any]] = {}


def owner_of(array: Array) -> Array:
    """Return the array that owns the memory which an array is a view of; itself, if it does.

    Examples
    --------
    >>> whole = np.zeros((4, 4))
    >>> owner_of(whole[1:].T) is whole
    True
    """
    owner = step = getattr(array, "_host", array)  # the mock GPU's array holds one of NumPy
    while (step := getattr(step, "base", None)) is not None:
        if isinstance(step, np.ndarray) or is_array(step):
            owner = step
    return owner


def _address(array: Array) -> int:
    array = getattr(array, "_host", array)
    interface = getattr(array, "__array_interface__", None) or array.__cuda_array_interface__
    return int(interface["data"][0])


def kept_by(node: Function) -> list[Any]:
    """List what a node keeps: `saved`, and what it set as attributes."""
    return [value for name, value in vars(node).items() if name not in ("edges", "inputs")]


@contextmanager
def count_memory() -> Iterator[MemoryLedger]:
    """Count the memory of the operations in a ``with`` block of this thread, without a limit.

    The ledger stays up to date after the block, as arrays go.

    Examples
    --------
    >>> import tinytrain as tt
    >>> with count_memory() as ledger:
    ...     _ = tt.ones(10) + 1
    >>> ledger.peak
    80
    """
    ledger = MemoryLedger()
    add_watcher(ledger)
    try:
        yield ledger
    finally:
        remove_watcher(ledger)


def tell_ledgers(array: Array) -> None:
    """Let the ledgers of this thread count an array that no operation made."""
    for watcher in watchers():
        if isinstance(watcher, MemoryLedger):
            watcher.count(array)
