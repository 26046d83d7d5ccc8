"""A ledger of the memory that operations read, make and keep, while it is alive.

It looks on as operations run (see `autograd.Watcher`), and asks Python to be told when an array is
gone. So it counts on every device, and nothing has to be given back by hand: what a graph keeps
goes off the ledger when the graph does.
"""

import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinytrain.anomaly import arrays_in
from tinytrain.autograd import (
    Function,
    LeafGradient,
    Watcher,
    add_watcher,
    kept_by,
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
      all parameters, those parts count that operations were given, as long as the views that they
      were given are alive; parts that overlap count once.
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
        self._foreign: dict[int, _Foreign] = {}  # by the owner's id

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
        key, holder = id(owner_of(array)), id(array)
        if key in self._made or not array.nbytes:
            return
        foreign = self._foreign.setdefault(key, _Foreign())
        if holder in foreign.holders:
            return

        def forget(_: Any) -> None:
            self.used += foreign.drop(holder)
            if not foreign.holders:
                del self._foreign[key]

        self._grow(foreign.take(holder, _part_of(array), weakref.ref(array, forget)))

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


class _Part(NamedTuple):
    """The addresses from the first byte of an array to behind its last, and the array's size.

    The size of an array with gaps, such as some columns of a matrix, is less than the distance.
    """

    start: int
    end: int
    size: int


class _Foreign:
    """The parts of an array which no operation made, and the arrays that cover them."""

    def __init__(self) -> None:
        self.size = 0
        self.holders: dict[int, tuple[_Part, weakref.ref[Any]]] = {}  # by the array's id
        self._parts: Counter[_Part] = Counter()

    def take(self, holder: int, part: _Part, reference: "weakref.ref[Any]") -> int:
        """Take in an array; return the bytes that it adds."""
        self.holders[holder] = part, reference
        self._parts[part] += 1
        return self._measure() if self._parts[part] == 1 else 0

    def drop(self, holder: int) -> int:
        """Forget an array; return the bytes that are added: none, or fewer."""
        part, _ = self.holders.pop(holder)
        self._parts[part] -= 1
        if self._parts[part]:
            return 0
        del self._parts[part]
        return self._measure()

    def _measure(self) -> int:
        """Count what all parts cover together; return by how much that has changed."""
        covered = size = end = 0
        for part in sorted(self._parts):
            covered += max(part.end - max(part.start, end), 0)
            end = max(end, part.end)
            size += part.size
        before, self.size = self.size, min(covered, size)
        return self.size - before


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


def _part_of(array: Array) -> _Part:
    array = getattr(array, "_host", array)
    interface = getattr(array, "__array_interface__", None) or array.__cuda_array_interface__
    start = end = int(interface["data"][0])
    for length, stride in zip(array.shape, array.strides, strict=True):
        distance = (length - 1) * stride
        start, end = start + min(distance, 0), end + max(distance, 0)
    return _Part(start, end + array.itemsize, array.nbytes)


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
