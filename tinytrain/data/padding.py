"""Padding: one sequence per row, every row as wide as the longest."""

from __future__ import annotations

from collections.abc import Sequence

from tinytrain.data.packed import IGNORE_INDEX, PackedBatch, Tokens, fill_rows

__all__ = ["pad_collate"]


def pad_collate(
    sequences: Sequence[Tokens], pad_id: int = 0, ignore_index: int = IGNORE_INDEX
) -> PackedBatch:
    """Pad sequences of tokens to the longest: a `collate_fn` for a data set of sequences.

    The result has the fields of a packed batch, with one segment per row, so that a model and a
    loss that understand one understand the other.

    Parameters
    ----------
    sequences
        The tokens of every sequence, 1-D integers, not empty.
    pad_id
        The token at padding.
    ignore_index
        The target at padding and at the last token of a sequence.

    Raises
    ------
    ValueError
        If there are no sequences, or one is empty, not 1-D or has negative tokens.
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
    """
    if len(sequences) == 0:
        raise ValueError("pad_collate needs at least one sequence")
    return fill_rows([[sequence] for sequence in sequences], None, pad_id, ignore_index)
