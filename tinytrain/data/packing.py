"""Packing: which sequences share a row, so that few positions of a batch are padding.

This is bin packing: items of given lengths, bins (rows) of one capacity, as few as possible.
The plan knows lengths only; `tinytrain.data.packed` makes rows of tokens from it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PackingPlan", "plan_packing", "plan_packing_simple"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PackingPlan:
    """Which sequences go into which row.

    Parameters
    ----------
    rows
        For each row the indices of its sequences, int64, ascending. Every index occurs once.
    capacity
        Positions per row.
    lengths
        The length of every sequence, int64.

    Examples
    --------
    >>> print(plan_packing([6, 5, 4, 3, 2], capacity=10))
    rows              2 of 10 positions (no plan needs fewer than 2)
    sequences         5, on average 2.5 per row
    tokens           20
    efficiency   100.00 % of the positions hold a token
    padding        0.00 %
    """

    rows: tuple[IntArray, ...]
    capacity: int
    lengths: IntArray

    @property
    def num_tokens(self) -> int:
        """The sum of all lengths."""
        return int(self.lengths.sum())

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
        return _martello_toth_bound(self.lengths, self.capacity)

    def report(self) -> str:
        """The plan's figures as a few lines of text."""
        per_row = len(self.lengths) / len(self.rows)
        figures = [f"{len(self.rows):,}", f"{len(self.lengths):,}", f"{self.num_tokens:,}"]
        figures += [f"{100 * self.efficiency:.2f}", f"{100 * self.padding_share:.2f}"]
        width = max(map(len, figures))
        rows, sequences, tokens, efficiency, padding = (text.rjust(width) for text in figures)
        return (
            f"rows        {rows} of {self.capacity:,} positions "
            f"(no plan needs fewer than {self.lower_bound:,})\n"
            f"sequences   {sequences}, on average {per_row:.1f} per row\n"
            f"tokens      {tokens}\n"
            f"efficiency  {efficiency} % of the positions hold a token\n"
            f"padding     {padding} %"
        )

    def __str__(self) -> str:
        return self.report()


def plan_packing(
    lengths: ArrayLike, capacity: int, algorithm: str = "best_fit_decreasing"
) -> PackingPlan:
    """Plan rows of at most `capacity` positions for sequences of the given lengths.

    Parameters
    ----------
    lengths
        1-D integers in [1, capacity]. `split_sequences` deals with longer sequences.
    capacity
        Positions per row.
    algorithm
        ``"best_fit_decreasing"``: each sequence, longest first, goes to the row with the least
        room that still holds it. Needs at most 11/9 of the smallest number of rows, plus 4; on
        the lengths of documents mostly less than 1 % more than the lower bound.
        ``"next_fit"``: the sequences in their order, a new row when the next one does not fit.
        Keeps neighbours together, and needs 10 to 30 % more rows.

    Raises
    ------
    ValueError
        If there are no lengths, one is out of range, or the algorithm is unknown.
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
    """
    checked = _checked_lengths(lengths, capacity)
    if algorithm == "best_fit_decreasing":
        row_of = _best_fit_decreasing(checked, capacity)
    elif algorithm == "next_fit":
        row_of = _next_fit(checked, capacity)
    else:
        raise ValueError(
            f"algorithm must be 'best_fit_decreasing' or 'next_fit', but got {algorithm!r}"
        )
    return PackingPlan(_group_by_row(row_of), capacity, checked)


def plan_packing_simple(lengths: ArrayLike, capacity: int) -> PackingPlan:
    """Best fit decreasing, one sequence after the other: the twin of `plan_packing` to read.

    It needs the same number of rows, and may choose another among rows with equal room.

    Examples
    --------
    >>> len(plan_packing_simple([7, 3, 5, 5, 2], capacity=10).rows)
    3
    """
    checked = _checked_lengths(lengths, capacity)
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, row), ascending
    for item in np.argsort(-checked, kind="stable").tolist():
        length = int(checked[item])
        best = bisect_left(rooms, (length, 0))
        if best < len(rooms):
            room, row = rooms.pop(best)
        else:
            room, row = capacity, len(rows)
            rows.append([])
        rows[row].append(item)
        insort(rooms, (room - length, row))
    return PackingPlan(tuple(np.array(sorted(row)) for row in rows), capacity, checked)


