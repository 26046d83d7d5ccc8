"""Anomaly mode: the first NaN or Inf is an error that says which operation made it, and where.

And so is a change of an array that a pending backward needs, which would give a wrong gradient. The
mode is for looking for a fault: it reads every array, which waits for a GPU, and walks the call
stack at every operation. Outside of it nothing is looked at.
"""

import linecache
import math
import os
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import pairwise
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tinytrain.autograd import (
    Function,
    LeafGradient,
    Watcher,
    add_watcher,
    describe,
    kept_by,
    remove_watcher,
)
from tinytrain.backend import Array, as_array, is_array, to_host, xp_of

PACKAGE = f"{Path(__file__).parent}{os.sep}"


class AnomalyError(RuntimeError):
    """What `detect_anomaly` raises: a NaN or an Inf appeared, or a saved array was changed.

    Examples
    --------
    >>> import tinytrain as tt
    >>> with detect_anomaly(), np.errstate(all="ignore"):
    ...     tt.tensor([-1.0]).sqrt()
    Traceback (most recent call last):
        ...
    tinytrain.anomaly.AnomalyError: the forward of Sqrt made nan (element (0,); ...
    """


class Origin(NamedTuple):
    """Where an operation was called.

    Parameters
    ----------
    layer : str
        The dotted name of the layer in the outermost one, as it was called; empty outside of
        layers. A layer that its caller holds under several names has them all: ``first|second``.
    line : str
        File, line number and text of the innermost line outside of this package.
    """

    layer: str
    line: str


class detect_anomaly:
    """Raise where a NaN or an Inf appears, or a saved array changes, in a ``with`` block.

    For the calling thread. To learn the line of a fault in `backward`, run the forward pass inside
    the block too.

    - A NaN raises wherever it appears, forward or backward.
    - An Inf raises where the operation made it. So the -inf of a mask is let through, and log(0),
      1/0 and an overflow are not. Where inputs or settings are infinite, the operation is run once
      more with 0.5 in their place: what is infinite all the same does not come from them.
    - An infinite loss always raises: one that a loss function computed, and whatever `backward` is
      called on.
    - Of gradients every Inf raises, also in the sum that a leaf collects in `grad`.
    - An optimizer's step that makes a parameter NaN or infinite raises.
    - An array that an operation saved for backward must be the same when backward comes: a write
      through `.data`, or an optimizer's step in between, is an error.

    Raises
    ------
    AnomalyError
        The message has the operation, the layer's path, forward or backward, and the source line.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.tensor([0.0, 1.0], requires_grad=True)
    >>> with np.errstate(divide="ignore"), detect_anomaly():
    ...     y = x.log()
    Traceback (most recent call last):
        ...
    tinytrain.anomaly.AnomalyError: the forward of Log made -inf (element (0,); 1 of 2
    elements are not finite); inputs: float32 (2,) on cpu with values from 0.0 to 1.0
      at <doctest ...>, line 2: y = x.log()
    """

    def __init__(self) -> None:
        self._watchers: list[AnomalyWatcher] = []  # a stack: blocks may be nested

    def __enter__(self) -> None:
        self._watchers.append(AnomalyWatcher())
        add_watcher(self._watchers[-1])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        remove_watcher(self._watchers.pop())


