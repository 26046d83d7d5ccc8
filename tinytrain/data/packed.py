"""Rows of tokens that hold several sequences, with everything attention and the loss need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.cutting import LARGEST_CAPACITY, Tokens, as_tokens
from tinytrain.data.dataset import Dataset
from tinytrain.data.packing import PackingPlan
from tinytrain.data.row_picture import draw_rows

__all__ = ["IGNORE_INDEX", "PackedBatch", "PackedDataset", "collate_packed"]

IGNORE_INDEX: Final = -100
"""The target of a position that is not supervised, `cross_entropy`'s default."""


@dataclass(eq=False)
class PackedBatch:
    """B rows of T positions; a row holds one or more sequences (segments), then padding.

    A sequence of n tokens takes n positions, the last of which has no target: n - 1 positions
    are supervised. A target never belongs to another sequence than its input.

    Parameters
    ----------
    input_ids
        Tokens, int64 (B, T); padding holds `pad_id`.
    targets
        The next token of the same sequence, int64 (B, T); `ignore_index` at the last token of a
        sequence and at padding.
    segment_ids
        int32 (B, T): 1, 2, ... for the sequences of a row, 0 for padding. Attention stays within
        equal numbers.
    positions
        int64 (B, T): 0, 1, ... from the start of each sequence; 0 at padding.
    cu_seqlens
        int32 (S + 1,): 0, then the running sum of the lengths of the batch's S sequences, row
        by row, without padding.
    num_supervised
        How many positions have a target: what a sum of losses is to be divided by.

    Examples
    --------
    >>> from tinytrain.data import plan_packing
    >>> sequences = [np.arange(n) for n in (5, 3, 2, 7)]
    >>> data = PackedDataset(sequences, plan_packing([5, 3, 2, 7], capacity=10))
    >>> print(collate_packed([data[0], data[1]]))
    2 rows of 10 positions: 4 sequences, 17 tokens, 13 of them supervised, 15.0 % padding
    row 0  1112222222
    row 1  1111122...
    """

    input_ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    segment_ids: NDArray[np.int32]
    positions: NDArray[np.int64]
    cu_seqlens: NDArray[np.int32]
    num_supervised: int

    @property
    def mask(self) -> Any:
        """Where there are tokens, and no padding: bool (B, T)."""
        return self.segment_ids != 0

    @property
    def lengths(self) -> Any:
        """The length of every sequence, row by row: int32 (S,)."""
        return self.cu_seqlens[1:] - self.cu_seqlens[:-1]

    def __str__(self) -> str:
        """Picture the rows: a sign for each position, one for each sequence; dots are padding."""
        segments = np.array(self.segment_ids.tolist())  # where to print tensors of a device, too
        rows, width = segments.shape
        tokens = int((segments > 0).sum())
        return (
            f"{rows:,} {'row' if rows == 1 else 'rows'} of {width:,} positions: "
            f"{len(self.cu_seqlens) - 1:,} sequences, {tokens:,} tokens, "
            f"{self.num_supervised:,} of them supervised, "
            f"{100 * (1 - tokens / segments.size):.1f} % padding\n{draw_rows(segments)}"
        )


class PackedDataset(Dataset[PackedBatch]):
    """The rows of a packing plan; each is a `PackedBatch` of one row.

    Parameters
    ----------
    sequences
        The tokens of every sequence, 1-D integers. They are read when a row is, and no sooner: a
        data set that reads files will do.
    plan
        A plan for the lengths of just these sequences. Where it splits or truncates some, their
        rows hold the pieces.
    pad_id
        The token at padding.

    Raises
    ------
    ValueError
        If the plan is for another number of sequences, `pad_id` is no whole number from 0, or a
        row is read whose tokens are not 1-D, not as many as planned, or not at least 0.
    TypeError
        If a row is read whose tokens are not integers.

    Examples
    --------
    >>> from tinytrain.data import plan_packing
    >>> sequences = [np.array([1, 2, 3]), np.array([4, 5]), np.array([6, 7, 8, 9])]
    >>> plan = plan_packing([3, 2, 4], capacity=6)
    >>> row = PackedDataset(sequences, plan)[0]
    >>> row.input_ids
    array([[4, 5, 6, 7, 8, 9]])
    >>> row.targets
    array([[   5, -100,    7,    8,    9, -100]])
    >>> row.segment_ids
    array([[1, 1, 2, 2, 2, 2]], dtype=int32)
    >>> row.positions
    array([[0, 1, 0, 1, 2, 3]])
    >>> row.cu_seqlens, row.num_supervised
    (array([0, 2, 6], dtype=int32), 4)
    """

    def __init__(self, sequences: Sequence[Tokens], plan: PackingPlan, pad_id: int = 0) -> None:
        planned = len(plan.cuts.sequence_lengths)
        if len(sequences) != planned:
            raise ValueError(
                f"the plan is for {planned} sequences, but got {len(sequences)}; plan and "
                "sequences must have the same lengths in the same order"
            )
        self.sequences = sequences
        self.plan = plan
        self.pad_id = whole_number("pad_id", pad_id, least=0)

    def __getitem__(self, index: int) -> PackedBatch:
        """Row `index` of the plan; one below 0 counts from the end.

        Raises
        ------
        TypeError
            If it is no whole number. Several rows are put together by `collate_packed`.
        IndexError
            If the plan has no such row.
        """
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            raise TypeError(
                f"a row of a PackedDataset has a whole number, but got {index!r}; for several rows "
                "use collate_packed([data[i] for i in ...])"
            )
        if not -len(self) <= index < len(self):
            raise IndexError(f"no row {index}: the plan has {len(self)} rows")
        cuts = self.plan.cuts
        pieces = [
            cuts.take(piece, self.sequences[int(cuts.sequences[piece])])
            for piece in self.plan.rows[index].tolist()
        ]
        return fill_rows([pieces], self.plan.capacity, self.pad_id)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.plan.rows)


