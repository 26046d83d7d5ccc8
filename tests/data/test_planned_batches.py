"""What all planned batch samplers share: the heaviest batches can come first."""

import numpy as np
import pytest

from tinytrain.data import BucketBatchSampler, PlannedBatchSampler


class InOrder(PlannedBatchSampler):
    """The items as they are, cut into batches of the given sizes."""

    def _order(self, random):
        return np.arange(len(self.lengths))


# Rows x width is 10, 21 and 20. The first has the longest row, the last the most rows.
LENGTHS, SIZES = [10, 7, 3, 3, 5, 5, 5, 2], [1, 3, 4]
LONGEST, HEAVIEST, LARGEST = [0], [1, 2, 3], [4, 5, 6, 7]


def test_the_batch_that_needs_most_memory_comes_first():
    for seed in range(8):
        batches = list(InOrder(LENGTHS, SIZES, seed=seed, longest_first=True))
        assert batches[0] == HEAVIEST
        assert sorted(batches[1:]) == [LONGEST, LARGEST]
    plain = {tuple(next(iter(InOrder(LENGTHS, SIZES, seed=seed)))) for seed in range(20)}
    assert len(plain) == 3


def test_the_widths_are_those_after_padding():
    """Rows x width is 13 and 12 as they are, and 16 and 24 in multiples of 8."""
    lengths, sizes = [13, 4, 4, 4], [1, 3]
    assert next(iter(InOrder(lengths, sizes, longest_first=True))) == [0]
    padded = InOrder(lengths, sizes, longest_first=True, multiple_of=8)
    assert next(iter(padded)) == [1, 2, 3]


@pytest.mark.parametrize("replicas", [2, 3])
def test_every_rank_begins_with_one_of_the_heaviest(replicas):
    lengths = [int(n) for n in np.random.default_rng(0).permutation(60) + 1]
    ranks = [
        InOrder(lengths, [5] * 12, longest_first=True, rank=rank, num_replicas=replicas)
        for rank in range(replicas)
    ]
    epoch = [list(rank) for rank in ranks]
    memory = [[len(batch) * max(lengths[i] for i in batch) for batch in e] for e in epoch]
    heaviest = sorted((m for rank in memory for m in rank), reverse=True)
    assert [rank[0] for rank in memory] == heaviest[:replicas]


def test_the_other_batches_stay_mixed_and_complete():
    lengths = np.random.default_rng(1).integers(1, 50, size=64)
    sampler = BucketBatchSampler(lengths, 4, longest_first=True)
    rests = []
    for epoch in range(6):
        plan = sampler.plan(epoch)
        assert sorted(np.concatenate(plan).tolist()) == list(range(64))
        memory = [len(batch) * int(lengths[batch].max()) for batch in plan]
        assert memory[0] == max(memory)
        rests.append(memory[1:])
    assert all(rest != sorted(rest, reverse=True) for rest in rests)
