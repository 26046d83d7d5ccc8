"""Packing a stream: sequences come one by one, and only a few rows are open at a time.

`tinytrain.data.packing` must know all lengths first, and packs better. Here each sequence goes to
the open row with the least room that still holds it. Where none does and no more rows may be open,
only the fullest one is closed: the others, with more room, go on waiting for what fits.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.cutting import Tokens, as_tokens, check_capacity, cut
from tinytrain.data.packer_state import check_keys, checked_counts, checked_rows
from tinytrain.data.packing_report import PackingReport, lower_bound

__all__ = ["OnlinePacker"]

Row = list[NDArray[np.int64]]
"""The sequences that share a row."""

_SETTINGS = ("capacity", "open_rows", "split")
_NUMBERS = ("added", "truncated", "divided", "longest_wait", "closed", "tokens", "squares")


@dataclass(eq=False)
class _OpenRow:
    """A row that may still get sequences; `opened` counts those that the packer had got before."""

    opened: int
    sequences: Row = field(default_factory=list)


class OnlinePacker:
    """Packs sequences as they come into rows of `capacity` positions, a few of them open at a time.

    Parameters
    ----------
    capacity
        Positions per row.
    open_rows
        The most rows that wait for further sequences. More rows are filled better, and sequences
        wait longer: with 32, the rows of most documents are 99 % full.
    split
        What happens to a sequence over the capacity: ``"error"``, ``"truncate"`` or ``"split"``,
        as in `split_sequences`. The report tells how many.

    Raises
    ------
    ValueError
        If a number is too small or the policy unknown.

    Examples
    --------
    >>> packer = OnlinePacker(capacity=10, open_rows=2)
    >>> [packer.add(np.arange(n)) for n in (6, 7)]
    [[], []]
    >>> [[len(tokens) for tokens in row] for row in packer.add(np.arange(4))]
    [[6, 4]]
    >>> [[len(tokens) for tokens in row] for row in packer.flush()]
    [[7]]
    """

    def __init__(self, capacity: int, open_rows: int = 32, split: str = "error") -> None:
        self.capacity = check_capacity(capacity, split)
        self.open_rows = whole_number("open_rows", open_rows)
        self.split = split
        self._rows: dict[int, _OpenRow] = {}  # by number, in the order in which they were opened
        self._rooms: list[tuple[int, int]] = []  # (room left, number), ascending
        self._next_number = 0
        self._added = 0
        self._truncated = self._divided = 0
        self._longest_wait = 0
        self._closed = self._tokens = self._squares = 0
        self._counts: Counter[int] = Counter()  # of the lengths in closed rows

    def __len__(self) -> int:
        """The number of open rows."""
        return len(self._rows)

    def add(self, sequence: Tokens) -> list[Row]:
        """Take in a sequence, and return the rows that are closed because of it.

        A row is closed when it is full, or when it is the fullest and another one must be opened.

        Parameters
        ----------
        sequence
            1-D integers, not empty. They are copied.

        Returns
        -------
        list of list of ndarray
            For each closed row its sequences, int64, in the order in which they came.

        Raises
        ------
        ValueError
            If the sequence is over the capacity and `split` is ``"error"``, or it is not 1-D, is
            empty or has negative tokens. The packer is as it was before.
        TypeError
            If it does not hold integers.
        """
        tokens = as_tokens(sequence, self._added)
        if tokens.min() < 0:
            raise ValueError(f"tokens must be at least 0, but got {tokens.min()}")
        pieces = cut(tokens, self.capacity, self.split, self._added)
        if len(tokens) > self.capacity:
            self._truncated += self.split == "truncate"
            self._divided += self.split == "split"
        closed: list[Row] = []
        for piece in pieces:
            self._place(np.array(piece, dtype=np.int64), closed)
        self._added += 1
        return closed

    def _place(self, piece: NDArray[np.int64], closed: list[Row]) -> None:
        best = bisect_left(self._rooms, (len(piece), -1))
        if best < len(self._rooms):
            room, number = self._rooms.pop(best)
        else:
            if len(self._rows) == self.open_rows:
                closed.append(self._close(self._rooms.pop(0)[1], self._added))
            room, number = self.capacity, self._next_number
            self._rows[number] = _OpenRow(self._added)
            self._next_number += 1
        self._rows[number].sequences.append(piece)
        if room == len(piece):
            closed.append(self._close(number, self._added))
        else:
            insort(self._rooms, (room - len(piece), number))

    def _close(self, number: int, latest: int) -> Row:
        """Take out a row, closed on the arrival of the sequence `latest`, counted from 0."""
        row = self._rows.pop(number)
        lengths = [len(tokens) for tokens in row.sequences]
        self._counts.update(lengths)
        self._closed += 1
        self._tokens += sum(lengths)
        self._squares += sum(lengths) ** 2
        self._longest_wait = max(self._longest_wait, latest - row.opened)
        return row.sequences

    def flush(self) -> list[Row]:
        """Close all open rows, in the order in which they were opened, and return them."""
        self._rooms.clear()
        return [self._close(number, self._added - 1) for number in list(self._rows)]

    def report(self) -> PackingReport:
        """The figures of the rows closed so far; ``print`` shows them as a few lines of text."""
        lengths = np.array(sorted(self._counts), dtype=np.int64)
        counts = np.array([self._counts[length] for length in lengths.tolist()], dtype=np.int64)
        bound, bound_name = lower_bound(lengths, counts, self.capacity)
        rows = max(self._closed, 1)
        mean = self._tokens / rows
        spread = math.sqrt(max(self._squares / rows - mean**2, 0.0))
        return PackingReport(
            rows=self._closed,
            capacity=self.capacity,
            sequences=self._counts.total(),
            tokens=self._tokens,
            bound=bound,
            bound_name=bound_name,
            variation=spread / mean if mean else math.nan,
            num_truncated=self._truncated,
            num_split=self._divided,
            longest_wait=self._longest_wait if self._closed else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the packer holds, for ``json``: after loading it goes on just alike."""
        return {
            "capacity": self.capacity,
            "open_rows": self.open_rows,
            "split": self.split,
            "rows": [
                {"opened": row.opened, "sequences": [tokens.tolist() for tokens in row.sequences]}
                for row in self._rows.values()
            ],
            "added": self._added,
            "truncated": self._truncated,
            "divided": self._divided,
            "longest_wait": self._longest_wait,
            "closed": self._closed,
            "tokens": self._tokens,
            "squares": self._squares,
            "counts": [list(each) for each in sorted(self._counts.items())],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back a state that `state_dict` returned.

        Raises
        ------
        ValueError
            If it is no such state, or that of a packer with other settings. The packer is then as
            it was before.
        TypeError
            If a row of the state does not hold integers.
        """
        check_keys(state, {*_SETTINGS, *_NUMBERS, "rows", "counts"}, "the state of an OnlinePacker")
        for name in _SETTINGS:
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"the state is of a packer with {name}={state[name]!r}, but this one has "
                    f"{name}={getattr(self, name)!r}"
                )
        numbers = {name: whole_number(name, state[name], least=0) for name in _NUMBERS}
        counts = checked_counts(state["counts"], numbers["tokens"], self.capacity)
        found = checked_rows(state["rows"], numbers["added"], self.capacity, self.open_rows)
        # Numbers only order the rows, so they may start from 0 again.
        self._rows = {number: _OpenRow(*row) for number, row in enumerate(found)}
        self._rooms = sorted(
            (self.capacity - sum(map(len, row.sequences)), number)
            for number, row in self._rows.items()
        )
        self._next_number = len(self._rows)
        self._counts = counts
        self._added, self._longest_wait = numbers["added"], numbers["longest_wait"]
        self._truncated, self._divided = numbers["truncated"], numbers["divided"]
        self._closed, self._tokens = numbers["closed"], numbers["tokens"]
        self._squares = numbers["squares"]
