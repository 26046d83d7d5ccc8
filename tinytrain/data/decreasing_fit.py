"""Bin packing that places the longest first, many equal lengths at a time.

Both functions give every item the row that it gets from the loops in `plan_packing_simple`, or one
filled just alike, and cost a fraction of them: what is a step for each item there is one for each
length here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_fit_decreasing", "first_fit_decreasing"]

IntArray = NDArray[np.int64]

_ROWS_PER_BLOCK = 256


def best_fit_decreasing(lengths: IntArray, capacity: int) -> IntArray:
    """Return the row of every item: of those with enough room the one with the least.

    Equal lengths and rows with equal room are moved together. Let r be the least room that
    holds the length w. A row that takes one such item has the room r - w, which is again the
    least while another w fits: so each of these rows takes r // w items before the next.

    Parameters
    ----------
    lengths
        int64 (N,) in [1, capacity].
    capacity
        The room of an empty row.

    Examples
    --------
    >>> best_fit_decreasing(np.array([4, 6, 5, 2]), 10)
    array([0, 0, 1, 1])
    """
    row_of = np.empty(len(lengths), dtype=np.int64)
    rooms = _RowsByRoom()
    num_rows = 0
    for length, items in _longest_first(lengths, capacity):
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


def first_fit_decreasing(lengths: IntArray, capacity: int) -> IntArray:
    """Return the row of every item: the first one with enough room.

    The first row that holds the length w takes as many items of this length as it can before the
    next one gets any. Rows are kept in blocks with the largest room of each, so that most of those
    without enough room are passed over at once; a row not begun yet is one with all its room.

    Parameters
    ----------
    lengths
        int64 (N,) in [1, capacity].
    capacity
        The room of an empty row.

    Examples
    --------
    >>> first_fit_decreasing(np.array([4, 6, 5, 2]), 10)
    array([0, 0, 1, 1])
    """
    row_of = np.empty(len(lengths), dtype=np.int64)
    num_blocks = -(-len(lengths) // _ROWS_PER_BLOCK)
    rooms = np.full((num_blocks, _ROWS_PER_BLOCK), capacity)
    largest = np.full(num_blocks, capacity)
    room_of_row = rooms.reshape(-1)
    for length, items in _longest_first(lengths, capacity):
        candidates = np.flatnonzero(largest >= length)
        start, count = 0, 1
        while len(items):
            blocks = candidates[start : start + count]
            start, count = start + count, 2 * count
            block, place = (rooms[blocks] >= length).nonzero()
            rows = blocks[block] * _ROWS_PER_BLOCK + place
            taken = room_of_row[rows] // length
            ends = np.cumsum(taken)  # items in the rows up to each
            used = min(int(np.searchsorted(ends, len(items))) + 1, len(rows))
            placed = min(int(ends[used - 1]), len(items))
            rows, taken = rows[:used], taken[:used]
            taken[-1] -= int(ends[used - 1]) - placed
            row_of[items[:placed]] = np.repeat(rows, taken)
            room_of_row[rows] -= taken * length
            largest[blocks] = rooms[blocks].max(axis=1)
            items = items[placed:]
    return row_of


def _longest_first(lengths: IntArray, capacity: int) -> Iterator[tuple[int, IntArray]]:
    """Yield each length with the items that have it, in their order."""
    distinct, counts = np.unique(lengths, return_counts=True)
    # A radix sort, if the dtype has at most 16 bits.
    order = np.argsort((capacity - lengths).astype(np.min_scalar_type(capacity)), kind="stable")
    ends = np.cumsum(counts[::-1]).tolist()
    for length, start, end in zip(distinct[::-1].tolist(), [0, *ends], ends, strict=False):
        yield length, order[start:end]
