"""The token budget: rows x longest within it, every item once, as few batches as can be."""

import functools
import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinytrain.data import DataLoader, TokenBudgetBatchSampler, pad_collate, repeat_mates
from tinytrain.data.planned_batches import most_memory_first
from tinytrain.testing import check_sampler


def document_lengths(count):
    """Log-normal lengths of documents, in 1 ... 1024."""
    drawn = np.random.default_rng(0).lognormal(4.5, 0.8, count)
    return np.clip(np.rint(drawn), 1, 1024).astype(int)


def lag_correlation(values):
    return np.corrcoef(values[1:], values[:-1])[0, 1]


def width_of(lengths, multiple_of):
    width = max(lengths)
    while width % multiple_of:
        width += 1
    return width


# ---------------------------------------------------------------- quality


@pytest.mark.parametrize("replicas", [1, 4])
def test_documents(replicas):
    """Little padding, even batches, no order in the lengths, other mates in every epoch."""
    lengths = document_lengths(20_000)
    ranks = [
        TokenBudgetBatchSampler(lengths, 4096, rank=rank, num_replicas=replicas)
        for rank in range(replicas)
    ]
    report = ranks[0].report()
    assert report.padding_share <= 0.05
    assert report.variation <= 0.1
    assert report.largest <= 4096
    assert {len(list(rank)) for rank in ranks} == {len(ranks[0])}
    for epoch in range(3):
        batches = ranks[0].plan(epoch)
        assert sorted(np.concatenate(batches).tolist()) == list(range(20_000))
        assert all(len(batch) * lengths[batch].max() <= 4096 for batch in batches)
        assert abs(lag_correlation([lengths[batch].mean() for batch in batches])) <= 0.1
        assert repeat_mates(batches, ranks[0].plan(epoch + 1)) <= 0.08


def test_more_batches_per_bucket_mix_more_and_pad_more():
    lengths = document_lengths(5_000)
    padding, mates = [], []
    for batches_per_bucket in (1, 4, 16, 10_000):
        sampler = TokenBudgetBatchSampler(lengths, 4096, batches_per_bucket=batches_per_bucket)
        padding.append(sampler.report().padding_share)
        mates.append(repeat_mates(sampler.plan(0), sampler.plan(1)))
    assert padding == sorted(padding)
    assert padding[0] < 0.02
    assert mates == sorted(mates, reverse=True)
    assert mates[0] == 1


# ---------------------------------------------------------------- any lengths


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    budget=st.integers(1, 100),
    multiple_of=st.integers(1, 9),
    max_batch_size=st.none() | st.integers(1, 6),
    batches_per_bucket=st.integers(1, 5),
    replicas=st.integers(1, 4),
    longest_first=st.booleans(),
    too_long=st.sampled_from(["alone", "truncate"]),
    seed=st.integers(0, 5),
)
def test_every_item_once_within_the_budget(
    lengths,
    budget,
    multiple_of,
    max_batch_size,
    batches_per_bucket,
    replicas,
    longest_first,
    too_long,
    seed,
):
    assume(budget >= multiple_of)
    make = functools.partial(
        TokenBudgetBatchSampler,
        lengths,
        budget,
        multiple_of=multiple_of,
        max_batch_size=max_batch_size,
        batches_per_bucket=batches_per_bucket,
        longest_first=longest_first,
        too_long=too_long,
        seed=seed,
    )
    if -(-len(make()) // replicas) * replicas > len(lengths):
        with pytest.raises(ValueError, match="cannot be split into the same number of batches"):
            make(num_replicas=replicas)
        return
    ranks = [make(rank=rank, num_replicas=replicas) for rank in range(replicas)]
    for _ in range(2):
        epoch = [list(rank) for rank in ranks]
        assert {len(batches) for batches in epoch} == {len(rank) for rank in ranks}
        batches = list(itertools.chain.from_iterable(epoch))
        assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) <= (max_batch_size or len(lengths))
            longest = width_of([min(lengths[i], ranks[0].max_length) for i in batch], multiple_of)
            real = width_of([lengths[i] for i in batch], multiple_of)
            assert len(batch) * longest <= budget
            assert real <= budget or too_long == "truncate" or len(batch) == 1


