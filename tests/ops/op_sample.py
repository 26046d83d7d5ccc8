"""One row of the table of sample inputs, and the builders of arrays that the table uses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.autograd import Function

_random = np.random.default_rng(20)


@dataclass(frozen=True, eq=False)
class Sample:
    """A call that runs one operation.

    `function` is called with a library (tinytrain or torch) and one tensor per array. Arrays of
    float64 are differentiated, those of integers and booleans are not. `oracle` says the same to
    torch, where another word is needed; None where torch has no counterpart.
    """

    operation: type[Function]
    label: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    oracle: Callable[..., Any] | None

    def __str__(self):
        return f"{self.operation.__name__}-{self.label}"


SAME = object()


def sample(operation, label, function, *arrays, oracle=SAME):
    arrays = tuple(map(np.asarray, arrays))  # arithmetic in the table turns 0-d arrays into numbers
    return Sample(operation, label, function, arrays, function if oracle is SAME else oracle)


def normal(*shape):
    return np.asarray(_random.standard_normal(shape))


def positive(*shape):
    return np.asarray(_random.uniform(0.5, 2.0, shape))


def integers(*values):
    return np.array(values[0] if len(values) == 1 else values, dtype=np.int64)


def coin(*shape):
    """Booleans of which, in more than one element, some are True and some False."""
    flat = np.arange(np.prod(shape, dtype=int)) % 3 == 1
    return _random.permutation(flat).reshape(shape)
