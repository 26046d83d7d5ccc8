"""One row of the table of sample inputs, the builders of its arrays, and what its tests share."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinytrain as tt
from tinytrain.autograd import Function
from tinytrain.testing import passes
from tinytrain.testing.passes import leaves, upstream_of

__all__ = ["SAME", "Sample", "about", "assert_same", "coin", "integers", "narrowed", "normal"]
__all__ += ["positive", "run", "sample", "tensors_of", "upstream_of"]

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

    @property
    def is_sensitive(self):
        """Whether rounding the input to float32 changes the result."""
        return "large" in self.label or "far" in self.label

    @property
    def call(self):
        """The function of tensors alone, as the checks of `tinytrain.testing` want it."""
        return lambda *tensors: self.function(tt, *tensors)

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


# ---------------------------------------------------------------- what the tests do with a row


def narrowed(arrays):
    """The arrays with float64 turned into float32."""
    return [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]


def tensors_of(sample, arrays=None):
    """Make tensors of the sample's arrays, or of other ones; those of floats require gradients."""
    return leaves(sample.arrays if arrays is None else arrays)


@contextmanager
def about(sample):
    """Let an error in the block say which sample it came from, where one test takes several."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the sample {sample}")
        raise


def run(sample, arrays=None):
    """Return the outputs and the gradients of one forward and backward pass, in host memory."""
    return passes.run(sample.call, sample.arrays if arrays is None else arrays)


def assert_same(one, other, rtol=1e-12, atol=1e-12):
    """Compare two results of `run`, dtypes too."""
    assert one.gradients.keys() == other.gradients.keys()
    passes.compare(one, other, "they must be the same", rtol, atol)
