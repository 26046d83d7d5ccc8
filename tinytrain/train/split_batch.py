"""Cutting a batch into micro-batches: the rows of every array of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.checks import whole_number
from tinytrain.creation import from_numpy
from tinytrain.data import IGNORE_INDEX, PackedBatch
from tinytrain.tensor import Tensor
from tinytrain.train.host import on_host


def count_rows(batch: Any) -> int:
    """Return how many rows a batch has: the length of the first axis of all its arrays.

    Parameters
    ----------
    batch : nested tuples, lists, mappings and data classes of arrays or tensors

    Raises
    ------
    ValueError
        The arrays differ in their number of rows, there are no arrays, or one has no axis.

    Examples
    --------
    >>> count_rows((np.zeros((4, 2)), {"classes": np.zeros(4)}))
    4
    """
    if isinstance(batch, PackedBatch):
        return len(batch.input_ids)
    lengths: dict[str, int] = {}
    for path, value in _leaves(batch, "batch"):
        if _is_array(value):
            if not value.ndim:
                raise ValueError(f"{path} has no axis, so it cannot be cut into rows")
            lengths[path] = len(value)
    if not lengths:
        raise ValueError(f"a {type(batch).__name__} without arrays has no rows to cut")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise ValueError(f"the arrays of a batch must have the same number of rows: {listed}")
    return next(iter(lengths.values()))


def split_batch(batch: Any, rows: int) -> list[Any]:
    """Cut a batch into pieces of at most so many rows.

    Arrays are cut along their first axis, into views. Lists of one entry per row are cut too; text,
    None and flags are given to every piece. A `PackedBatch` gets its cumulative lengths and its
    number of supervised positions anew.

    Parameters
    ----------
    batch : nested tuples, lists, mappings and data classes of arrays or tensors
    rows : int
        At least 1. The last piece may have fewer.

    Returns
    -------
    list
        Of the batch's type; the batch itself if it is no longer than `rows`.

    Raises
    ------
    ValueError
        The batch cannot be cut: see `count_rows`; or it holds a number, which may be a count that
        would be wrong for a piece.

    Examples
    --------
    >>> for piece in split_batch({"x": np.arange(5), "split": "train"}, 2):
    ...     print(piece)
    {'x': array([0, 1]), 'split': 'train'}
    {'x': array([2, 3]), 'split': 'train'}
    {'x': array([4]), 'split': 'train'}
    """
    rows = whole_number("rows", rows)
    total = count_rows(batch)
    if total <= rows:
        return [batch]
    return _pieces(batch, [*range(0, total, rows), total])


def split_evenly(batch: Any, pieces: int) -> list[Any]:
    """Cut a batch into so many pieces, whose numbers of rows differ by one at most.

    Otherwise it does what `split_batch` does.

    Raises
    ------
    ValueError
        There are fewer rows than pieces, or the batch cannot be cut.

    Examples
    --------
    >>> split_evenly(np.arange(5), 3)
    [array([0]), array([1, 2]), array([3, 4])]
    """
    whole_number("pieces", pieces)
    total = count_rows(batch)
    if total < pieces:
        raise ValueError(f"a batch of {total} rows cannot be cut into {pieces} pieces")
    return _pieces(batch, [number * total // pieces for number in range(pieces + 1)])


def _pieces(batch: Any, bounds: Sequence[int]) -> list[Any]:
    cuts = [slice(start, stop) for start, stop in pairwise(bounds)]
    if isinstance(batch, PackedBatch):
        return _split_packed(batch, cuts)
    return [_cut(batch, cut, bounds[-1], "batch") for cut in cuts]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor) or backend.is_array(value)


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """Return the named parts of a container, and None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple | list):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    parts = _parts(value)
    if parts is None:
        yield path, value
        return
    for name, part in parts.items():
        yield from _leaves(part, f"{path}[{name!r}]")


def _cut(value: Any, rows: slice, total: int, path: str) -> Any:
    """Take some rows of a part of a batch."""
    if _is_array(value):
        return value[rows]
    if isinstance(value, str | bytes | bool) or value is None:
        return value
    parts = _parts(value)
    if parts is None:
        raise ValueError(
            f"{path} is {value!r:.60}, and nothing says what a piece of the batch should have in "
            "its place: make it an array with an entry per row, or give a split function"
        )
    if isinstance(value, list | tuple) and not any(_is_array(v) for _, v in _leaves(value, path)):
        if len(value) == total:
            return value[rows]
        raise ValueError(f"{path} has {len(value)} entries, the batch has {total} rows")
    cut = {name: _cut(part, rows, total, f"{path}[{name!r}]") for name, part in parts.items()}
    if isinstance(value, Mapping):
        return type(value)(cut)  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*cut.values())
    if isinstance(value, tuple | list):
        return type(value)(cut.values())
    return replace(value, **cut)


def _split_packed(batch: PackedBatch, cuts: Sequence[slice]) -> list[PackedBatch]:
    """Cut packed rows; a sequence lies in one row, so none is cut."""
    segments, targets = on_host(batch.segment_ids), on_host(batch.targets)
    lengths = np.diff(on_host(batch.cu_seqlens))
    supervised = targets != IGNORE_INDEX
    if supervised.sum() != batch.num_supervised:
        raise ValueError(
            f"the packed batch says that {batch.num_supervised} positions are supervised, and "
            f"{int(supervised.sum())} targets differ from {IGNORE_INDEX}: it cannot be cut"
        )
    ends = np.cumsum(segments.max(axis=1, initial=0))  # of the sequences, row by row
    if int(ends[-1]) != len(lengths):
        raise ValueError(
            f"the packed batch has {len(lengths)} lengths for {int(ends[-1])} sequences: it cannot "
            "be cut"
        )
    firsts = np.concatenate(([0], ends))
    pieces = []
    for cut in cuts:
        own = lengths[firsts[cut.start] : firsts[min(cut.stop, len(segments))]]
        bounds = np.concatenate(([0], np.cumsum(own))).astype(np.int32)
        own_bounds: Any = from_numpy(bounds) if isinstance(batch.cu_seqlens, Tensor) else bounds
        pieces.append(
            PackedBatch(
                input_ids=batch.input_ids[cut],
                targets=batch.targets[cut],
                segment_ids=batch.segment_ids[cut],
                positions=batch.positions[cut],
                cu_seqlens=own_bounds,
                num_supervised=int(supervised[cut].sum()),
            )
        )
    return pieces