def fewest_batches(lengths, budget):
    """Try every way to part the items."""

    @functools.cache
    def fewest(left):
        if not left:
            return 0
        first, *others = left
        best = len(left)
        for count in range(len(others) + 1):
            for mates in itertools.combinations(others, count):
                batch = [first, *mates]
                if len(batch) * max(lengths[i] for i in batch) <= budget:
                    rest = tuple(i for i in others if i not in mates)
                    best = min(best, 1 + fewest(rest))
        return best

    return fewest(tuple(range(len(lengths))))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(12, 40))
def test_with_buckets_of_one_batch_no_plan_needs_fewer(lengths, budget):
    sampler = TokenBudgetBatchSampler(lengths, budget, batches_per_bucket=1)
    assert len(sampler) == fewest_batches(lengths, budget)


# ---------------------------------------------------------------- what does not fit


def test_an_item_that_does_not_fit():
    lengths = [3, 20, 4, 12]
    with pytest.raises(
        ValueError,
        match=r"2 of 4 sequences are longer than the 8 positions that max_tokens=11 allows a row, "
        r"the first at index 1: 20; choose too_long='alone'",
    ):
        TokenBudgetBatchSampler(lengths, 11, multiple_of=4)
    alone = TokenBudgetBatchSampler(lengths, 11, multiple_of=4, too_long="alone")
    assert sorted(map(sorted, alone)) == [[0, 2], [1], [3]]
    cut = TokenBudgetBatchSampler(lengths, 11, multiple_of=4, too_long="truncate")
    assert cut.max_length == 8
    assert sorted(map(sorted, cut)) == [[0, 2], [1], [3]]
    assert cut.report().largest == 8


def test_items_that_are_alone_do_not_part_the_others():
    lengths = [100, 101, *[5] * 8]
    sampler = TokenBudgetBatchSampler(lengths, 20, too_long="alone")
    assert sorted(map(len, sampler)) == [1, 1, 4, 4]


def test_truncation_reaches_the_collate_function():
    sequences = [np.arange(n) for n in (3, 20, 4, 12)]
    sampler = TokenBudgetBatchSampler([len(s) for s in sequences], 10, too_long="truncate")
    collate = functools.partial(pad_collate, max_length=sampler.max_length, too_long="truncate")
    shapes = [
        batch.input_ids.shape
        for batch in DataLoader(sequences, batch_sampler=sampler, collate_fn=collate)
    ]
    assert sorted(shapes) == [(1, 10), (1, 10), (2, 4)]
    refusing = DataLoader(
        sequences,
        batch_sampler=sampler,
        collate_fn=functools.partial(pad_collate, max_length=sampler.max_length),
    )
    with pytest.raises(ValueError, match="longer than max_length=10"):
        list(refusing)


def test_the_longest_can_come_first():
    lengths = document_lengths(500)
    ranks = [
        TokenBudgetBatchSampler(lengths, 4096, longest_first=True, rank=rank, num_replicas=2)
        for rank in range(2)
    ]
    firsts = set()
    for epoch in range(3):
        plan = ranks[0].plan(epoch)
        widths = np.array([lengths[batch].max() for batch in plan])
        order = most_memory_first(np.array([len(batch) for batch in plan]), widths)
        assert order[:2].tolist() == [0, 1]  # one for each rank
        assert widths[0] >= 500  # rows are the longest of those that fill the budget
        firsts.add(tuple(next(iter(ranks[0]))))
    assert len(firsts) > 1


# ---------------------------------------------------------------- contract


def test_it_keeps_the_contract_of_samplers():
    lengths = document_lengths(200)
    checks = check_sampler(lambda seed: TokenBudgetBatchSampler(lengths, 2048, seed=seed), 200)
    assert "state" in checks


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], 10), ValueError, r"1-D and not empty, but got the shape \(0,\)"),
        (([[1]], 10), ValueError, r"1-D and not empty, but got the shape \(1, 1\)"),
        (([1.5], 10), TypeError, "must be integers that fit int64, but got float64"),
        (([2, 0], 10), ValueError, "1 of 2 are not, the first at index 1: 0"),
        (([1], 0), ValueError, "max_tokens must be a whole number of at least 1, but got 0"),
        (([1], 2.5), ValueError, r"max_tokens must be a whole number of at least 1, but got 2\.5"),
        (([1], True), ValueError, "max_tokens must be a whole number"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        TokenBudgetBatchSampler(*arguments)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"multiple_of": 11}, "max_tokens=10 holds no row of a multiple of 11"),
        ({"multiple_of": 0}, "multiple_of must be a whole number"),
        ({"max_batch_size": 0}, "max_batch_size must be a whole number"),
        ({"batches_per_bucket": 0}, "batches_per_bucket must be a whole number"),
        ({"too_long": "split"}, "too_long must be 'error', 'alone' or 'truncate', but got 'split'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, but got -1"),
        ({"rank": 2, "num_replicas": 2}, "rank must be one of the 2 ranks from 0, but got 2"),
        ({"num_replicas": 0}, "num_replicas must be a whole number"),
        ({"uneven": "pad"}, "uneven must be 'split', 'drop' or 'repeat', but got 'pad'"),
    ],
)
def test_settings_are_checked(settings_, message):
    with pytest.raises(ValueError, match=message):
        TokenBudgetBatchSampler([1, 2, 3], 10, **settings_)