def collate_packed(rows: Sequence[PackedBatch]) -> PackedBatch:
    """Put packed rows one below the other: the `collate_fn` for a `PackedDataset`.

    Raises
    ------
    ValueError
        If there are no rows, or they differ in their number of positions.

    Examples
    --------
    >>> from tinytrain.data import plan_packing
    >>> sequences = [np.arange(n) for n in (5, 3, 2, 7)]
    >>> data = PackedDataset(sequences, plan_packing([5, 3, 2, 7], capacity=10))
    >>> collate_packed([data[0], data[1]]).input_ids.shape
    (2, 10)
    """
    if len(rows) == 0:
        raise ValueError("collate_packed needs at least one row")
    widths = {row.input_ids.shape[1] for row in rows}
    if len(widths) != 1:
        raise ValueError(f"rows of one batch must have one width, but got {sorted(widths)}")
    lengths = np.concatenate([np.diff(row.cu_seqlens) for row in rows])
    return PackedBatch(
        input_ids=np.concatenate([row.input_ids for row in rows]),
        targets=np.concatenate([row.targets for row in rows]),
        segment_ids=np.concatenate([row.segment_ids for row in rows]),
        positions=np.concatenate([row.positions for row in rows]),
        cu_seqlens=_running_sum(lengths),
        num_supervised=sum(row.num_supervised for row in rows),
    )


def fill_rows(
    rows: Sequence[Sequence[Tokens]],
    width: int | None,
    pad_id: int,
    ignore_index: int = IGNORE_INDEX,
) -> PackedBatch:
    """Write the sequences of each row side by side into a batch of `width` positions per row.

    Without a width, the fullest row decides. All sequences are written at once, because a loop
    over them would take most of the time.
    """
    pad_id = whole_number("pad_id", pad_id, least=0)
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer):
        raise ValueError(f"ignore_index must be a whole number, but got {ignore_index!r}")
    sequences = [as_tokens(sequence) for row in rows for sequence in row]
    lengths = np.array([len(tokens) for tokens in sequences])
    per_row = np.array([len(row) for row in rows])
    tokens = np.concatenate(sequences)
    if tokens.min() < 0:
        raise ValueError(f"tokens must be at least 0, but got {tokens.min()}")
    ends = np.cumsum(lengths)
    starts = ends - lengths
    first = np.cumsum(per_row) - per_row  # the first sequence of each row
    fullest = int(np.add.reduceat(lengths, first).max())
    width = fullest if width is None else width
    if fullest > width:
        raise ValueError(f"a row has {width} positions, but its sequences have {fullest}")
    next_tokens = np.full(len(tokens), ignore_index, dtype=np.int64)
    next_tokens[:-1] = tokens[1:]
    next_tokens[ends - 1] = ignore_index

    # Where each token goes in the flattened rows: its place among all tokens, moved by as much
    # as the row's start is from the place of the row's first token.
    shifts = np.arange(len(rows)) * width - starts[first]
    place = np.arange(len(tokens))
    destination = place + np.repeat(np.repeat(shifts, per_row), lengths)

    def scatter(values: NDArray[Any], empty: int, dtype: type) -> NDArray[Any]:
        flat: NDArray[Any] = np.full(len(rows) * width, empty, dtype=dtype)
        flat[destination] = values
        return flat.reshape(len(rows), width)

    segments = np.arange(len(sequences)) - np.repeat(first, per_row) + 1
    return PackedBatch(
        input_ids=scatter(tokens, pad_id, np.int64),
        targets=scatter(next_tokens, ignore_index, np.int64),
        segment_ids=scatter(np.repeat(segments, lengths), 0, np.int32),
        positions=scatter(place - np.repeat(starts, lengths), 0, np.int64),
        cu_seqlens=_running_sum(lengths),
        num_supervised=int((next_tokens != ignore_index).sum()),
    )


def _running_sum(lengths: NDArray[Any]) -> NDArray[np.int32]:
    ends = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    if ends[-1] > LARGEST_CAPACITY:
        raise ValueError(
            f"a batch of {ends[-1]:,} tokens is larger than cu_seqlens (int32) can tell, "
            f"{LARGEST_CAPACITY:,}; take fewer rows"
        )
    return ends.astype(np.int32)
