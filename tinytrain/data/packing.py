"""Packing: which sequences share a row, so that few positions of a batch are padding.

This is bin packing: items of given lengths, bins (rows) of one capacity, as few as possible.
The plan knows lengths only; `tinytrain.data.packed` makes rows of tokens from it. Where not all
lengths are known beforehand, `tinytrain.data.online_packing` packs a stream.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tinytrain.checks import whole_number
from tinytrain.data.cutting import CutPlan, check_capacity, plan_cuts
from tinytrain.data.decreasing_fit import best_fit_decreasing, first_fit_decreasing
from tinytrain.data.length_checks import IntArray
from tinytrain.data.packing_report import PackingReport, lower_bound

__all__ = ["PackingPlan", "plan_packing", "plan_packing_simple"]


@dataclass(frozen=True, eq=False)
class PackingPlan:
    """Which sequences go into which row.

    Parameters
    ----------
    rows
        For each row the indices of its sequences, int64, ascending. Every index occurs once. Where
        sequences were split, these are the indices of the pieces.
    capacity
        Positions per row.
    cuts
        Which piece is which part of which sequence; each is one piece if all sequences fit.

    Examples
    --------
    >>> print(plan_packing([6, 5, 4, 3, 2], capacity=10))
    rows             2 of 10 positions (no plan needs fewer than 2, by volume)
    sequences        5, on average 2.5 per row
    tokens          20, on average 10.0 per row, coefficient of variation 0.000
    efficiency  100.00 % of the positions hold a token
    padding       0.00 %
    """

    rows: tuple[IntArray, ...]
    capacity: int
    cuts: CutPlan

    @property
    def lengths(self) -> IntArray:
        """The length of every sequence, or piece, int64."""
        return self.cuts.lengths

    @property
    def num_tokens(self) -> int:
        """The sum of all lengths."""
        return int(self.lengths.sum())

    @property
    def tokens_per_row(self) -> IntArray:
        """How many tokens each row holds, int64."""
        starts = np.cumsum([0, *(len(row) for row in self.rows[:-1])])
        return np.add.reduceat(self.lengths[np.concatenate(self.rows)], starts)

    @property
    def efficiency(self) -> float:
        """The share of positions that hold a token: sum(lengths) / (rows x capacity)."""
        return self.num_tokens / (len(self.rows) * self.capacity)

    @property
    def padding_share(self) -> float:
        """The share of positions that are padding, 1 - efficiency."""
        return 1.0 - self.efficiency

    @property
    def lower_bound(self) -> int:
        """A number of rows below which no plan exists: Martello and Toth's bound L2.

        It is never below ceil(sum(lengths) / capacity), the bound from the volume alone.
        """
        return self._bound()[0]

    def _bound(self) -> tuple[int, str]:
        return lower_bound(*np.unique(self.lengths, return_counts=True), self.capacity)

    def report(self, batch_size: int | None = None) -> PackingReport:
        """The plan's figures; ``print`` shows them as a few lines of text.

        Parameters
        ----------
        batch_size
            Rows per batch: adds the tokens per batch, with the rows in the plan's order.

        Raises
        ------
        ValueError
            If the batch size is below 1.
        """
        per_row = self.tokens_per_row
        size = 1 if batch_size is None else whole_number("batch_size", batch_size)
        per_batch = np.add.reduceat(per_row, np.arange(0, len(per_row), size))
        bound, bound_name = self._bound()
        return PackingReport(
            rows=len(self.rows),
            capacity=self.capacity,
            sequences=len(self.lengths),
            tokens=self.num_tokens,
            bound=bound,
            bound_name=bound_name,
            variation=float(per_row.std() / per_row.mean()),
            batch_size=None if batch_size is None else size,
            batch_tokens=float(per_batch.mean()),
            batch_variation=float(per_batch.std() / per_batch.mean()),
            num_truncated=self.cuts.num_truncated,
            num_split=self.cuts.num_split,
        )

    def __str__(self) -> str:
        return str(self.report())


def plan_packing(
    lengths: ArrayLike,
    capacity: int,
    algorithm: str = "best_fit_decreasing",
    split: str = "error",
) -> PackingPlan:
    """Plan rows of at most `capacity` positions for sequences of the given lengths.

    Parameters
    ----------
    lengths
        1-D integers, at least 1.
    capacity
        Positions per row.
    algorithm
        ``"best_fit_decreasing"``: each sequence, longest first, goes to the row with the least
        room that still holds it. Needs at most 11/9 of the smallest number of rows, plus 4; on
        the lengths of documents mostly less than 1 % more than the lower bound.
        ``"first_fit_decreasing"``: each sequence, longest first, goes to the first row that holds
        it. As good as best fit, and what the literature describes most.
        ``"next_fit"``: the sequences in their order, a new row when the next one does not fit.
        Keeps neighbours together, and needs 10 to 30 % more rows.
    split
        What happens to sequences over the capacity. ``"error"``: raise. ``"truncate"``: only the
        first `capacity` tokens count, and a `PackedDataset` leaves out the others. ``"split"``:
        they become pieces, each beginning with the last token of the one before, as in
        `split_sequences`; a `PackedDataset` cuts them. The report tells how many.

    Raises
    ------
    ValueError
        If there are no lengths, one is out of range, or the algorithm or policy is unknown.
    TypeError
        If the lengths are not integers.

    References
    ----------
    D. S. Johnson, "Near-optimal bin packing algorithms", PhD thesis, MIT, 1973.
    M. M. Krell et al., "Efficient sequence packing without cross-contamination",
    arXiv:2107.02027, 2021 (working on the histogram of the lengths).

    Examples
    --------
    >>> plan = plan_packing([7, 3, 5, 5, 2], capacity=10)
    >>> [row.tolist() for row in plan.rows]
    [[0, 1], [2, 3], [4]]
    >>> plan_packing([12, 3], capacity=10, split="split").lengths
    array([10,  3,  3])
    """
    capacity = check_capacity(capacity, split)
    cuts = plan_cuts(lengths, capacity, split)
    if algorithm == "best_fit_decreasing":
        row_of = best_fit_decreasing(cuts.lengths, capacity)
    elif algorithm == "first_fit_decreasing":
        row_of = first_fit_decreasing(cuts.lengths, capacity)
    elif algorithm == "next_fit":
        row_of = _next_fit(cuts.lengths, capacity)
    else:
        raise ValueError(
            "algorithm must be 'best_fit_decreasing', 'first_fit_decreasing' or 'next_fit', "
            f"but got {algorithm!r}"
        )
    return PackingPlan(_group_by_row(row_of), capacity, cuts)


def plan_packing_simple(
    lengths: ArrayLike, capacity: int, algorithm: str = "best_fit_decreasing"
) -> PackingPlan:
    """Best fit or first fit decreasing, one sequence after the other: `plan_packing` to read.

    First fit gives the very rows of `plan_packing`. Best fit needs as many, filled just alike, and
    may choose another among rows with equal room.

    Examples
    --------
    >>> len(plan_packing_simple([7, 3, 5, 5, 2], capacity=10).rows)
    3
    """
    capacity = check_capacity(capacity, "error")
    cuts = plan_cuts(lengths, capacity)
    longest_first = np.argsort(-cuts.lengths, kind="stable").tolist()
    if algorithm == "best_fit_decreasing":
        rows = _best_fit(cuts.lengths.tolist(), longest_first, capacity)
    elif algorithm == "first_fit_decreasing":
        rows = _first_fit(cuts.lengths.tolist(), longest_first, capacity)
    else:
        raise ValueError(
            "algorithm must be 'best_fit_decreasing' or 'first_fit_decreasing', "
            f"but got {algorithm!r}"
        )
    return PackingPlan(tuple(np.array(sorted(row)) for row in rows), capacity, cuts)


def _best_fit(lengths: list[int], order: list[int], capacity: int) -> list[list[int]]:
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, row), ascending
    for item in order:
        best = bisect_left(rooms, (lengths[item], 0))
        if best < len(rooms):
            room, row = rooms.pop(best)
        else:
            room, row = capacity, len(rows)
            rows.append([])
        rows[row].append(item)
        insort(rooms, (room - lengths[item], row))
    return rows


def _first_fit(lengths: list[int], order: list[int], capacity: int) -> list[list[int]]:
    rows: list[list[int]] = []
    rooms: list[int] = []
    for item in order:
        fitting = (row for row, room in enumerate(rooms) if room >= lengths[item])
        row = next(fitting, len(rows))
        if row == len(rows):
            rows.append([])
            rooms.append(capacity)
        rows[row].append(item)
        rooms[row] -= lengths[item]
    return rows


def _next_fit(lengths: IntArray, capacity: int) -> IntArray:
    rows = []
    row, used = 0, 0
    for length in lengths.tolist():
        used += length
        if used > capacity:
            row, used = row + 1, length
        rows.append(row)
    return np.array(rows)


def _group_by_row(row_of: IntArray) -> tuple[IntArray, ...]:
    by_row = np.sort((row_of << 32) | np.arange(len(row_of))) & 0xFFFFFFFF
    ends = np.cumsum(np.bincount(row_of)).tolist()
    return tuple(by_row[start:end] for start, end in zip([0, *ends], ends, strict=False))
