"""Buckets: batches of a fixed number of sequences whose lengths are alike, so little is padded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from tinytrain.checks import whole_number
from tinytrain.data.length_checks import IntArray, checked_lengths
from tinytrain.data.planned_batches import PlannedBatchSampler
from tinytrain.data.ranks import checked_drop_last

__all__ = ["BucketBatchSampler"]


class BucketBatchSampler(PlannedBatchSampler):
    """Batches of `batch_size` sequences of similar length, mixed anew in every epoch.

    Two ways to bring similar lengths together:

    **Sorted pools** (the default). The items are shuffled and parted into pools of
    `batches_per_pool` batches; each pool is sorted by length x (1 + u), u uniform in
    [-noise, noise], and cut into batches. Larger pools pad less, more noise mixes more.

    **Boundaries.** Bucket k holds the lengths above ``boundaries[k - 1]`` up to and including
    ``boundaries[k]``; what is longer than the last boundary goes to an overflow bucket. Each
    bucket is shuffled and cut into batches, so that its last one may be smaller.

    The batches then come in random order. Every item occurs once in an epoch, unless `drop_last`
    or `uneven` says otherwise, and no batch is empty. Give it to a `DataLoader` as
    `batch_sampler`, with `pad_collate` or a collate function around `pad_sequences`.

    Batches of a fixed number of rows differ in their number of tokens, up to the ratio of the
    longest length to the shortest. Two consequences: memory is decided by the largest batch (see
    `longest_first`), and a loss that averages each batch by itself weighs a token of a short
    sequence several times as much as one of a long sequence. Sum the losses and divide once, as
    the trainer does. `TokenBudgetBatchSampler` makes even batches.

    Parameters
    ----------
    lengths
        The length of every sequence, 1-D integers from 1.
    batch_size
        Sequences per batch.
    boundaries
        Rising lengths; None means sorted pools.
    batches_per_pool, noise
        Of sorted pools, see above; without effect on boundaries.
    drop_last
        Leave out the batches with fewer than `batch_size` sequences; which sequences these are
        is another random choice in every epoch.
    seed
        A whole number from 0. The order is a pure function of (seed, epoch).
    rank, num_replicas
        Which share of the batches is given, and of how many.
    uneven
        What to do when the batches do not divide by the number of ranks: "split" the largest,
        "drop" the last or "repeat" the first.
    longest_first
        Begin with the batch that needs most memory.
    multiple_of
        Rows are padded to a multiple of this; only the report depends on it.

    Raises
    ------
    ValueError
        If an argument is out of range, `drop_last` leaves no batch, or `drop_last` meets
        ``uneven="split"`` with several ranks: it promises batches of one size.
    TypeError
        If the lengths are not integers.

    References
    ----------
    Pools sorted with noise are those of AllenNLP's BucketBatchSampler; boundaries with an
    overflow those of TensorFlow's bucket_by_sequence_length (there a length equal to a boundary
    belongs to the bucket above).

    Examples
    --------
    >>> lengths = [2, 30, 3, 28]
    >>> sampler = BucketBatchSampler(lengths, batch_size=2, boundaries=[10], seed=1)
    >>> sorted(sorted(lengths[i] for i in batch) for batch in sampler)
    [[2, 3], [28, 30]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        batch_size: int,
        *,
        boundaries: Sequence[int] | None = None,
        batches_per_pool: int = 100,
        noise: float = 0.05,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        uneven: str = "split",
        longest_first: bool = False,
        multiple_of: int = 1,
    ) -> None:
        checked = checked_lengths(lengths)
        self.batch_size = whole_number("batch_size", batch_size)
        self.batches_per_pool = whole_number("batches_per_pool", batches_per_pool)
        if not isinstance(noise, int | float | np.number) or not 0 <= noise < 1:
            raise ValueError(f"noise must be in [0, 1), but got {noise!r}")
        self.drop_last = checked_drop_last(drop_last, num_replicas, uneven)
        self.noise = float(noise)
        self.boundaries = None if boundaries is None else _checked_boundaries(boundaries)
        if self.boundaries is None:
            self._bucket_of = np.zeros(len(checked), dtype=np.int64)
        else:
            self._bucket_of = np.searchsorted(self.boundaries, checked)
        counts = np.bincount(self._bucket_of)
        counts -= counts % self.batch_size if self.drop_last else 0
        if counts.sum() == 0:
            raise ValueError(
                f"drop_last=True leaves no batch: no bucket of these {len(checked)} items has "
                f"{self.batch_size} of them"
            )
        super().__init__(
            checked,
            [size for count in counts.tolist() for size in _sizes(count, self.batch_size)],
            seed=seed,
            rank=rank,
            num_replicas=num_replicas,
            uneven=uneven,
            longest_first=longest_first,
            multiple_of=multiple_of,
            settings={
                "batch_size": self.batch_size,
                "boundaries": self.boundaries,
                "batches_per_pool": self.batches_per_pool,
                "noise": self.noise,
                "drop_last": self.drop_last,
            },
        )

    def _order(self, random: np.random.Generator) -> IntArray:
        items = random.permutation(len(self.lengths))
        if self.boundaries is not None:
            items = items[np.argsort(self._bucket_of[items], kind="stable")]
        if self.drop_last:
            items = self._without_rests(items)
        return items if self.boundaries is not None else self._sort_pools(items, random)

    def _without_rests(self, items: IntArray) -> IntArray:
        """Leave out the last items of each bucket, those that do not fill a batch."""
        counts = np.bincount(self._bucket_of)
        place = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
        return items[place < np.repeat(counts - counts % self.batch_size, counts)]

    def _sort_pools(self, items: IntArray, random: np.random.Generator) -> IntArray:
        pools = np.arange(len(items)) // (self.batch_size * self.batches_per_pool)
        noisy = self.lengths[items] * random.uniform(1 - self.noise, 1 + self.noise, len(items))
        return items[np.lexsort((noisy, pools))]


def _sizes(count: int, batch_size: int) -> list[int]:
    full, rest = divmod(count, batch_size)
    return [batch_size] * full + [rest] * (rest > 0)


def _checked_boundaries(boundaries: Sequence[int]) -> list[int]:
    if isinstance(boundaries, str) or not isinstance(boundaries, Sequence | np.ndarray):
        raise TypeError(
            f"boundaries must be a sequence of rising lengths, such as [10], but got {boundaries!r}"
        )
    checked = [whole_number("a boundary", boundary) for boundary in boundaries]
    if not checked or any(low >= high for low, high in pairwise(checked)):
        raise ValueError(f"boundaries must be rising and not empty, but got {list(boundaries)}")
    return checked
