"""Padding: one sequence per row, every row as wide as the longest.

`pad_collate` is for sequences of tokens, whose targets are the next tokens; `pad_sequences` for
sequences of anything else: samples of a signal, frames of features, a text to classify.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.cutting import Tokens, as_tokens, split_sequences
from tinytrain.data.length_checks import round_up
from tinytrain.data.packed import IGNORE_INDEX, PackedBatch, fill_rows

__all__ = ["PaddedBatch", "pad_collate", "pad_sequences"]


def pad_collate(
    sequences: Sequence[Tokens],
    pad_id: int = 0,
    ignore_index: int = IGNORE_INDEX,
    *,
    side: str = "right",
    multiple_of: int = 1,
    max_length: int | None = None,
    too_long: str = "error",
) -> PackedBatch:
    """Pad sequences of tokens to the longest: a `collate_fn` for a data set of sequences.

    The result has the fields of a packed batch, with one segment per row, so that a model and a
    loss that understand one understand the other. ``batch.mask`` says where there are tokens, and
    ``batch.lengths`` how many each row has.

    Parameters
    ----------
    sequences
        The tokens of every sequence, 1-D integers, not empty.
    pad_id
        The token at padding, from 0.
    ignore_index
        The target at padding and at the last token of a sequence. A token of this number is no
        target either, and not counted in `num_supervised`.
    side
        Where the padding is: ``"right"`` of the tokens or ``"left"`` (for generation, where all
        rows should end together). Positions count from the first token either way.
    multiple_of
        Rows are as wide as the longest sequence, rounded up to a multiple of this.
    max_length
        The most tokens of a row, a multiple of `multiple_of`; None means no limit.
    too_long
        What to do with a longer sequence. ``"error"``: refuse. ``"truncate"``: keep its first
        `max_length` tokens. ``"split"``: cut it into several rows, by `split_sequences`, without
        losing a target.

    Raises
    ------
    ValueError
        If there are no sequences, one is empty, not 1-D, has negative tokens or is too long, or a
        setting is invalid.
    TypeError
        If a sequence does not hold integers.

    Examples
    --------
    >>> import numpy as np
    >>> batch = pad_collate([np.array([5, 6, 7]), np.array([8, 9])])
    >>> batch.input_ids
    array([[5, 6, 7],
           [8, 9, 0]])
    >>> batch.targets
    array([[   6,    7, -100],
           [   9, -100, -100]])
    >>> batch.segment_ids
    array([[1, 1, 1],
           [1, 1, 0]], dtype=int32)
    >>> batch.mask
    array([[ True,  True,  True],
           [ True,  True, False]])
    >>> batch.lengths
    array([3, 2], dtype=int32)

    Settings for a loader are fixed with `functools.partial`:

    >>> from functools import partial
    >>> collate = partial(pad_collate, side="left", multiple_of=4)
    >>> collate([np.array([5, 6, 7]), np.array([8, 9])]).input_ids
    array([[0, 5, 6, 7],
           [0, 0, 8, 9]])
    """
    if len(sequences) == 0:
        raise ValueError("pad_collate needs at least one sequence")
    if too_long not in ("error", "truncate", "split"):
        raise ValueError(f"too_long must be 'error', 'truncate' or 'split', but got {too_long!r}")
    _check_settings(side, multiple_of, max_length)
    lengths = np.array([len(as_tokens(tokens, row)) for row, tokens in enumerate(sequences)])
    if max_length is not None and lengths.max() > max_length:
        if too_long == "error":
            raise _too_long(lengths, max_length, "'truncate' or too_long='split'")
        sequences = split_sequences(sequences, max_length, too_long)
        lengths = np.array([len(sequence) for sequence in sequences])
    rows = [[sequence] for sequence in sequences]
    width = int(round_up(lengths, multiple_of).max())
    batch = fill_rows(rows, width, pad_id, ignore_index)
    return batch if side == "right" else _padded_left(batch, width - lengths)


def _padded_left(batch: PackedBatch, padding: NDArray[Any]) -> PackedBatch:
    """Move the tokens of every row to its end, and the padding from there to its start."""
    width = batch.input_ids.shape[1]
    source = (np.arange(width) - padding[:, None]) % width
    fields = ("input_ids", "targets", "segment_ids", "positions")
    moved = {name: np.take_along_axis(getattr(batch, name), source, axis=1) for name in fields}
    return PackedBatch(**{**vars(batch), **moved})


@dataclass(eq=False)
class PaddedBatch:
    """Sequences of one kind in one array, with what is needed to leave the padding out.

    Parameters
    ----------
    values
        (B, T, ...), the dtype of the sequences.
    lengths
        int64 (B,): how many of a row's T entries are real.
    mask
        bool (B, T): True where an entry is real.
    num_items
        How many entries are real: what a sum of losses over them is to be divided by.

    Examples
    --------
    >>> import numpy as np
    >>> batch = pad_sequences([np.array([1, 2, 3]), np.array([4])])
    >>> batch.values.tolist(), batch.lengths.tolist(), batch.num_items
    ([[1, 2, 3], [4, 0, 0]], [3, 1], 4)
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]
    mask: NDArray[np.bool_]
    num_items: int


