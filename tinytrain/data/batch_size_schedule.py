"""A batch size that grows with the tokens seen: small batches first, when gradients agree."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain, cycle, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinytrain.checks import whole_number
from tinytrain.data.length_checks import IntArray, checked_lengths
from tinytrain.data.length_report import LengthReport
from tinytrain.data.ranks import check_rank, checked_drop_last, split_evenly
from tinytrain.data.sampler import Sampler

__all__ = ["ScheduledBatchSampler"]


class ScheduledBatchSampler(Sampler[list[int]]):
    """Batches of a whole training run, whose size follows a schedule by tokens.

    One iteration is all `epochs` passes over the data, one after the other, each in a random
    order of its own. A batch may reach from one pass into the next; only the last of the run may
    be smaller than the schedule says. Its length is known from the start, so that a schedule of
    the learning rate over ``len(sampler)`` batches ends where the run ends. (With an iteration
    per pass the number of batches would change from pass to pass.)

    It is meant for items of about one length: packed rows, blocks of a text. For ragged
    sequences, which should share batches with their like, see `TokenBudgetBatchSampler`.

    Parameters
    ----------
    lengths
        The tokens of every item, 1-D integers from 1.
    schedule
        From how many tokens on, counted over all ranks before the batch, which number of items
        per batch and rank: ``{0: 8, 1_000_000: 16}``.
    epochs
        How many passes an iteration makes.
    drop_last
        Leave out the last batch of the run if it is smaller; then also what does not divide by
        the number of ranks.
    seed
        A whole number from 0. Pass p has the order of (seed, p).
    rank, num_replicas
        Which share of the batches is given, and of how many.
    uneven
        What to do when the batches of the run do not divide by the number of ranks: "split" the
        largest of the last step (of the last few, if it has not one item for each rank), "drop" the
        last or "repeat" the first.

    Raises
    ------
    ValueError
        If an argument is out of range, or no batch is left.
    TypeError
        If the lengths are not integers.

    Notes
    -----
    Every iteration is the same run, a pure function of the arguments; a `DataLoader` resumes in
    it by position, in the run of the seed that is in the state. Where lengths differ, another seed
    may give another number of batches; a loader then refuses the state. Steps get rarer as batches
    grow: what the optimizer's learning rate should make of that is told in
    `tinytrain.optim.scaling`.

    References
    ----------
    S. McCandlish et al., "An empirical model of large-batch training", arXiv:1812.06162, 2018;
    S. L. Smith et al., "Don't decay the learning rate, increase the batch size",
    arXiv:1711.00489, 2017.

    Examples
    --------
    >>> sampler = ScheduledBatchSampler([10] * 6, {0: 1, 30: 2, 80: 4}, epochs=3, seed=1)
    >>> [len(batch) for batch in sampler]
    [1, 1, 1, 2, 2, 2, 4, 4, 1]
    >>> len(sampler)
    9
    """

    def __init__(
        self,
        lengths: ArrayLike,
        schedule: Mapping[int, int],
        *,
        epochs: int = 1,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        uneven: str = "split",
    ) -> None:
        check_rank(rank, num_replicas, uneven)
        self.lengths = checked_lengths(lengths)
        self.schedule = _checked_schedule(schedule)
        self.epochs = whole_number("epochs", epochs)
        self.seed = whole_number("seed", seed, least=0)
        self.drop_last = checked_drop_last(drop_last)
        self.rank, self.num_replicas, self.uneven = int(rank), int(num_replicas), uneven
        self._sizes = self._batch_sizes(self.seed)
        if len(self._sizes) == 0:
            raise ValueError(
                f"{self.epochs} epochs of {len(self.lengths)} items give no batch for each of "
                f"{num_replicas} ranks; choose smaller batches or drop_last=False"
            )

    def _batch_sizes(self, seed: int) -> IntArray:
        """The sizes of all batches of the run, of all ranks, without those to be repeated."""
        stages = list(self.schedule.items())
        ends = [self._items_before(tokens, seed) for tokens, _ in stages[1:]]
        items = self.epochs * len(self.lengths)
        parts: list[IntArray] = []
        start = 0
        for (_, size), end in zip(stages, [*ends, items], strict=True):
            # All ranks change the size in the same step.
            step = size * self.num_replicas
            steps = max(-(-(end - start) // step), 0)
            steps = min(steps, (items - start) // step)
            parts.append(np.full(steps * self.num_replicas, size))
            start += steps * step
            if end > start:  # the run ends within this stage
                parts.append(self._last_sizes(items - start, size))
                break
        sizes = np.concatenate(parts)
        if self.drop_last or self.uneven == "repeat":
            return sizes
        if self.uneven == "split":
            return self._with_last_steps_split(sizes)
        return sizes[: len(sizes) // self.num_replicas * self.num_replicas]

    def _with_last_steps_split(self, sizes: IntArray) -> IntArray:
        """Split batches of the last step alone: one cut earlier would move all ranks' later ones.

        If it has fewer items than there are ranks, the step before it is taken to it, and so on.
        """
        whole = len(sizes) // self.num_replicas * self.num_replicas
        if whole == len(sizes):
            return sizes
        starts = np.arange(whole, -1, -self.num_replicas)
        items = sizes.sum() - (np.cumsum(sizes) - sizes)[starts]
        enough = items >= whole - starts + self.num_replicas
        start = starts[enough.argmax()] if enough.any() else 0
        return np.concatenate([sizes[:start], split_evenly(sizes[start:], self.num_replicas)])

    def _last_sizes(self, items: int, size: int) -> IntArray:
        """The sizes of the batches that a full step of all ranks is not left for."""
        full, rest = divmod(items, size)
        if self.drop_last:
            full, rest = 0, 0
        return np.array([size] * full + [rest] * (rest > 0), dtype=np.int64)

    def _items_before(self, tokens: int, seed: int) -> int:
        """The number of items of the run after which so many tokens have been seen."""
        passes, rest = divmod(tokens, int(self.lengths.sum()))
        if passes >= self.epochs:
            return self.epochs * len(self.lengths)
        seen = np.cumsum(self.lengths[self._pass(passes, seed)])
        within = int(np.searchsorted(seen, rest)) + 1 if rest else 0
        return passes * len(self.lengths) + within

    def _pass(self, number: int, seed: int) -> IntArray:
        random = np.random.default_rng(np.random.SeedSequence([seed, number]))
        return random.permutation(len(self.lengths))

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._all_batches(self.seed, self._sizes)
        return islice(batches, self.rank, None, self.num_replicas)

    def _all_batches(self, seed: int, sizes: IntArray) -> Iterator[list[int]]:
        """The batches of all ranks in turn; the passes are drawn one after the other."""
        passes = (self._pass(number, seed).tolist() for number in range(self.epochs))
        items = chain.from_iterable(passes)
        missing = -len(sizes) % self.num_replicas
        first: list[list[int]] = []
        for size in sizes.tolist():
            batch = list(islice(items, size))
            if len(first) < missing:
                first.append(batch)
            yield batch
        yield from islice(cycle(first), missing)

    def __len__(self) -> int:
        """The number of batches of the run for this rank, the same on every rank."""
        return math.ceil(len(self._sizes) / self.num_replicas)

    def report(self) -> LengthReport:
        """The figures of the whole run, of all ranks together."""
        return LengthReport.of(self.lengths, list(self._all_batches(self.seed, self._sizes)))

    def state_dict(self) -> dict[str, Any]:
        """What decides the run, the same on all ranks: the seed, and a checksum of the settings."""
        return {"seed": self.seed, "plan": self._fingerprint()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the run that of a state, of a sampler with the same lengths and settings.

        The seed is taken from the state; the rank stays.

        Raises
        ------
        ValueError
            If it is no such state. The sampler is then unchanged.
        """
        if set(state) != {"seed", "plan"}:
            raise ValueError(
                "not the state of a ScheduledBatchSampler: expected the keys ['plan', 'seed'], but "
                f"got {sorted(state)}"
            )
        if state["plan"] != self._fingerprint():
            raise ValueError(
                "the state is of a ScheduledBatchSampler with other lengths, another number of "
                f"ranks or other settings than this one's: {len(self.lengths)} lengths, "
                f"{self.num_replicas} ranks, {self._settings()}"
            )
        seed = whole_number("seed", state["seed"], least=0)
        self._sizes = self._batch_sizes(seed)
        self.seed = seed

    def _settings(self) -> dict[str, Any]:
        schedule = list(self.schedule.items())
        return {"schedule": schedule, "epochs": self.epochs, "drop_last": self.drop_last}

    def _fingerprint(self) -> int:
        """A checksum of all that decides the run besides the seed."""
        words = json.dumps([self.num_replicas, self.uneven, self._settings()], sort_keys=True)
        return zlib.crc32(words.encode(), zlib.crc32(self.lengths.astype("<i8").tobytes()))


def _checked_schedule(schedule: Mapping[int, int]) -> dict[int, int]:
    if not isinstance(schedule, Mapping):
        raise TypeError(
            "a schedule is a dict of tokens and batch sizes, such as {0: 8, 1_000_000: 16}, but "
            f"got {schedule!r}"
        )
    checked = {
        whole_number("a number of tokens", tokens, least=0): whole_number("a batch size", size)
        for tokens, size in schedule.items()
    }
    if 0 not in checked:
        raise ValueError(
            f"a schedule says with which batch size to begin, {{0: ...}}, but got {dict(schedule)}"
        )
    return dict(sorted(checked.items()))
