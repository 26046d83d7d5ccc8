"""Sequences that are too long for a row: refused, truncated, or cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.checks import whole_number
from tinytrain.data.length_checks import IntArray, checked_lengths

__all__ = ["CutPlan", "plan_cuts", "split_sequences"]

Tokens: TypeAlias = "NDArray[Any] | Sequence[int]"
"""The tokens of one sequence."""

LARGEST_CAPACITY = 2**31 - 1
"""The most positions of a row: the `cu_seqlens` of a batch are int32."""


@dataclass(frozen=True, eq=False)
class CutPlan:
    """Which part of which sequence each piece is; a sequence that fits is one piece.

    Parameters
    ----------
    sequence_lengths
        The length of every sequence before, int64 (N,).
    lengths
        The length of every piece, int64 (P,).
    sequences
        The sequence each piece is cut from, int64 (P,), ascending.
    starts
        The first token of each piece in its sequence, int64 (P,).

    Examples
    --------
    >>> from tinytrain.data import plan_packing
    >>> cuts = plan_packing([6, 2], capacity=3, split="split").cuts
    >>> cuts.take(1, np.array([5, 6, 7, 8, 9, 10]))
    array([7, 8, 9])
    """

    sequence_lengths: IntArray
    lengths: IntArray
    sequences: IntArray
    starts: IntArray

    @property
    def num_truncated(self) -> int:
        """How many sequences lost tokens."""
        ends = np.zeros(len(self.sequence_lengths), dtype=np.int64)
        np.maximum.at(ends, self.sequences, self.starts + self.lengths)
        return int((ends < self.sequence_lengths).sum())

    @property
    def num_split(self) -> int:
        """How many sequences became several pieces."""
        return int((np.bincount(self.sequences) > 1).sum())

    def take(self, piece: int, sequence: Tokens) -> NDArray[Any]:
        """Return the tokens of a piece, given the sequence that it is cut from.

        Raises
        ------
        ValueError
            If the sequence has another length than planned for, or is no sequence of tokens.
        TypeError
            If it does not hold integers.
        """
        number = int(self.sequences[piece])
        tokens = as_tokens(sequence, number)
        if len(tokens) != self.sequence_lengths[number]:
            raise ValueError(
                f"sequence {number} has {len(tokens)} tokens, but the plan was made for "
                f"{self.sequence_lengths[number]}"
            )
        start = int(self.starts[piece])
        return tokens[start : start + int(self.lengths[piece])]


def plan_cuts(lengths: ArrayLike, capacity: int, split: str = "error") -> CutPlan:
    """Plan how sequences of the given lengths become pieces of at most `capacity` tokens.

    Parameters
    ----------
    lengths
        1-D integers, at least 1.
    capacity
        The most tokens of a piece.
    split
        What happens to longer sequences, as in `split_sequences`.

    Raises
    ------
    ValueError
        If there are no lengths, one is below 1, one is over the capacity and `split` is
        ``"error"``, or an argument is invalid.
    TypeError
        If the lengths are not integers.

    Examples
    --------
    >>> cuts = plan_cuts([6, 2], capacity=3, split="split")
    >>> cuts.lengths, cuts.sequences, cuts.starts
    (array([3, 3, 2, 2]), array([0, 0, 0, 1]), array([0, 2, 4, 0]))
    """
    capacity = check_capacity(capacity, split)
    before = checked_lengths(lengths)
    if split == "error":
        _check_fit(before, capacity)
    if split == "split":
        step = max(capacity - 1, 1)
        pieces = np.where(before > capacity, -(-(before - 1) // step), 1)
    else:
        step, pieces = capacity, np.ones_like(before)
    sequences = np.repeat(np.arange(len(before)), pieces)
    first = np.cumsum(pieces) - pieces
    starts = (np.arange(len(sequences)) - np.repeat(first, pieces)) * step
    lengths_after = np.minimum(before[sequences] - starts, capacity)
    return CutPlan(before, lengths_after, sequences, starts)


def split_sequences(
    sequences: Sequence[Tokens], capacity: int, split: str = "error"
) -> list[NDArray[Any]]:
    """Make every sequence fit into `capacity` positions.

    Parameters
    ----------
    sequences
        1-D integer arrays, not empty.
    capacity
        The largest length allowed.
    split
        What happens to longer sequences. ``"error"``: raise. ``"truncate"``: keep the first
        `capacity` tokens. ``"split"``: cut it into pieces of at most `capacity` tokens, each
        of which begins with the last token of the piece before; so every token but the first
        is the target of exactly one position, as it would be in one piece. Each piece is then a
        sequence of its own, whose positions start from 0.

    Returns
    -------
    list of ndarray
        The sequences and pieces in order. They are views, not copies, of what was given.

    Raises
    ------
    ValueError
        If `split` is ``"error"`` and a sequence is too long, or an argument is invalid.
    TypeError
        If a sequence does not hold integers.

    Examples
    --------
    >>> split_sequences([np.arange(6), np.arange(2)], capacity=3, split="split")
    [array([0, 1, 2]), array([2, 3, 4]), array([4, 5]), array([0, 1])]
    """
    capacity = check_capacity(capacity, split)
    pieces: list[NDArray[Any]] = []
    for number, sequence in enumerate(sequences):
        pieces.extend(cut(as_tokens(sequence, number), capacity, split, number))
    return pieces


def cut(tokens: NDArray[Any], capacity: int, split: str, number: int) -> list[NDArray[Any]]:
    """Return the pieces of one sequence, as views; `number` names it in an error."""
    if len(tokens) <= capacity:
        return [tokens]
    if split == "truncate":
        return [tokens[:capacity]]
    if split == "split":
        starts = range(0, len(tokens) - 1, capacity - 1)
        return [tokens[start : start + capacity] for start in starts]
    raise ValueError(
        f"sequence {number} has {len(tokens)} tokens, more than the capacity "
        f"{capacity}; choose split='split' or split='truncate'"
    )


def check_capacity(capacity: int, split: str) -> int:
    """Return the capacity as an `int`; raise if it is out of range or the policy unknown."""
    if split not in ("error", "truncate", "split"):
        raise ValueError(f"split must be 'error', 'truncate' or 'split', but got {split!r}")
    checked = whole_number("capacity", capacity, least=2 if split == "split" else 1)
    if checked > LARGEST_CAPACITY:
        raise ValueError(
            f"capacity must be at most {LARGEST_CAPACITY:,}, what cu_seqlens (int32) can tell, but "
            f"got {checked:,}; it is the number of positions of one row"
        )
    return checked


def as_tokens(sequence: Tokens, number: int | None = None) -> NDArray[Any]:
    """Return a sequence as a 1-D array of integers, not empty; `number` names it in an error."""
    tokens = np.asarray(sequence)
    name = "a sequence" if number is None else f"sequence {number}"
    if tokens.ndim != 1 or tokens.size == 0:
        raise ValueError(
            f"{name} must be a 1-D array of tokens, not empty, but has the shape {tokens.shape}"
        )
    if tokens.dtype.kind not in "iu" or tokens.dtype == np.uint64:
        raise TypeError(f"{name} must hold integers that fit int64, but holds {tokens.dtype}")
    return tokens


def _check_fit(lengths: IntArray, capacity: int) -> None:
    over = np.flatnonzero(lengths > capacity)
    if over.size:
        raise ValueError(
            f"lengths must be in [1, {capacity}], but {over.size} of {lengths.size} are not, the "
            f"first at index {over[0]}: {lengths[over[0]]}; split='split' or split='truncate' "
            "makes longer ones fit"
        )
