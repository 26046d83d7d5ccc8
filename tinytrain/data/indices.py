"""Indices of samples are whole numbers: 1.7 is not rounded to row 1, and True is no row 1."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["index_array", "refuse_numbers_that_are_no_indices"]

_NO_INDICES = (bool, np.bool_, float, np.floating, complex, np.complexfloating)


def index_array(indices: Sequence[Any] | NDArray[Any], owner: object) -> NDArray[np.int64]:
    """Indices as an int64 array.

    Parameters
    ----------
    indices
        Integers, in a sequence or an array.
    owner
        Whose indices they are, for the message: a data set.

    Raises
    ------
    TypeError
        If one of them is no integer. A bool is none here: it may be part of a mask.

    Examples
    --------
    >>> index_array([3, np.int32(0)], owner=None)
    array([3, 0])
    """
    if isinstance(indices, np.ndarray) and np.can_cast(indices.dtype, np.int64):
        if indices.dtype != bool:
            return indices.astype(np.int64)
    elif not isinstance(indices, np.ndarray) and set(map(type, indices)) == {int}:
        return np.array(indices, dtype=np.int64)
    refuse_numbers_that_are_no_indices(indices, owner)
    try:
        return np.array([operator.index(index) for index in indices], dtype=np.int64)
    except TypeError:
        raise _no_indices(indices, owner) from None


def refuse_numbers_that_are_no_indices(indices: Iterable[Any], owner: object) -> None:
    """Raise a TypeError if there is a bool or a fraction among indices; a key of a mapping may be.

    Examples
    --------
    >>> refuse_numbers_that_are_no_indices([0, "key"], owner=None)
    """
    if any(issubclass(kind, _NO_INDICES) for kind in set(map(type, indices))):
        raise _no_indices(indices, owner)


def _no_indices(indices: Iterable[Any], owner: object) -> TypeError:
    wrong = next(
        index
        for index in indices
        if isinstance(index, _NO_INDICES) or not hasattr(index, "__index__")
    )
    return TypeError(
        f"the indices of a {type(owner).__name__} must be integers, but the sampler gave {wrong!r} "
        f"(a {type(wrong).__name__}; for a mask use np.flatnonzero(mask))"
    )
