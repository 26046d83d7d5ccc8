"""Sequence-length warm-up: training begins with short pieces of the sequences.

Attention over short rows is cheap, and early steps learn local structure anyway. Truncating would
throw tokens away, and with them the meaning of "a batch", "an epoch" and "tokens seen". Here a
batch keeps its sequences: they are cut into pieces that begin with the last token of the piece
before, so that every token but a sequence's first is the target of exactly one position. A batch
has just the targets that it has without warm-up, at every step.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinytrain.checks import whole_number
from tinytrain.data.dataset import Dataset
from tinytrain.data.length_checks import checked_lengths, round_up
from tinytrain.data.sampler import Sampler, load_sampler_state, sampler_state

__all__ = ["LengthWarmupBatchSampler", "Piece", "PieceDataset"]


class Piece(NamedTuple):
    """The entries start ... stop - 1 of sequence `item`: an index into a `PieceDataset`.

    `length` is that of the whole sequence, where whoever cut it knew; the data set checks it.

    Examples
    --------
    >>> PieceDataset([list("abcdef")])[Piece(item=0, start=2, stop=4)]
    ['c', 'd']
    """

    item: int
    start: int
    stop: int
    length: int | None = None


class PieceDataset(Dataset[Any]):
    """Pieces of sequences: ``data[Piece(item, start, stop)]`` is ``sequences[item][start:stop]``.

    Parameters
    ----------
    sequences
        Anything with ``sequences[i]`` and a length; a data set too.

    Examples
    --------
    >>> PieceDataset(["abcdef"])[Piece(0, 2, 5)]
    'cde'
    """

    def __init__(self, sequences: Any) -> None:
        self.sequences = sequences

    def __getitem__(self, index: Any) -> Any:
        """The piece, cut out of its sequence.

        Raises
        ------
        TypeError
            If it is asked for something else than a piece.
        IndexError
            If the sequence is shorter than the piece says.
        ValueError
            If it has another length than the piece was cut for, so that tokens would be lost.
        """
        if not isinstance(index, tuple) or len(index) not in (3, 4):
            raise TypeError(
                f"a PieceDataset is indexed by Piece(item, start, stop), not by {index!r}; "
                "use it with a LengthWarmupBatchSampler"
            )
        item, start, stop, length = Piece(*index)
        sequence = self.sequences[item]
        if not 0 <= start < stop <= len(sequence):
            raise IndexError(
                f"sequence {item} has {len(sequence)} entries, no piece {start}:{stop}; are "
                "these the sequences whose lengths the sampler was given?"
            )
        if length is not None and length != len(sequence):
            raise ValueError(
                f"sequence {item} has {len(sequence)} entries, but its pieces were cut for "
                f"{length}; give the sampler the lengths of just these sequences"
            )
        return sequence[start:stop]

    def __len__(self) -> int:
        """The number of sequences."""
        return len(self.sequences)


class LengthWarmupBatchSampler(Sampler[list[Piece]]):
    """Cuts the sequences of another batch sampler into pieces whose length grows with the batches.

    The longest piece of batch s is start + (full - start) s / warmup_batches, rounded down to a
    multiple, and `full_length` from batch `warmup_batches` on. A sequence is cut into as few
    pieces of nearly equal length as it takes. They lie in the same batch; so batches, their order
    and their targets are those of the wrapped sampler. A cut costs one position more, since the
    token there is the last of one piece and the first of the next: padded, the positions of a
    batch grow by less than the factor 1 + 2 / (longest - 1). A sampler with a budget promised
    fewer: over one, `max_tokens` says how many positions there is memory for, and less than cut
    batches may take is refused.

    For training on next tokens; a sequence with one label for the whole of it cannot be cut.
    Use it with a `PieceDataset`, and with `pad_collate`, or a packing of the pieces.

    Parameters
    ----------
    batch_sampler
        Lists of indices, the same number of them (its ``len``) in every epoch.
    lengths
        The length of every sequence, 1-D integers from 1.
    start_length
        The longest piece of the first batch, at least 2: a token and its target.
    warmup_batches
        After so many batches, over all epochs, pieces have their full length. It counts the
        batches of this rank, so with accumulation it is steps x accumulation_steps.
    full_length
        The longest piece after that; None means whole sequences.
    multiple_of
        Lengths during the warm-up are rounded down to a multiple of this, but not below
        `start_length`. Fewer different shapes are friendlier to a GPU.
    max_tokens
        The most positions that a batch may take, pieces x longest piece; for a wrapped sampler with
        a token budget, whose own it is by default.

    Raises
    ------
    ValueError
        If an argument is out of range, or a batch within the budget of the wrapped sampler could
        take more than `max_tokens` positions in pieces. The error tells how many.
    TypeError
        If the lengths are not integers.

    Notes
    -----
    The epochs that have been begun count in full, so that the length is a pure function of the
    epoch and the position in it: an epoch broken off does not delay the warm-up.

    References
    ----------
    C. Li, M. Zhang and Y. He, "The stability-efficiency dilemma: investigating sequence length
    warmup for training GPT models", arXiv:2108.06084, 2021 (by truncation).

    Examples
    --------
    >>> from tinytrain.data import BatchSampler, SequentialSampler
    >>> batches = BatchSampler(SequentialSampler(range(3)), 1, drop_last=False)
    >>> sampler = LengthWarmupBatchSampler(
    ...     batches, lengths=[9, 9, 9], start_length=3, warmup_batches=2
    ... )
    >>> for batch in sampler:
    ...     print([(piece.start, piece.stop) for piece in batch])
    [(0, 3), (2, 5), (4, 7), (6, 9)]
    [(0, 5), (4, 9)]
    [(0, 9)]
    """

    def __init__(
        self,
        batch_sampler: Any,
        lengths: ArrayLike,
        *,
        start_length: int,
        warmup_batches: int,
        full_length: int | None = None,
        multiple_of: int = 1,
        max_tokens: int | None = None,
    ) -> None:
        self.batch_sampler = batch_sampler
        self.lengths = checked_lengths(lengths)
        self.start_length = whole_number("start_length", start_length, least=2)
        self.warmup_batches = whole_number("warmup_batches", warmup_batches)
        longest = max(int(self.lengths.max()), self.start_length)
        self.full_length = longest
        if full_length is not None:
            self.full_length = whole_number("full_length", full_length, least=self.start_length)
        self.multiple_of = whole_number("multiple_of", multiple_of)
        self.max_tokens = self._checked_budget(max_tokens)
        self.batches_begun = 0  # those of the epochs begun so far

    def _checked_budget(self, max_tokens: int | None) -> int | None:
        budget: int | None = getattr(self.batch_sampler, "budget", None)
        if budget is None:
            if max_tokens is not None:
                raise ValueError(
                    f"max_tokens={max_tokens!r} cannot be promised: the wrapped "
                    f"{type(self.batch_sampler).__name__} has no token budget; use a "
                    "TokenBudgetBatchSampler, or leave max_tokens away"
                )
            return None
        allowed = budget
        if max_tokens is not None:
            allowed = whole_number("max_tokens", max_tokens)
        most = self._most_positions(budget)
        if most > allowed:
            raise ValueError(
                f"a batch within the budget of {budget:,} positions may take {most:,} when it is "
                f"cut into pieces of {self.start_length} tokens and more, because each cut costs "
                f"a position; that is over max_tokens={allowed}. If memory allows it, say "
                f"max_tokens={most}; or give the wrapped sampler a smaller budget, or choose a "
                "larger start_length"
            )
        return allowed

    def _most_positions(self, budget: int) -> int:
        """The most positions that pieces may take, of a batch that is within the budget uncut."""
        multiple_of = getattr(self.batch_sampler, "multiple_of", 1)
        longest = np.unique(self.lengths)  # of a batch; the others have at most as many pieces
        rows = np.maximum(budget // round_up(longest, multiple_of), 1)
        rows = np.minimum(rows, getattr(self.batch_sampler, "max_batch_size", None) or budget)
        most = int((rows * round_up(longest, multiple_of)).max())
        targets, shortest = longest - 1, self.start_length - 1
        for parts in range(2, -(-int(targets[-1]) // shortest) + 1):
            cut = np.searchsorted(targets, shortest * (parts - 1), side="right")  # others need less
            widths = round_up(-(-targets[cut:] // parts) + 1, multiple_of)
            most = max(most, int((rows[cut:] * parts * widths).max()))
        return most

    def length_at(self, batch: int) -> int:
        """The longest piece of a batch, counted from 0 over all epochs."""
        if batch >= self.warmup_batches:
            return self.full_length
        growth = (self.full_length - self.start_length) * batch // self.warmup_batches
        length = self.start_length + growth
        return max(length // self.multiple_of * self.multiple_of, self.start_length)

    def __iter__(self) -> Iterator[list[Piece]]:
        first, self.batches_begun = self.batches_begun, self.batches_begun + len(self)
        return self._batches(first, iter(self.batch_sampler))

    def _batches(self, first: int, batches: Iterator[Sequence[int]]) -> Iterator[list[Piece]]:
        for number, batch in enumerate(batches, start=first):
            # All pieces of a batch should be about as long as those of its longest sequence:
            # one that is a little longer than the limit must not make rows that are half empty.
            targets = [int(self.lengths[item]) - 1 for item in batch]
            most = max([*targets, 1])
            most = math.ceil(most / math.ceil(most / (self.length_at(number) - 1)))
            yield [
                Piece(item, start, stop + 1, int(self.lengths[item]))
                for item, count in zip(batch, targets, strict=True)
                for start, stop in pairwise(_cuts(count, most))
            ]

    def __len__(self) -> int:
        """The number of batches: that of the wrapped sampler."""
        return len(self.batch_sampler)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of this epoch, in the wrapped sampler too if it can."""
        self.batches_begun = whole_number("epoch", epoch, least=0) * len(self)
        if hasattr(self.batch_sampler, "set_epoch"):
            self.batch_sampler.set_epoch(epoch)

    def _settings(self) -> dict[str, int]:
        names = ("start_length", "warmup_batches", "full_length", "multiple_of")
        return {"batches": len(self), **{name: getattr(self, name) for name in names}}

    def _fingerprint(self) -> int:
        """A checksum of the lengths and settings."""
        words = json.dumps(self._settings(), sort_keys=True).encode()
        return zlib.crc32(words, zlib.crc32(self.lengths.astype("<i8").tobytes()))

    def state_dict(self) -> dict[str, Any] | None:
        """The state from which the next iteration starts; None if the wrapped sampler has none."""
        wrapped = sampler_state(self.batch_sampler)
        if wrapped is None:
            return None
        return {
            "batches_begun": self.batches_begun,
            "batch_sampler": wrapped,
            "settings": self._fingerprint(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a sampler with the same arguments.

        Raises
        ------
        ValueError
            If it is no such state, or of other lengths or settings. Nothing is changed then.
        """
        if set(state) != {"batches_begun", "batch_sampler", "settings"}:
            raise ValueError(
                "not the state of a LengthWarmupBatchSampler: expected the keys "
                f"['batch_sampler', 'batches_begun', 'settings'], but got {sorted(state)}"
            )
        if state["settings"] != self._fingerprint():
            raise ValueError(
                "the state is of a LengthWarmupBatchSampler with other lengths or settings than "
                f"this one's: {len(self.lengths)} lengths, {self._settings()}"
            )
        begun = whole_number("batches_begun", state["batches_begun"], least=0)
        load_sampler_state(self.batch_sampler, state["batch_sampler"])
        self.batches_begun = begun


def _cuts(targets: int, most: int) -> list[int]:
    """Where to cut so many targets into the fewest nearly equal parts of at most `most`."""
    parts = max(-(-targets // most), 1)
    return [part * targets // parts for part in range(parts + 1)]