def test_numpy_integers_are_integers():
    sampler = TokenBudgetBatchSampler(np.array([3, 4], np.int16), np.int64(8), seed=np.int64(1))
    assert [sorted(batch) for batch in sampler] == [[0, 1]]
    assert type(sampler.state_dict()["seed"]) is int


@pytest.mark.slow
def test_planning_is_quick():
    """The best of five, so that a busy machine does not decide."""

    def seconds(count):
        lengths = document_lengths(count)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            list(TokenBudgetBatchSampler(lengths, 4096))
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(20_000) <= 0.2
    assert seconds(100_000) <= 0.5


# ---------------------------------------------------------------- small sets and outliers


@pytest.mark.parametrize("count", [50, 200, 500, 1_000, 2_000, 5_000])
def test_small_sets_need_few_batches_more_than_without_mixing(count):
    lengths = document_lengths(count)
    sampler = TokenBudgetBatchSampler(lengths, 4096)
    fewest = len(TokenBudgetBatchSampler(lengths, 4096, batches_per_bucket=1))
    assert fewest <= len(sampler) <= 1.5 * fewest
    assert repeat_mates(sampler.plan(0), sampler.plan(1)) < 0.6


def test_an_outlier_does_not_spoil_the_plan():
    for outliers in ([500], [500, 501, 900], [1000, 300]):
        sampler = TokenBudgetBatchSampler([10] * 1000 + outliers, 1000)
        assert len(sampler) <= 10 + len(outliers) + 1


def test_the_bound_holds_for_any_plan():
    report = TokenBudgetBatchSampler([6, 6, 6], 10).report()
    assert (report.batches, report.lower_bound) == (3, 3)  # by volume it would be 2
    over = TokenBudgetBatchSampler([30, 5, 5], 10, too_long="alone").report()
    assert (over.batches, over.lower_bound) == (2, None)  # by volume it would be 4
    assert "over the budget of 10" in str(over)
    assert "needs fewer" not in str(over)
    rounded = TokenBudgetBatchSampler([5, 5, 5], 16, multiple_of=8).report()
    assert rounded.lower_bound == rounded.batches == 2
    assert TokenBudgetBatchSampler([6, 6], 1 << 40).report().lower_bound == 1


def test_numpy_scalars_go_into_the_state_as_numbers():
    sampler = TokenBudgetBatchSampler(
        [3, 4], np.int64(8), max_batch_size=np.int64(2), rank=np.int64(0), num_replicas=np.int64(2)
    )
    assert json.loads(json.dumps(sampler.state_dict())) == sampler.state_dict()
    plain = TokenBudgetBatchSampler([3, 4], 8, max_batch_size=2, num_replicas=2)
    plain.load_state_dict(sampler.state_dict())
    with pytest.raises(ValueError, match="longest_first must be True or False, but got 'no'"):
        TokenBudgetBatchSampler([3, 4], 8, longest_first="no")


def test_numpys_booleans_are_taken():
    lengths = document_lengths(50)
    ours, numpys = (
        TokenBudgetBatchSampler(lengths, 2048, longest_first=value) for value in (True, np.True_)
    )
    assert numpys.longest_first is True
    assert ours.state_dict() == numpys.state_dict()
    with pytest.raises(ValueError, match="longest_first must be True or False, but got 1"):
        TokenBudgetBatchSampler(lengths, 2048, longest_first=1)


def test_a_budget_of_any_size_has_its_bound():
    report = TokenBudgetBatchSampler([10**9, 3, 4], 10**12).report()
    assert (report.batches, report.lower_bound) == (1, 1)
