"""Nested states as JSON and arrays: what a checkpoint file can hold, and back."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARKS = ("__array__", "__items__", "__number__")


def pack(state: Any, prefix: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Replace the arrays in a nested state by their names, and put them into `arrays`.

    `unpack` is the inverse, but for tuples, which come back as lists, and NumPy's numbers, which
    come back as Python's. Dictionary keys that are
    whole numbers survive the way through JSON, and so do NaN and infinity.

    Raises
    ------
    TypeError
        A key of a dictionary is neither text nor a whole number.
    ValueError
        Two arrays would get one name, or a key is one that this function uses as a mark.

    Examples
    --------
    >>> arrays = {}
    >>> packed = pack({"step": 3, "momentum": np.zeros(2)}, "optimizer", arrays)
    >>> packed, list(arrays)
    ({'step': 3, 'momentum': {'__array__': 'optimizer/momentum'}}, ['optimizer/momentum'])
    >>> unpack(packed, arrays)
    {'step': 3, 'momentum': array([0., 0.])}
    """
    if isinstance(state, np.ndarray):
        if prefix in arrays:
            raise ValueError(f"two arrays of the state have the name {prefix!r}")
        arrays[prefix] = state
        return {"__array__": prefix}
    if isinstance(state, np.generic):
        state = state.item()
    if isinstance(state, float) and not math.isfinite(state):
        return {"__number__": str(state)}  # JSON has no such number
    if isinstance(state, Mapping):
        return _pack_mapping(state, prefix, arrays)
    if isinstance(state, list | tuple):
        return [pack(value, f"{prefix}/{i}", arrays) for i, value in enumerate(state)]
    return state


def _pack_mapping(state: Mapping[Any, Any], prefix: str, arrays: dict[str, NDArray[Any]]) -> Any:
    for key in state:
        if not isinstance(key, int | str):
            raise TypeError(
                f"the state {prefix} has the key {key!r}; a checkpoint's dictionaries have text "
                "or whole numbers as keys"
            )
        if key in _MARKS:
            raise ValueError(f"the state {prefix} has the key {key!r}, which checkpoints use")
    packed = {key: pack(value, f"{prefix}/{key}", arrays) for key, value in state.items()}
    if any(isinstance(key, int) for key in state):
        return {"__items__": [[key, value] for key, value in packed.items()]}
    return packed


def unpack(state: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Put the arrays back that `pack` took out of a nested state.

    Raises
    ------
    LookupError, TypeError, ValueError
        The state is not one that `pack` returned.
    """
    if isinstance(state, Mapping):
        if "__array__" in state:
            return arrays[state["__array__"]]
        if "__number__" in state:
            return float(state["__number__"])
        if "__items__" in state:
            return {key: unpack(value, arrays) for key, value in state["__items__"]}
        return {key: unpack(value, arrays) for key, value in state.items()}
    if isinstance(state, list):
        return [unpack(value, arrays) for value in state]
    return state
