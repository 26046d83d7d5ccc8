"""CuPy's functions by name, as far as CuPy has them: each computes with NumPy, and is counted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.testing.mock import ledger
from tinytrain.testing.mock.arguments import bound, check_at, refuse_list
from tinytrain.testing.mock.device_array import from_host, ndarray, run
from tinytrain.testing.mock.offered import (
    DOORS,
    MAKING,
    NO_LAUNCH,
    OF_SEVERAL,
    OFFERED,
    WAITING,
)
from tinytrain.testing.surface import surface


def function_named(name: str) -> Any:
    """Return what ``cupy.<name>`` stands for: a function, a ufunc, a dtype or a number.

    Raises
    ------
    AttributeError
        CuPy has no such name, or the mock GPU does not offer it; see `offered`.
    """
    known = surface()
    if name == "asnumpy":
        return to_host
    if known.is_constant(name):
        return getattr(np, name)
    if known.ufunc(name) is not None:
        return Ufunc(name)
    if name in OFFERED and known.function(name) is not None:
        return _function(name)
    if known.knows(name):
        raise AttributeError(
            f"the mock GPU does not offer cupy.{name}: whether it waits for the GPU is not known "
            "here (tinytrain/testing/mock/offered.py lists what is offered)"
        )
    raise AttributeError(f"CuPy has no attribute {name!r}")


def _function(name: str) -> Callable[..., Any]:
    signature = surface().function(name)
    assert signature is not None
    compute = getattr(np, name)

    def function(*args: Any, **kwargs: Any) -> Any:
        if name in DOORS and args and not _on_device(args[0]):
            return from_host(*args, **kwargs)
        positional, named = bound(signature, args, kwargs)
        if name in OF_SEVERAL:
            _check_all_on_device(name, positional)
        if name in WAITING or (name == "where" and len(args) == 1):
            ledger.count_wait(f"xp.{name}")
        if (name in MAKING or name == "repeat") and any(map(_on_device, positional[1:])):
            ledger.count_wait(f"xp.{name} with a size from the device")
        if name in NO_LAUNCH:
            with ledger.uncounted():
                return run(name, compute, positional, named)
        return run(name, compute, positional, named)

    return function


def _check_all_on_device(name: str, values: Sequence[Any]) -> None:
    """Refuse numbers and host arrays in the sequence that a function puts together."""
    for value in values:
        if isinstance(value, list | tuple) and not all(map(_on_device, value)):
            raise TypeError(f"cupy.{name} takes device arrays, not {value!r:.80}")


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
        positional, named = bound(self._known.signature, args, kwargs)
        for value in positional:
            if isinstance(value, list | tuple):
                refuse_list(f"cupy.{self.name}", value)
        return run(self.name, getattr(np, self.name), positional, named)

    def __getattr__(self, method: str) -> Any:
        signature = self._known.methods.get(method)
        if signature is None:
            raise AttributeError(f"cupy.{self.name} has no method {method!r}")
        label = f"{self.name}.{method}"
        compute = getattr(getattr(np, self.name), method)

        def function(*args: Any, **kwargs: Any) -> Any:
            positional, named = bound(signature, args, kwargs)
            if method == "at" and isinstance(positional[0], ndarray):
                check_at(self.name, positional[0].dtype)
                _count_masks(positional[1])
            return run(label, compute, positional, named)

        return function


def _count_masks(index: Any) -> None:
    """Count the waits for the size of boolean masks in an index."""
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, ndarray) and part.dtype == np.bool_:
            ledger.count_wait("a boolean mask as an index")


def to_host(array: Any) -> NDArray[Any]:
    """Copy a device array to the host, as ``cupy.asnumpy`` does; host arrays pass."""
    return array.get() if isinstance(array, ndarray) else np.asarray(array)