class AnomalyWatcher(Watcher):
    """Looks at every array that operations make, and remembers what they saved."""

    def __init__(self) -> None:
        self.origins: WeakKeyDictionary[Function, Origin] = WeakKeyDictionary()
        self.sums: WeakKeyDictionary[Function, list[int]] = WeakKeyDictionary()

    def after_forward(self, node: Function, inputs: Sequence[Any], output: Array) -> None:
        """Look at what an operation computed, and take down what it saved."""
        origin = find_origin(sys._getframe(2))
        found = bad_value(output)
        if found is not None and not math.isnan(found.value):
            found = bad_value(output, _excused(node, inputs, output))
        if found is not None:
            given = ", ".join(map(_described_with_range, inputs))
            raise AnomalyError(
                f"the forward of {node.name} made {found}; inputs: {given}{_at(origin)}"
            )
        if True in node.needs:
            self.origins[node] = origin
            self.sums[node] = [checksum(array) for array in arrays_in(kept_by(node))]

    def before_walk(self, root: Function, output: Array) -> None:
        """Look at the loss."""
        found = bad_value(output)
        if found is not None:
            raise AnomalyError(
                f"backward was called on {found}, the result of {root.name}: no gradient of it "
                f"means anything{self._at(root)}"
            )

    def before_backward(self, node: Function, gradient: Array) -> None:
        """Look at the gradient that reached a node, and at what the node saved."""
        found = bad_value(gradient)
        if found is not None:
            raise AnomalyError(
                f"the gradient that reached the backward of {node.name} is {found}: it was given "
                f"to backward so, or summing overflowed{self._at(node)}"
            )
        kept = list(arrays_in(kept_by(node)))
        for before, array in zip(self.sums.get(node, []), kept, strict=False):
            if checksum(array) != before:
                raise AnomalyError(
                    f"{node.name} saved an array {describe(array)} for its backward, and the array "
                    "was changed before backward came (by a write to .data, or an optimizer's "
                    f"step): the gradient would be wrong; call backward first{self._at(node)}"
                )

    def after_backward(self, node: Function, results: Sequence[Array | None]) -> None:
        """Look at the gradients of a node's inputs."""
        for position, result in enumerate(results):
            found = None if result is None else bad_value(result)
            if found is not None:
                raise AnomalyError(
                    f"the backward of {node.name} made {found} in the gradient of input "
                    f"{position}{self._at(node)}"
                )
        self._look_at_sums(node, results)

    def _look_at_sums(self, node: Function, results: Sequence[Array | None]) -> None:
        """Add what leaves are about to collect, and look at the sums."""
        sums: dict[LeafGradient, Array] = {}
        for edge, result in zip(node.edges or (), results, strict=False):
            if not isinstance(edge, LeafGradient) or result is None:
                continue
            collected = sums.get(edge, edge.array)
            if collected is None:
                sums[edge] = result
                continue
            with np.errstate(over="ignore"):
                sums[edge] = collected + result
            found = bad_value(sums[edge])
            if found is not None:
                raise AnomalyError(
                    f"the gradient that a leaf collects over backward passes became {found} when "
                    f"the backward of {node.name} added to it: the sum overflowed"
                    f"{self._at(node)}"
                )

    def after_update(self, optimizer: str, parameters: Sequence[tuple[str, Array]]) -> None:
        """Look at the parameters that an optimizer has changed."""
        for name, array in parameters:
            found = bad_value(array)
            if found is not None:
                raise AnomalyError(
                    f"{optimizer}.step() made {found} in parameter {name!r}, {describe(array)}; "
                    f"look at its gradient and the learning rate"
                    f"{_at(find_origin(sys._getframe(2)))}"
                )

    def _at(self, node: Function) -> str:
        origin = self.origins.get(node)
        if origin is None:
            return "\n  (run the forward pass under detect_anomaly too, to learn where)"
        return _at(origin, "called ")


class BadValue(NamedTuple):
    """The first value of an array that is not finite.

    Examples
    --------
    >>> print(BadValue(float("nan"), (1, 0), 3, 4))
    nan (element (1, 0); 3 of 4 elements are not finite)
    """

    value: float
    element: tuple[int, ...]
    bad: int
    size: int

    def __str__(self) -> str:
        many = f"{self.bad} of {self.size} elements are not finite"
        return f"{self.value} (element {self.element}; {many})"


def bad_value(array: Array, excused: Any = False) -> BadValue | None:
    """Return the first NaN of an array, or else the first infinity, or None.

    Parameters
    ----------
    array : array
    excused : bool or array of bool
        Which infinities are let through; broadcast to the array's shape.

    Examples
    --------
    >>> bad_value(np.array([1.0, np.inf, np.nan]))
    BadValue(value=nan, element=(2,), bad=2, size=3)
    >>> bad_value(np.arange(3)) is None
    True
    """
    if not is_array(array) or array.dtype.kind != "f":
        return None
    host = to_host(array)
    bad = np.isnan(host) | (np.isinf(host) & ~np.asarray(excused))
    if not bad.any():
        return None
    worst = np.isnan(host) if np.isnan(host).any() else bad
    first = np.unravel_index(int(np.argmax(worst)), host.shape)
    index = tuple(int(i) for i in first)
    return BadValue(float(host[index]), index, int(bad.sum()), host.size)