def pad_sequences(
    sequences: Sequence[NDArray[Any]],
    padding_value: float = 0.0,
    *,
    side: str = "right",
    multiple_of: int = 1,
    max_length: int | None = None,
    too_long: str = "error",
) -> PaddedBatch:
    """Pad arrays of shapes (T_1, ...), (T_2, ...), ... to one array (B, T, ...), with its mask.

    PyTorch's `pad_sequence`, with the batch first, and with the mask and the lengths, without
    which nobody can tell padding from data. For the loss see
    `tinytrain.nn.functional.masked_sum`.

    Parameters
    ----------
    sequences
        Arrays of one dtype that differ in their first length only. A length of 0 is allowed.
    padding_value
        What stands at padding; a value that the dtype holds.
    side, multiple_of, max_length
        As in `pad_collate`.
    too_long
        What to do with a sequence longer than `max_length`: ``"error"``: refuse; ``"truncate"``:
        keep its first entries.

    Raises
    ------
    ValueError
        If there are no sequences, their shapes do not fit, one is too long, or a setting is
        invalid.
    TypeError
        If the dtypes differ.

    Examples
    --------
    >>> batch = pad_sequences([np.ones((3, 1)), np.full((1, 1), 7.0)])
    >>> batch.values[:, :, 0]
    array([[1., 1., 1.],
           [7., 0., 0.]])
    >>> batch.mask
    array([[ True,  True,  True],
           [ True, False, False]])
    >>> batch.lengths, batch.num_items
    (array([3, 1]), 4)

    A `collate_fn` for pairs of a sequence and a label:

    >>> def collate(samples):
    ...     sequences, labels = zip(*samples)
    ...     return pad_sequences(sequences), np.array(labels)
    >>> batch, labels = collate([(np.array([1, 2]), 0), (np.array([3]), 1)])
    >>> batch.values, labels
    (array([[1, 2],
           [3, 0]]), array([0, 1]))
    """
    arrays = _checked_arrays(sequences)
    if too_long not in ("error", "truncate"):
        raise ValueError(f"too_long must be 'error' or 'truncate', but got {too_long!r}")
    _check_settings(side, multiple_of, max_length)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    if max_length is not None and lengths.max() > max_length:
        if too_long == "error":
            raise _too_long(lengths, max_length, "'truncate'")
        lengths = np.minimum(lengths, max_length)
    width = int(round_up(lengths, multiple_of).max())
    columns = np.arange(width)
    if side == "right":
        mask = columns < lengths[:, None]
    else:
        mask = columns >= width - lengths[:, None]
    shape = (len(arrays), width, *arrays[0].shape[1:])
    values: NDArray[Any] = np.full(shape, _value_of(padding_value, arrays[0].dtype))
    for row, (array, length) in enumerate(zip(arrays, lengths.tolist(), strict=True)):
        start = 0 if side == "right" else width - length
        values[row, start : start + length] = array[:length]
    return PaddedBatch(values, lengths, mask, int(lengths.sum()))


def _checked_arrays(sequences: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    if len(sequences) == 0:
        raise ValueError("pad_sequences needs at least one sequence")
    arrays = [np.asarray(sequence) for sequence in sequences]
    first = arrays[0]
    for position, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != first.shape[1:]:
            raise ValueError(
                "sequences may differ in their first length only, but got the shapes "
                f"{first.shape} at entry 0 and {array.shape} at entry {position}"
            )
        if array.dtype != first.dtype:
            raise TypeError(
                f"sequences must have one dtype, but got {first.dtype} at entry 0 and "
                f"{array.dtype} at entry {position}"
            )
    return arrays


def _value_of(value: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The padding value in the sequences' dtype, or an error where it would become another."""
    if dtype.kind not in "biufc":
        raise TypeError(f"sequences must hold numbers or booleans, but hold {dtype}")
    given = np.asarray(value)
    with np.errstate(invalid="ignore", over="ignore"):
        stored = given.astype(dtype)
    # A float may be rounded, but not become infinite; an integer must stay what it is.
    kept = np.isfinite(stored) == np.isfinite(given)
    if kept and (dtype.kind in "fc" or stored == given):
        return stored
    raise ValueError(f"padding_value={value!r} is no value of {dtype}; choose another")


def _check_settings(side: str, multiple_of: int, max_length: int | None) -> None:
    if side not in ("right", "left"):
        raise ValueError(f"side must be 'right' or 'left', but got {side!r}")
    whole_number("multiple_of", multiple_of)
    if max_length is not None and whole_number("max_length", max_length) % multiple_of:
        raise ValueError(
            f"max_length={max_length} is no multiple of multiple_of={multiple_of}, to which rows "
            "are padded; make it one"
        )


def _too_long(lengths: NDArray[Any], max_length: int, remedy: str) -> ValueError:
    long = np.flatnonzero(lengths > max_length)
    return ValueError(
        f"{long.size} of {lengths.size} sequences are longer than max_length={max_length}, the "
        f"first at entry {long[0]}: {lengths[long[0]]}; choose too_long={remedy}, or a larger "
        "max_length"
    )