def _best_fit_decreasing(lengths: IntArray, capacity: int) -> IntArray:
    """The row of every item.

    Equal lengths and rows with equal room are moved together. Let r be the least room that
    holds the length w. A row that takes one such item has the room r - w, which is again the
    least while another w fits: so each of these rows takes r // w items before the next.
    """
    row_of = np.empty(len(lengths), dtype=np.int64)
    distinct, counts = np.unique(lengths, return_counts=True)
    # A radix sort, if the dtype has at most 16 bits.
    longest_first = np.argsort(
        (capacity - lengths).astype(np.min_scalar_type(capacity)), kind="stable"
    )
    rooms = _RowsByRoom()
    num_rows = 0
    start = 0
    for length, count in zip(distinct[::-1].tolist(), counts[::-1].tolist(), strict=True):
        items = longest_first[start : start + count]
        start += count
        while len(items):
            room = rooms.least_room(length)
            if room is None:
                room = capacity
                new_rows = -(-len(items) // (capacity // length))
                rooms.put(capacity, np.arange(num_rows, num_rows + new_rows))
                num_rows += new_rows
            rows = rooms.take(room)
            per_row = min(room // length, len(items))
            used = min(len(rows), len(items) // per_row)
            row_of[items[: used * per_row]] = np.repeat(rows[:used], per_row)
            items = items[used * per_row :]
            rooms.put(room - per_row * length, rows[:used])
            rooms.put(room, rows[used:])
    return row_of


class _RowsByRoom:
    """Rows that are not full, in blocks of equal room, and a bit set of the rooms there are."""

    def __init__(self) -> None:
        self._blocks: dict[int, list[IntArray]] = {}
        self._bits = 0  # bit r is set while some row has the room r

    def least_room(self, length: int) -> int | None:
        """The least room of any row that is at least `length`."""
        fitting = self._bits >> length
        if not fitting:
            return None
        lowest = fitting & -fitting
        return length + lowest.bit_length() - 1

    def put(self, room: int, rows: IntArray) -> None:
        if len(rows) and room:
            self._blocks.setdefault(room, []).append(rows)
            self._bits |= 1 << room

    def take(self, room: int) -> IntArray:
        """Take out one block of rows with exactly this room."""
        blocks = self._blocks[room]
        rows = blocks.pop()
        if not blocks:
            del self._blocks[room]
            self._bits &= ~(1 << room)
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


def _martello_toth_bound(lengths: IntArray, capacity: int) -> int:
    """L2 of S. Martello and P. Toth, "Knapsack Problems", Wiley, 1990, section 8.3.

    For a threshold k <= capacity / 2, an item longer than capacity - k shares its row with none
    of length k or more. Items longer than capacity / 2 need a row each, and those of length
    k ... capacity / 2 fill up the rows of the second kind before they need rows of their own.
    The bound is the best over all k.
    """
    counts = np.bincount(lengths, minlength=capacity + 1)
    items = np.cumsum(counts)  # items[w]: how many have a length of at most w
    volume = np.cumsum(counts * np.arange(capacity + 1))
    half = capacity // 2
    k = np.arange(half + 1)
    alone = items[capacity] - items[capacity - k]
    large = items[capacity - k] - items[half]
    room_beside_large = large * capacity - (volume[capacity - k] - volume[half])
    small_volume = volume[half] - np.concatenate(([0], volume[:half]))
    overflow = np.maximum(small_volume - room_beside_large, 0)
    return int((alone + large + -(-overflow // capacity)).max())


def _checked_lengths(lengths: ArrayLike, capacity: int) -> IntArray:
    array = np.asarray(lengths)
    if capacity < 1:
        raise ValueError(f"capacity must be at least 1, but got {capacity}")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"lengths must be 1-D and not empty, but got the shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers, but got {array.dtype}")
    outside = np.flatnonzero((array < 1) | (array > capacity))
    if outside.size:
        raise ValueError(
            f"lengths must be in [1, {capacity}], but {outside.size} are not, the first at index "
            f"{outside[0]}: {array[outside[0]]}; split_sequences makes pieces that fit"
        )
    return array.astype(np.int64)