def has_infinity(values: Sequence[Any]) -> bool:
    """Whether a number, or an element of an array, among the values is infinite.

    Examples
    --------
    >>> has_infinity([1.0, np.array([0.0, -np.inf])]), has_infinity([2.0, "inf"])
    (True, False)
    """
    if any(map(_is_infinite_number, values)):
        return True
    floats = (array for array in arrays_in(values) if array.dtype.kind == "f")
    return any(bool(np.isinf(to_host(array)).any()) for array in floats)


def _excused(node: Function, inputs: Sequence[Any], output: Array) -> Any:
    """Say where an infinite output comes from infinite inputs or settings.

    There it becomes finite when they do.
    """
    if node.is_loss or not has_infinity([*inputs, *_numbers(node)]):
        return False
    again = copy(node)
    vars(again).update(
        {name: 0.5 for name, value in vars(node).items() if _is_infinite_number(value)}
    )
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = to_host(as_array(again.forward(*map(_without_infinities, inputs))))
    except Exception:  # it has no answer for these: then its inputs excuse it as a whole
        return True
    return np.isfinite(found) if found.shape == output.shape else True


def _is_infinite_number(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _without_infinities(value: Any) -> Any:
    """Put a harmless number in the place of infinities: 0 and 1 are special to many operations."""
    if _is_infinite_number(value):
        return 0.5
    if not is_array(value) or value.dtype.kind != "f":
        return value
    xp = xp_of(value)
    return xp.where(xp.isinf(value), value.dtype.type(0.5), value)


def arrays_in(value: Any) -> Iterator[Array]:
    """Yield the arrays in a value, also in tuples, lists and dictionaries.

    Examples
    --------
    >>> len(list(arrays_in([np.ones(2), (np.ones(3), "x"), {"a": np.ones(1)}])))
    3
    """
    if is_array(value):
        yield value
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from arrays_in(item)


def checksum(array: Array) -> int:
    """Return a checksum of an array's values.

    Examples
    --------
    >>> checksum(np.ones(3)) == checksum(np.ones(6)[::2])
    True
    """
    return zlib.crc32(np.ascontiguousarray(to_host(array)).view(np.uint8).data)


def _numbers(node: Function) -> list[float]:
    """List the settings of an operation that are numbers, such as what masked places are set to."""
    return [value for value in vars(node).values() if isinstance(value, float)]


def _described_with_range(value: Any) -> str:
    if not is_array(value) or value.dtype.kind not in "fiu" or not value.size:
        return describe(value)
    host = to_host(value)
    return f"{describe(value)} with values from {host.min()} to {host.max()}"


# ---------------------------------------------------------------- where


def find_origin(frame: FrameType | None) -> Origin:
    """Find the innermost line outside of this package, and the layer in which it is called."""
    line = ""
    layers: list[Any] = []  # from the inside out
    while frame is not None:
        file = frame.f_code.co_filename
        owner = frame.f_locals.get("self")
        if frame.f_code.co_name == "__call__" and hasattr(owner, "named_modules"):
            layers.append(owner)
        if not line and not file.startswith(PACKAGE):
            text = linecache.getline(file, frame.f_lineno).strip()
            line = f"{file}, line {frame.f_lineno}" + (f": {text}" if text else "")
        frame = frame.f_back
    return Origin(_path(layers), line)


def _path(layers: Sequence[Any]) -> str:
    """Name the innermost layer along the calls from the outermost: ``blocks.1.feed_forward.0``."""
    if not layers:
        return ""
    calls = list(reversed(layers))
    names = [
        "|".join(_names_in(caller, called)) or type(called).__name__
        for caller, called in pairwise(calls)
        if caller is not called
    ]
    return ".".join(names) or type(calls[0]).__name__


def _names_in(caller: Any, called: Any) -> list[str]:
    """List the names that a layer has in its caller, as near to the top as there are any."""
    level: list[tuple[str, Any]] = [("", caller)]
    seen: set[int] = set()
    while level:
        below = [
            (prefix + name, child)
            for prefix, module in level
            for name, child in module.named_children()
        ]
        found = [name for name, child in below if child is called]
        if found:
            return found
        level = [(f"{name}.", child) for name, child in below if id(child) not in seen]
        seen |= {id(child) for _, child in level}
    return []


def _at(origin: Origin, how: str = "") -> str:
    layer = f"\n  in layer {origin.layer}" if origin.layer else ""
    return f"{layer}\n  {how}at {origin.line}"
