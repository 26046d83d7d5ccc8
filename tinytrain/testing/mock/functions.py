"""CuPy's functions by name, as far as CuPy has them: each computes with NumPy, and is counted."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.testing.mock import ledger
from tinytrain.testing.mock.array import from_host, ndarray, run
from tinytrain.testing.surface import surface

SYNCHRONIZING = frozenset(
    (
        *("nonzero", "flatnonzero", "argwhere", "unique", "isin", "in1d", "bincount", "place"),
        *("extract", "compress", "histogram", "array_equal", "allclose"),
    )
)
"""Functions of CuPy for which the host must wait, because it needs to know a size or a truth."""

NO_LAUNCH = frozenset(("empty", "empty_like", "ndim", "shape", "size", "result_type", "can_cast"))
"""Functions that start no kernel."""

DOORS = frozenset(("asarray", "array", "ascontiguousarray", "asfortranarray", "asanyarray"))
"""Functions that take host values."""


def function_named(name: str) -> Any:
    """Return what ``cupy.<name>`` stands for: a function, a ufunc, a dtype or a number.

    Raises
    ------
    AttributeError
        CuPy has no such name.
    """
    known = surface()
    if name == "asnumpy":
        return to_host
    if known.is_constant(name):
        return getattr(np, name)
    if known.ufunc(name) is not None:
        return Ufunc(name)
    if known.function(name) is not None and hasattr(np, name):
        return _function(name)
    raise AttributeError(f"CuPy has no attribute {name!r}, or none that the mock GPU knows")


def _function(name: str) -> Callable[..., Any]:
    signature = surface().function(name)
    assert signature is not None
    compute = getattr(np, name)

    def function(*args: Any, **kwargs: Any) -> Any:
        problem = signature.check(len(args), kwargs)
        if problem:
            raise TypeError(problem)
        if name in DOORS and args and not _on_device(args[0]):
            return from_host(*args, **kwargs)
        if name in SYNCHRONIZING or (name == "where" and len(args) == 1):
            ledger.count_wait(f"xp.{name}")
        if name in NO_LAUNCH:
            with ledger.uncounted():
                return run(name, compute, args, kwargs)
        return run(name, compute, args, kwargs)

    return function


def _on_device(value: Any) -> bool:
    """Whether a value is on the device, alone or in a list, as ``xp.array([x, y])`` has it."""
    if isinstance(value, list | tuple):
        return any(map(_on_device, value))
    return isinstance(value, ndarray)


class Ufunc:
    """One of CuPy's universal functions: no ``where=``, and few of NumPy's methods.

    Examples
    --------
    >>> from tinytrain.testing import mock
    >>> mock.add.at(mock.zeros(3, dtype="float32"), mock.asarray([0, 0]), 1.0)
    >>> mock.multiply.at
    Traceback (most recent call last):
        ...
    AttributeError: cupy.multiply has no method 'at'
    """

    def __init__(self, name: str) -> None:
        self.name = name
        known = surface().ufunc(name)
        assert known is not None
        self._known = known

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, as far as CuPy takes these arguments."""
        problem = self._known.signature.check(len(args), kwargs)
        if problem:
            raise TypeError(problem)
        if any(isinstance(value, list | tuple) for value in args):
            raise TypeError(f"cupy.{self.name} takes device arrays and numbers, not lists")
        return run(self.name, getattr(np, self.name), args, kwargs)

    def __getattr__(self, method: str) -> Any:
        signature = self._known.methods.get(method)
        if signature is None:
            raise AttributeError(f"cupy.{self.name} has no method {method!r}")
        label = f"{self.name}.{method}"
        compute = getattr(getattr(np, self.name), method)

        def function(*args: Any, **kwargs: Any) -> Any:
            problem = signature.check(len(args), kwargs)
            if problem:
                raise TypeError(problem)
            result = run(label, compute, args, kwargs)
            if method == "at":
                ledger.count_launch(label)  # it writes into its argument and returns nothing
            return result

        return function


def to_host(array: Any) -> NDArray[Any]:
    """Copy a device array to the host, as ``cupy.asnumpy`` does; host arrays pass."""
    return array.get() if isinstance(array, ndarray) else np.asarray(array)


class Stream:
    """The one queue of work that the mock GPU has; it is always empty."""

    def synchronize(self) -> None:
        """Wait, on purpose, for nothing."""
        ledger.count_wait()


_stream = Stream()
cuda = SimpleNamespace(get_current_stream=lambda: _stream)
"""What tinytrain uses of ``cupy.cuda``."""
