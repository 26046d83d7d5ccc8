"""Holding the arguments of a call against what CuPy takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinytrain.testing.mock import ledger
from tinytrain.testing.mock.offered import AT_DTYPES, SORT_KINDS
from tinytrain.testing.surface import Signature

ARRAY_PARAMETERS = frozenset(
    ("a", "x", "x1", "x2", "arr", "condition", "y", "b", "v", "array", "m", "dst", "src", "ary")
)
"""What CuPy calls parameters that are device arrays or numbers, never lists."""


def bound(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], is_method: bool = False
) -> tuple[list[Any], dict[str, Any]]:
    """Check a call, and return its arguments with ``out`` given by name, if it is given.

    Parameters
    ----------
    signature : Signature
    args, kwargs
        Of a method without the array itself.
    is_method : bool

    Raises
    ------
    TypeError, ValueError
        CuPy does not take these arguments.
    """
    problem = signature.check(len(args), kwargs)
    if problem:
        raise TypeError(problem)
    positional, named = list(args), dict(kwargs)
    names = signature.positional[: len(positional)]
    if "out" in names:
        place = names.index("out")
        if place != len(positional) - 1:
            raise TypeError(f"{signature.name}: give what comes after 'out' by name")
        named["out"] = positional.pop()
    for name, value in (*zip(names, positional, strict=False), *named.items()):
        _check_value(signature.name, name, value)
    if "out" in named and named["out"] is None:
        del named["out"]
    return positional, named


def _check_value(function: str, name: str, value: Any) -> None:
    if name == "indices" and isinstance(value, list | tuple):
        _count_index_lists(function, value)
    elif name in ARRAY_PARAMETERS and isinstance(value, list | tuple):
        refuse_list(function, value)
    elif name == "kind" and value not in SORT_KINDS:
        raise ValueError(f"{function} knows only the kind 'stable', not {value!r}")
    elif name == "mode" and value == "median":
        raise ValueError(f"{function} has no mode 'median'")


def refuse_list(function: str, value: Any) -> None:
    """Raise the error of a list where only device arrays and numbers can stand."""
    raise TypeError(f"{function} takes device arrays and numbers, not a {type(value).__name__}")


def _count_index_lists(function: str, indices: Any) -> None:
    """Count what is copied to the device: each list of numbers among the indices."""
    parts = indices if isinstance(indices, tuple) else (indices,)
    for part in parts:
        if isinstance(part, list | np.ndarray):
            ledger.count_copy_to_device(np.asarray(part).nbytes, f"{function} with an index list")


def check_at(name: str, dtype: np.dtype[Any]) -> None:
    """Raise where the atomic operation behind ``ufunc.at`` does not exist for a dtype.

    Examples
    --------
    >>> check_at("subtract", np.dtype("float32"))
    Traceback (most recent call last):
        ...
    TypeError: cupy.subtract.at has no float32; it has int32, uint32
    """
    known = AT_DTYPES.get(name)
    if known is not None and dtype.name not in known:
        raise TypeError(f"cupy.{name}.at has no {dtype.name}; it has {', '.join(known)}")


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise where the GPU has no such dtype.

    Examples
    --------
    >>> check_dtype(np.dtype("U3"))
    Traceback (most recent call last):
        ...
    ValueError: a GPU array cannot hold <U3
    """
    widest = 16 if dtype.kind == "c" else 8
    if dtype.kind not in "biufc" or dtype.itemsize > widest:
        raise ValueError(f"a GPU array cannot hold {dtype}")
