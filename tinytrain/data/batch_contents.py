"""What a batch holds: its arrays by name, its bytes, its padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["BatchPart", "batch_parts", "tokens_and_positions"]

_MASK_NAMES = ("attention_mask", "mask", "padding_mask")


@dataclass(frozen=True)
class BatchPart:
    """One array of a batch, or one value that is none.

    Attributes
    ----------
    name : str
        Where it is in the batch, as one would write it: ``[0]``, ``['image']``, ``.targets``.
    kind : str
        The dtype; the type of what is no array.
    shape : tuple of int, or None
    nbytes : int
        Of an array; 0 otherwise.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    nbytes: int

    def __str__(self) -> str:
        return self.kind if self.shape is None else f"{self.kind} {self.shape}"


def batch_parts(batch: Any) -> tuple[BatchPart, ...]:
    """List what a nested batch holds: of tuples, lists, mappings, data classes and arrays.

    Examples
    --------
    >>> for part in batch_parts({"image": np.zeros((2, 3), np.float32), "names": ["a", "b"]}):
    ...     print(part.name, part)
    ['image'] float32 (2, 3)
    ['names'][0] str
    ['names'][1] str
    """
    return tuple(_part(name, value) for name, value in _leaves(batch, ""))


def tokens_and_positions(batch: Any, padding_value: int | None = None) -> tuple[int, int] | None:
    """Count the tokens of a batch, and all its positions; the rest is padding.

    What is padding is told by ``segment_ids`` (0 there) in a packed or padded batch of this
    package, by a mask (0 there) called ``mask``, ``attention_mask`` or ``padding_mask``, or else
    by `padding_value` in the first array of integers with two or more axes.

    Returns
    -------
    tuple of int, or None
        None if nothing tells what is padding.

    Raises
    ------
    ValueError
        If only `padding_value` could tell, and no array can hold it.

    Examples
    --------
    >>> tokens_and_positions(np.array([[5, 6, 7], [8, 0, 0]]), padding_value=0)
    (4, 6)
    """
    leaves = list(_leaves(batch, ""))
    for name, value in leaves:
        last = name.rpartition(".")[2].rpartition("[")[2].strip("'\"]")
        if last in ("segment_ids", *_MASK_NAMES) and isinstance(value, np.ndarray):
            return int(np.count_nonzero(value)), value.size
    if padding_value is None:
        return None
    for _, value in leaves:
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim > 1:
            return int(np.count_nonzero(value != padding_value)), value.size
    raise ValueError(
        f"padding_value={padding_value} was given, but the batch has no array of integers with "
        f"two or more axes, only {[f'{part.name} {part}' for part in batch_parts(batch)]}"
    )


def _part(name: str, value: Any) -> BatchPart:
    if isinstance(value, np.ndarray):
        return BatchPart(name, str(value.dtype), value.shape, value.nbytes)
    return BatchPart(name, type(value).__name__, None, 0)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}[{key!r}]")
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for field in value._fields:
            yield from _leaves(getattr(value, field), f"{name}.{field}")
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{name}[{position}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _leaves(getattr(value, each.name), f"{name}.{each.name}")
    else:
        yield name or "batch", value
