"""Checks of the lengths of sequences, and of the switches of what plans with them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IntArray", "checked_lengths", "lengths_array", "round_up", "true_or_false"]

IntArray: TypeAlias = NDArray[np.int64]


def checked_lengths(lengths: ArrayLike) -> IntArray:
    """Lengths as an int64 array, after a check that they are whole numbers from 1.

    Examples
    --------
    >>> checked_lengths([3, 0])
    Traceback (most recent call last):
        ...
    ValueError: lengths must be at least 1, but 1 of 2 are not, the first at index 1: 0
    """
    array = lengths_array(lengths)
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:
        raise TypeError(f"lengths must be integers that fit int64, but got {array.dtype}")
    short = np.flatnonzero(array < 1)
    if short.size:
        raise ValueError(
            f"lengths must be at least 1, but {short.size} of {array.size} are not, the first at "
            f"index {short[0]}: {array[short[0]]}"
        )
    return array.astype(np.int64)  # a copy: what the caller does to the array changes no plan


def lengths_array(lengths: ArrayLike) -> NDArray[Any]:
    """Lengths as an array; a frequent mistake, sequences in their place, gets a clear error.

    Examples
    --------
    >>> lengths_array([[1, 2, 3], [4]])
    Traceback (most recent call last):
        ...
    ValueError: lengths must be 1-D, but got sequences; give lengths: [len(s) for s in sequences]
    """
    try:
        array = np.asarray(lengths)
    except ValueError:  # sequences of several lengths
        array = np.array([""])
    if array.dtype.kind in "US":
        raise ValueError(
            "lengths must be 1-D, but got sequences; give lengths: [len(s) for s in sequences]"
        )
    if array.ndim != 1 or array.size == 0:
        advice = "; give lengths: [len(s) for s in sequences]" if array.ndim > 1 else ""
        raise ValueError(
            f"lengths must be 1-D and not empty, but got the shape {array.shape}{advice}"
        )
    return array


def round_up(lengths: IntArray, multiple_of: int) -> IntArray:
    """Lengths rounded up to a multiple."""
    return -(-lengths // multiple_of) * multiple_of


def true_or_false(name: str, value: object) -> bool:
    """A switch as a `bool`; NumPy's booleans are taken too.

    Examples
    --------
    >>> true_or_false("drop_last", np.True_)
    True
    >>> true_or_false("drop_last", 1)
    Traceback (most recent call last):
        ...
    ValueError: drop_last must be True or False, but got 1
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, but got {value!r}")
    return bool(value)
