"""What is checked before the state of a sampler is loaded: its form, and the sampler's settings."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tinytrain.generator import Generator

__all__ = ["check_generator_state", "check_sampler_state", "digest", "sampler_settings"]


def check_generator_state(
    sampler: object, generator: Generator | None, state: dict[str, Any]
) -> None:
    """Raise the ValueError of `load_generator_state`, but load nothing."""
    if generator is None:
        raise ValueError(
            f"a {type(sampler).__name__} without a generator has no state to restore; "
            "give it generator=..."
        )
    if not isinstance(state, dict) or set(state) != {"generator"}:
        raise ValueError(
            f"not the state of a {type(sampler).__name__}: expected a dictionary with the key "
            f"'generator', but got {state!r}"
        )
    generator.check_state(state["generator"])


def check_sampler_state(sampler: object, state: dict[str, Any]) -> None:
    """`sampler.check_state_dict(state)`, where the sampler has one and there is a state."""
    check = getattr(sampler, "check_state_dict", None)
    if state and check is not None:
        check(state)


def sampler_settings(sampler: object) -> dict[str, Any]:
    """`sampler.order_settings()`, or an empty dictionary if the sampler names none."""
    offer = getattr(sampler, "order_settings", None)
    return {} if offer is None else cast("dict[str, Any]", offer())


def digest(values: Sequence[Any] | NDArray[Any]) -> int | None:
    """A checksum of numbers or strings, the same for a list and an array; None of other things.

    Examples
    --------
    >>> digest([3, 1, 2]) == digest(np.array([3, 1, 2], dtype=np.int32)) != digest([1, 2, 3])
    True
    """
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):  # of ragged items, or too large: no numbers of an array
        return None
    if array.dtype.kind in "biu":
        array = array.astype("<i8")
    elif array.dtype.kind == "f":
        array = array.astype("<f8") + 0.0  # which makes 0.0 of -0.0
    elif array.dtype.kind in "US":
        return zlib.crc32("\0".join(array.astype(str).ravel().tolist()).encode())
    else:
        return None
    return zlib.crc32(np.ascontiguousarray(array).tobytes())
