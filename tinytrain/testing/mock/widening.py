"""Keeping float64 off the mock GPU, where it is nearly always an accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_float64_allowed = [False]  # a stack: the innermost block decides


@contextmanager
def allow_float64(allowed: bool = True) -> Iterator[None]:
    """Let float64 arrays onto the mock GPU in the block.

    Elsewhere they are refused unless a dtype of float64 was asked for: they are nearly always an
    accident, and consumer GPUs compute with them 32 to 64 times slower than with float32.

    Examples
    --------
    >>> from tinytrain.testing import mock
    >>> with allow_float64():
    ...     mock.asarray(np.zeros(3)).dtype
    dtype('float64')
    """
    _float64_allowed.append(allowed)
    try:
        yield
    finally:
        _float64_allowed.pop()


def names_float64(value: Any) -> bool:
    """Whether an argument is a dtype of float64 (Python's `float` counts as an accident)."""
    if isinstance(value, str):
        return value in ("float64", "f8", "d")
    return value is np.float64 or (isinstance(value, np.dtype) and value == np.float64)


def check_float64(name: str, inputs: list[Any], outputs: list[Any], asked: bool) -> None:
    """Refuse a float64 result that neither an input nor an argument asked for."""
    if asked or _float64_allowed[-1] or any(given.dtype == np.float64 for given in inputs):
        return
    if any(getattr(value, "dtype", None) == np.float64 for value in outputs):
        raise TypeError(
            f"{name} would make a float64 array on the GPU, which nobody asked for: give a dtype, "
            "use Python numbers (math.sqrt, not np.sqrt), convert with .astype('float32'), or "
            "allow it with tinytrain.testing.mock.allow_float64()"
        )
