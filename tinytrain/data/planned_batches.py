"""Batch samplers that plan a whole epoch from the lengths of its sequences.

A plan is a permutation of the items and a cut of it into batches. The cut, that is the sizes of the
batches, is the same in every epoch, so that ``len(sampler)`` is exact and never changes; the
permutation is a pure function of (seed, epoch), so that the whole state is two numbers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.checks import whole_number
from tinytrain.data.length_checks import IntArray, checked_lengths, round_up, true_or_false
from tinytrain.data.length_report import LengthReport
from tinytrain.data.ranks import check_rank, evened, split_evenly
from tinytrain.data.sampler import Sampler

__all__ = ["PlannedBatchSampler", "most_memory_first"]


class PlannedBatchSampler(Sampler[list[int]]):
    """Base class: define ``_order(random)``, the items of an epoch, batch after batch.

    Every iteration is one epoch and moves on to the next; the batches come in random order. All
    ranks plan the same epoch and take every n-th batch, the same number each.

    Parameters
    ----------
    lengths
        The length of every item, 1-D integers from 1.
    sizes
        How many items each batch has; `_order` returns as many as they add up to.
    seed
        A whole number from 0. Together with the epoch it decides everything.
    rank, num_replicas
        Which share of the batches is given, and of how many.
    uneven
        What to do when the number of batches does not divide by the number of ranks: "split" the
        largest, "drop" the last or "repeat" the first; see `tinytrain.data.ranks`.
    longest_first
        Begin with the batches that need most memory (one on each rank), by `most_memory_first`. If
        memory runs out, it does so at once.
    multiple_of
        Rows are padded to a multiple of this; the report counts with it.
    settings
        What else decides the plan, for ``json``; a state of other settings is refused.

    Raises
    ------
    ValueError
        If an argument is out of range, or the ranks cannot get the same number of batches.
    TypeError
        If the lengths are not integers.

    Examples
    --------
    >>> class Pairs(PlannedBatchSampler):
    ...     def _order(self, random):
    ...         return random.permutation(len(self.lengths))
    >>> sampler = Pairs([5, 6, 7, 8], sizes=[2, 2])
    >>> epochs = [list(sampler), list(sampler)]
    >>> [sorted(sum(batches, [])) for batches in epochs]
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    >>> sampler.epoch
    2
    """

    budget: int | None = None

    def __init__(
        self,
        lengths: ArrayLike,
        sizes: ArrayLike,
        *,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        uneven: str = "split",
        longest_first: bool = False,
        multiple_of: int = 1,
        settings: dict[str, Any] | None = None,
    ) -> None:
        check_rank(rank, num_replicas, uneven)
        self.lengths = checked_lengths(lengths)
        self.seed = whole_number("seed", seed, least=0)
        self.rank, self.num_replicas, self.uneven = int(rank), int(num_replicas), uneven
        self.longest_first = true_or_false("longest_first", longest_first)
        self.multiple_of = whole_number("multiple_of", multiple_of)
        self.epoch = 0
        self._settings = settings or {}
        self._sizes = np.asarray(sizes, dtype=np.int64)
        if len(self._sizes) == 0:
            raise ValueError("the epoch would have no batch: there are too few items")
        if uneven == "split":
            self._sizes = split_evenly(self._sizes, num_replicas)
        self._num_batches = len(evened(self._sizes.tolist(), num_replicas, uneven))

    def _order(self, random: np.random.Generator) -> IntArray:
        """The items of an epoch in the order in which they fill the batches."""
        raise NotImplementedError(f"{type(self).__name__} must define _order")

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of an epoch, of all ranks: rank r of n takes ``plan(epoch)[r::n]``."""
        key = [self.seed, whole_number("epoch", epoch, least=0)]
        random = np.random.default_rng(np.random.SeedSequence(key))
        items = self._order(random)
        turns = random.permutation(len(self._sizes))
        if self.longest_first:
            turns = self._heaviest_first(items, turns)
        batches = np.split(items, np.cumsum(self._sizes)[:-1])
        in_turn = [batches[turn] for turn in turns.tolist()]
        return evened(in_turn, self.num_replicas, self.uneven)

    def _heaviest_first(self, items: IntArray, turns: IntArray) -> IntArray:
        widths = round_up(
            np.maximum.reduceat(self.lengths[items], np.cumsum(self._sizes) - self._sizes),
            self.multiple_of,
        )
        first = most_memory_first(self._sizes[turns], widths[turns])[: self.num_replicas]
        return np.concatenate([turns[first], np.delete(turns, first)])

    def __iter__(self) -> Iterator[list[int]]:
        share = self.plan(self.epoch)[self.rank :: self.num_replicas]
        self.epoch += 1
        return (batch.tolist() for batch in share)

    def __len__(self) -> int:
        """The number of batches of this rank, the same in every epoch and on every rank."""
        return self._num_batches // self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of this epoch."""
        self.epoch = whole_number("epoch", epoch, least=0)

    def report(self, epoch: int | None = None) -> LengthReport:
        """The figures of an epoch, by default the next one, of all ranks together."""
        batches = self.plan(self.epoch if epoch is None else epoch)
        return LengthReport.of(self.lengths, batches, self.multiple_of, self.budget)

    def state_dict(self) -> dict[str, Any]:
        """The state from which the next iteration starts: a few numbers, the same on all ranks."""
        return {"seed": self.seed, "epoch": self.epoch, "plan": self._fingerprint()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a sampler with the same lengths and settings.

        The seed is taken from the state; the rank stays.

        Raises
        ------
        ValueError
            If it is no such state. The sampler is then unchanged.
        """
        if set(state) != {"seed", "epoch", "plan"}:
            raise ValueError(
                f"not the state of a {type(self).__name__}: expected the keys "
                f"['epoch', 'plan', 'seed'], but got {sorted(state)}"
            )
        if state["plan"] != self._fingerprint():
            raise ValueError(
                f"the state is of a {type(self).__name__} with other lengths, another number of "
                f"ranks or other settings than this one's: {len(self.lengths)} lengths, "
                f"{self.num_replicas} ranks, {self._settings}"
            )
        seed = whole_number("seed", state["seed"], least=0)
        self.epoch = whole_number("epoch", state["epoch"], least=0)
        self.seed = seed

    def _fingerprint(self) -> int:
        """A checksum of all that decides the plan besides seed and epoch."""
        shared = [self.num_replicas, self.uneven, self.longest_first, self.multiple_of]
        words = json.dumps([type(self).__name__, *shared, self._settings], sort_keys=True)
        return zlib.crc32(words.encode(), zlib.crc32(self.lengths.astype("<i8").tobytes()))


NEARLY_AS_MANY = 0.95
"""A batch with this share of the most positions counts as one with as many."""


def most_memory_first(rows: IntArray, widths: IntArray) -> IntArray:
    """Order batches by the memory that a step with them needs, most first; earlier ones at a tie.

    What a model keeps for its backward pass grows with the positions of a batch, rows x width.
    Attention adds to it: with tiles in proportion to the positions again, with all scores at once
    rows x width², which beside the rest is little for short rows (in a `GPT` of width 128 a
    seventh at 100 positions a row, two fifths at 400). So the order is by positions, except that
    of the batches that have nearly the most, 95 % or more, those with the widest rows come first.

    Parameters
    ----------
    rows, widths
        int64 (B,) each: the sequences of every batch, and the positions of each, padding included.

    Returns
    -------
    ndarray
        The batches by number, int64 (B,).

    Examples
    --------
    >>> most_memory_first(np.array([1, 32, 16]), np.array([250, 40, 79]))
    array([2, 1, 0])
    """
    positions = rows * widths
    nearly_most = positions >= NEARLY_AS_MANY * positions.max()
    return np.lexsort((-widths, -positions, -widths * nearly_most))
