"""Bin packing that places the longest first, many equal lengths at a time.

Both functions give every item the row that it gets from the loops in `plan_packing_simple`, or one
filled just alike. What is a step for each item there is one for each length and room here, and the
cost depends on how many lengths and rooms there are, not on how large they may be.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinytrain.data.length_checks import IntArray

__all__ = ["best_fit_decreasing", "first_fit_decreasing"]

_ROWS_PER_BLOCK = 256
_FEW_ITEMS = 4
_WORD_BITS = 10
_BIT_OF_WORD = (1 << _WORD_BITS) - 1


def best_fit_decreasing(lengths: IntArray, capacity: int) -> IntArray:
    """Return the row of every item: of those with enough room the one with the least.

    Equal lengths and rows with equal room are moved together. Let r be the least room that
    holds the length w. A row that takes one such item has the room r - w, which is again the
    least while another w fits: so each of these rows takes r // w items before the next.
    That makes at most N steps, and in each the least room is found in O(log capacity).

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
    rooms = _RowsByRoom(capacity)
    num_rows = 0
    for length, items in _longest_first(lengths):
        while len(items):
            room = rooms.least_room(length)
            if room is None:
                room = capacity
                new_rows = -(-len(items) // (capacity // length))
                rows = np.arange(num_rows, num_rows + new_rows)
                num_rows += new_rows
            else:
                rows = rooms.take(room)
            per_row = min(room // length, len(items))
            used = min(len(rows), len(items) // per_row)
            taking = rows[:used]
            row_of[items[: used * per_row]] = taking if per_row == 1 else taking.repeat(per_row)
            items = items[used * per_row :]
            rooms.put(room - per_row * length, taking)
            rooms.put(room, rows[used:])
    return row_of


class _RowsByRoom:
    """Rows that are not full, in blocks of equal room, and a set of the rooms there are.

    The set is one of bits in words of 1024. Above them are words whose bits tell which of those
    below are not zero, and so on up to a single word: a tree with 1024 branches, in which the next
    room is found by a few steps upwards and as many downwards. (The idea is that of P. van Emde
    Boas, "Preserving order in a forest in less than logarithmic time", 1975.)
    """

    def __init__(self, capacity: int) -> None:
        self._blocks: dict[int, list[IntArray]] = {}
        height = -(-capacity.bit_length() // _WORD_BITS)
        self._levels: list[dict[int, int]] = [{} for _ in range(height)]  # words that are not 0

    def least_room(self, length: int) -> int | None:
        """The least room of any row that is at least `length`."""
        found = length
        for height, words in enumerate(self._levels):
            bits = words.get(found >> _WORD_BITS, 0) >> (found & _BIT_OF_WORD)
            if bits:
                found += _lowest(bits)
                for below in reversed(self._levels[:height]):
                    found = found << _WORD_BITS | _lowest(below[found])
                return found
            found = (found >> _WORD_BITS) + 1
        return None

    def put(self, room: int, rows: IntArray) -> None:
        if not len(rows) or not room:
            return
        if room in self._blocks:
            self._blocks[room].append(rows)
            return
        self._blocks[room] = [rows]
        for words in self._levels:
            word, bit = room >> _WORD_BITS, 1 << (room & _BIT_OF_WORD)
            words[word] = words.get(word, 0) | bit
            room = word

    def take(self, room: int) -> IntArray:
        """Take out one block of rows with exactly this room."""
        blocks = self._blocks[room]
        rows = blocks.pop()
        if blocks:
            return rows
        del self._blocks[room]
        for words in self._levels:
            word, bit = room >> _WORD_BITS, 1 << (room & _BIT_OF_WORD)
            words[word] ^= bit
            if words[word]:
                break
            del words[word]
            room = word
        return rows


def _lowest(bits: int) -> int:
    """The place of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def first_fit_decreasing(lengths: IntArray, capacity: int) -> IntArray:
    """Return the row of every item: the first one with enough room.

    Rows are kept in blocks with the largest room of each, so that most of those without enough
    room are passed over at once; a row not begun yet is one with all its room. The first row that
    holds the length w takes as many items of this length as it can before the next one gets any:
    many items of one length go to many rows in one step, a few one by one. A step looks at the
    N / 256 blocks and at the 256 rows of one of them (of several, if it takes many items).

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
    for length, items in _longest_first(lengths):
        if len(items) <= _FEW_ITEMS:
            for item in items:
                row_of[item] = _place(length, rooms, largest)
        else:
            row_of[items] = _place_many(length, len(items), rooms, largest)
    return row_of


def _place(length: int, rooms: IntArray, largest: IntArray) -> int:
    """Give one item to the first row with room for it, and return the row."""
    block = int((largest >= length).argmax())
    inside = rooms[block]
    place = int((inside >= length).argmax())
    inside[place] -= length
    largest[block] = inside.max()
    return block * _ROWS_PER_BLOCK + place


def _place_many(length: int, count: int, rooms: IntArray, largest: IntArray) -> IntArray:
    """Give `count` items to the first rows with room for them, and return the row of each."""
    room_of_row = rooms.reshape(-1)
    candidates = np.flatnonzero(largest >= length)
    placed: list[IntArray] = []
    start, width = 0, 1
    while count:
        blocks = candidates[start : start + width]
        start, width = start + width, 2 * width
        block, place = (rooms[blocks] >= length).nonzero()
        rows = blocks[block] * _ROWS_PER_BLOCK + place
        taken = room_of_row[rows] // length
        ends = np.cumsum(taken)  # items in the rows up to each
        used = min(int(np.searchsorted(ends, count)) + 1, len(rows))
        here = min(int(ends[used - 1]), count)
        rows, taken = rows[:used], taken[:used]
        taken[-1] -= int(ends[used - 1]) - here
        placed.append(np.repeat(rows, taken))
        room_of_row[rows] -= taken * length
        largest[blocks] = rooms[blocks].max(axis=1)
        count -= here
    return np.concatenate(placed)


def _longest_first(lengths: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield each length with the items that have it, in their order."""
    distinct, counts = np.unique(lengths, return_counts=True)
    # A radix sort, if the dtype has at most 16 bits.
    shorter_by = distinct[-1] - lengths
    order = np.argsort(shorter_by.astype(np.min_scalar_type(shorter_by.max())), kind="stable")
    ends = np.cumsum(counts[::-1]).tolist()
    for length, start, end in zip(distinct[::-1].tolist(), [0, *ends], ends, strict=False):
        yield length, order[start:end]
