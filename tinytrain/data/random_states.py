"""The random states that fetching a sample may move on, found and put back."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinytrain.generator import Generator, default_generator

__all__ = ["random_states_kept"]

# A data set keeps its generators near its top; what lies deeper, or in long lists, are samples.
_DEPTH = 6
_LONGEST = 100
_RANDOM = (np.random.Generator, np.random.RandomState, random.Random, Generator)


@contextmanager
def random_states_kept(*owners: object) -> Iterator[None]:
    """Put back, after the block, the global random states and those of some objects.

    The global ones are the default generator's, NumPy's and Python's. Of the objects, generators
    of these three kinds are found in attributes, also of objects inside (the data set of a
    `Subset`), six levels deep, and in lists, tuples and dictionaries of up to 100 items.

    Examples
    --------
    >>> from tinytrain.data import Subset, TensorDataset
    >>> data = TensorDataset(np.zeros(3))
    >>> data.rng = np.random.default_rng(0)
    >>> with random_states_kept(Subset(data, [1])):
    ...     inside = data.rng.random()
    >>> data.rng.random() == inside
    True
    """
    found: dict[int, Any] = {id(default_generator()): default_generator()}
    for owner in owners:
        _collect(owner, found, set(), _DEPTH)
    restore = [_restorer(each) for each in found.values()]
    python = random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        for put_back in restore:
            put_back()
        np.random.set_state(numpy)  # noqa: NPY002
        random.setstate(python)


def _collect(value: Any, found: dict[int, Any], seen: set[int], depth: int) -> None:
    if isinstance(value, _RANDOM):
        found[id(value)] = value
        return
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    for inner in _parts(value):
        _collect(inner, found, seen, depth - 1)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, type | ModuleType | FunctionType | np.ndarray | str | bytes):
        return []
    if isinstance(value, MethodType):
        return [value.__self__]
    parts: list[Any] = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict) and len(value) <= _LONGEST:
        parts += value.values()
    elif isinstance(value, list | tuple) and len(value) <= _LONGEST:
        parts += value
    return parts


def _restorer(each: Any) -> Callable[[], None]:
    """A function that sets a generator to its present state."""
    if isinstance(each, np.random.Generator):
        bits, state = each.bit_generator, copy.deepcopy(each.bit_generator.state)
        return lambda: setattr(bits, "state", state)
    if isinstance(each, np.random.RandomState):
        kept = each.get_state(legacy=False)
        return lambda: each.set_state(kept)
    if isinstance(each, random.Random):
        python = each.getstate()
        return lambda: each.setstate(python)
    own = each.get_state()
    return lambda: each.set_state(own)
