"""Buckets of a fixed number of rows: by sorted pools and by boundaries, on any number of ranks."""

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.checks import whole_number
from tinytrain.data import BucketBatchSampler, LengthReport, PlannedBatchSampler, repeat_mates
from tinytrain.data.ranks import evened, split_evenly
from tinytrain.testing import check_sampler


def document_lengths(count):
    drawn = np.random.default_rng(0).lognormal(4.5, 0.8, count)
    return np.clip(np.rint(drawn), 1, 1024).astype(int)


MODES = {"pools": {}, "boundaries": {"boundaries": [40, 80, 160, 320]}}


@pytest.mark.parametrize("mode", MODES)
def test_it_keeps_the_contract_of_samplers(mode):
    lengths = document_lengths(100)
    checks = check_sampler(
        lambda seed: BucketBatchSampler(lengths, 8, seed=seed, **MODES[mode]), 100
    )
    assert "cover" in checks


def test_documents():
    """A fifth of the padding of random batches, no order in the lengths, other mates each epoch."""
    lengths = document_lengths(20_000)
    sampler = BucketBatchSampler(lengths, 32)
    batches, following = sampler.plan(0), sampler.plan(1)
    means = [lengths[batch].mean() for batch in batches]
    assert sampler.report(0).padding_share < 0.1
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) <= 0.1
    assert repeat_mates(batches, following) <= 0.05
    random_order = np.split(np.random.default_rng(0).permutation(20_000), 625)
    assert LengthReport.of(lengths, random_order).padding_share > 0.5


def test_larger_pools_pad_less_and_noise_mixes_more():
    lengths = document_lengths(6_400)

    def figures(pool, noise):
        sampler = BucketBatchSampler(lengths, 32, batches_per_pool=pool, noise=noise)
        return sampler.report().padding_share, repeat_mates(sampler.plan(0), sampler.plan(1))

    (pad_1, _), (pad_20, mates_20), (pad_200, mates_200) = (figures(p, 0.0) for p in (1, 20, 200))
    assert pad_1 > 3 * pad_20 > 9 * pad_200
    pad_noisy, mates_noisy = figures(200, 0.1)
    assert mates_200 > mates_20
    assert mates_noisy < mates_200 / 3
    assert pad_noisy > pad_200


@settings(deadline=None, max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    batch_size=st.integers(1, 7),
    boundaries=st.none() | st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True),
    batches_per_pool=st.integers(1, 4),
    noise=st.sampled_from([0.0, 0.3]),
    drop_last=st.booleans(),
    seed=st.integers(0, 3),
)
def test_every_item_once(lengths, batch_size, boundaries, batches_per_pool, noise, drop_last, seed):
    edges = [0, *sorted(boundaries or []), 31]
    inside = [
        [i for i, n in enumerate(lengths) if a < n <= b] for a, b in itertools.pairwise(edges)
    ]
    full = sum(len(items) // batch_size for items in inside)

    def make():
        return BucketBatchSampler(
            lengths,
            batch_size,
            boundaries=sorted(boundaries) if boundaries else None,
            batches_per_pool=batches_per_pool,
            noise=noise,
            drop_last=drop_last,
            seed=seed,
        )

    if drop_last and full == 0:
        with pytest.raises(ValueError, match="drop_last=True leaves no batch"):
            make()
        return
    sampler = make()
    for _ in range(3):
        batches = list(sampler)
        items = sorted(itertools.chain.from_iterable(batches))
        assert len(batches) == len(sampler)
        assert all(len(batch) == batch_size or not drop_last for batch in batches)
        assert all(0 < len(batch) <= batch_size for batch in batches)
        assert all(any(set(batch) <= set(bucket) for bucket in inside) for batch in batches)
        if drop_last:
            assert len(batches) == full
            assert len(set(items)) == len(items) == full * batch_size
        else:
            assert items == list(range(len(lengths)))
            assert len(batches) == sum(-(-len(bucket) // batch_size) for bucket in inside)


def test_pools_without_noise_are_sorted():
    """No item of a batch lies between two items of another batch of the same pool."""
    lengths = np.random.default_rng(1).permutation(60) + 1
    sampler = BucketBatchSampler(lengths, 5, batches_per_pool=12, noise=0.0)
    for batch in sampler:
        assert np.ptp(lengths[batch]) == 4
    assert len({tuple(batch) for batch in sampler}) == 12


def test_dropped_items_change_and_are_not_the_longest():
    lengths = np.arange(1, 24)
    sampler = BucketBatchSampler(lengths, 10, drop_last=True)
    left_out = [set(range(23)) - set(itertools.chain.from_iterable(sampler)) for _ in range(20)]
    assert {len(items) for items in left_out} == {3}
    assert len(set(map(frozenset, left_out))) > 10
    assert np.mean([lengths[list(items)].mean() for items in left_out]) == pytest.approx(12, abs=2)


# ---------------------------------------------------------------- ranks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("replicas", [2, 3, 7])
@pytest.mark.parametrize("uneven", ["split", "drop", "repeat"])
def test_ranks_share_one_plan(mode, replicas, uneven):
    lengths = document_lengths(103)
    whole = len(BucketBatchSampler(lengths, 8, **MODES[mode]))
    ranks = [
        BucketBatchSampler(
            lengths, 8, rank=rank, num_replicas=replicas, uneven=uneven, **MODES[mode]
        )
        for rank in range(replicas)
    ]
    left_out = set()
    for epoch in range(4):
        shares = [list(rank) for rank in ranks]
        plan = [batch.tolist() for batch in ranks[0].plan(epoch)]
        assert [plan[rank::replicas] for rank in range(replicas)] == shares
        assert {len(share) for share in shares} == {len(ranks[0])}
        items = [i for batch in plan for i in batch]
        missing = -whole % replicas
        if uneven == "split":
            assert len(plan) == whole + missing
            assert sorted(items) == list(range(103))
        elif uneven == "repeat":
            assert len(plan) == whole + missing
            assert plan[whole:] == plan[:missing]
            assert sorted(i for batch in plan[:whole] for i in batch) == list(range(103))
        else:
            assert len(plan) == whole - whole % replicas
            assert len(set(items)) == len(items)
            left_out |= set(range(103)) - set(items)
    if uneven == "drop" and whole % replicas:
        assert len(left_out) > 8 * (whole % replicas)  # not the same ones in every epoch


def test_more_ranks_than_items():
    with pytest.raises(
        ValueError, match=r"2 items in 1 batches cannot be split .* each of 3 ranks"
    ):
        BucketBatchSampler([1, 2], 4, num_replicas=3)
    with pytest.raises(ValueError, match="1 batches for 3 ranks: uneven='drop' would leave none"):
        BucketBatchSampler([1, 2], 4, num_replicas=3, uneven="drop")
    shares = [
        list(BucketBatchSampler([1, 2], 4, rank=r, num_replicas=3, uneven="repeat"))
        for r in range(3)
    ]
    assert [sorted(share[0]) for share in shares] == [[0, 1]] * 3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 6))
def test_splitting_keeps_the_order_and_gives_everyone_as_much(sizes, replicas):
    target = -(-len(sizes) // replicas) * replicas
    if sum(sizes) < target:
        with pytest.raises(ValueError, match="cannot be split"):
            split_evenly(np.array(sizes), replicas)
        return
    found = split_evenly(np.array(sizes), replicas)
    assert len(found) == target
    assert found.min() >= 1
    assert set(np.cumsum(sizes)) <= set(np.cumsum(found))  # old cuts stay


def test_uneven_batches_that_were_to_be_split():
    with pytest.raises(ValueError, match="3 batches for 2 ranks: split them first"):
        evened([1, 2, 3], 2, "split")


# ---------------------------------------------------------------- state


def test_a_state_of_something_else_is_refused():
    sampler = BucketBatchSampler([1, 2, 3, 4], 2, seed=3)
    others = [
        BucketBatchSampler([1, 2, 3, 5], 2),
        BucketBatchSampler([1, 2, 3, 4], 4),
        BucketBatchSampler([1, 2, 3, 4], 2, noise=0.2),
        BucketBatchSampler([1, 2, 3, 4], 2, num_replicas=2),
    ]
    for other in others:
        with pytest.raises(ValueError, match="with other lengths, another number of ranks or"):
            sampler.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="not the state of a BucketBatchSampler"):
        sampler.load_state_dict({"epoch": 1})
    with pytest.raises(ValueError, match="epoch must be a whole number"):
        sampler.load_state_dict({**sampler.state_dict(), "seed": 5, "epoch": -1})
    assert (sampler.seed, sampler.epoch) == (3, 0)


def test_the_state_of_one_rank_serves_all():
    first, second = (
        BucketBatchSampler(document_lengths(50), 4, rank=rank, num_replicas=2) for rank in range(2)
    )
    list(first)
    list(second)
    restored = BucketBatchSampler(document_lengths(50), 4, rank=1, num_replicas=2, seed=9)
    restored.load_state_dict(first.state_dict())
    assert list(restored) == list(second)


def test_seeds_and_epochs_are_not_added():
    def order(seed, epoch):
        return [b.tolist() for b in BucketBatchSampler(range(1, 50), 4, seed=seed).plan(epoch)]

    assert order(0, 1) != order(1, 0)


def test_set_epoch():
    sampler = BucketBatchSampler(document_lengths(50), 4)
    epochs = [list(sampler) for _ in range(3)]
    sampler.set_epoch(1)
    assert [list(sampler), list(sampler)] == epochs[1:]
    with pytest.raises(ValueError, match="epoch must be a whole number of at least 0, but got -1"):
        sampler.set_epoch(-1)


def test_the_lengths_are_the_samplers_own():
    lengths = document_lengths(50)
    sampler = BucketBatchSampler(lengths, 4, noise=0.0)
    before = [batch.tolist() for batch in sampler.plan(0)]
    lengths[:] = 1
    assert [batch.tolist() for batch in sampler.plan(0)] == before


# ---------------------------------------------------------------- arguments and reports


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"boundaries": []}, r"boundaries must be rising and not empty, but got \[\]"),
        ({"boundaries": [5, 5]}, r"boundaries must be rising and not empty, but got \[5, 5\]"),
        ({"boundaries": [0, 5]}, "a boundary must be a whole number of at least 1, but got 0"),
        ({"batches_per_pool": 0}, "batches_per_pool must be a whole number"),
        ({"noise": 1.0}, r"noise must be in \[0, 1\), but got 1\.0"),
        ({"noise": float("nan")}, r"noise must be in \[0, 1\), but got nan"),
        ({"drop_last": 1}, "drop_last must be True or False, but got 1"),
        ({"drop_last": True, "num_replicas": 2}, "promises batches of one size"),
    ],
)
def test_settings_are_checked(settings_, message):
    with pytest.raises(ValueError, match=message):
        BucketBatchSampler([1, 2, 3], 2, **settings_)


@pytest.mark.parametrize("value", [True, 0, 2.0, "2", None])
def test_whole_numbers(value):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        BucketBatchSampler([1, 2, 3], value)
    assert whole_number("n", np.uint8(3)) == 3


def test_a_plan_of_ones_own_must_be_completed():
    sampler = PlannedBatchSampler([1, 2], [1, 1])
    with pytest.raises(NotImplementedError, match="PlannedBatchSampler must define _order"):
        list(sampler)
    with pytest.raises(ValueError, match="the epoch would have no batch"):
        PlannedBatchSampler([1, 2], [])


def test_report_against_a_loop():
    lengths = [3, 9, 1, 5]
    report = LengthReport.of(lengths, [[0, 2], [1], [3]], multiple_of=4, budget=12)
    assert (report.batches, report.rows, report.tokens) == (3, 4, 18)
    assert report.positions == 2 * 4 + 12 + 8
    assert report.largest == 12
    assert report.padding_share == pytest.approx(1 - 18 / 28)
    assert report.mean_tokens == 6
    assert report.variation == pytest.approx(np.std([4, 9, 5]) / 6)
    assert report.lower_bound == 3  # rounded up they are 4, 12, 4 and 8
    assert LengthReport.of(lengths, [[0]]).lower_bound is None
    assert "no plan" not in str(LengthReport.of(lengths, [[0]]))
    for nothing in ([], [[]], [[0], []]):
        with pytest.raises(ValueError, match="a report needs batches, and none of them empty"):
            LengthReport.of(lengths, nothing)


def test_mates():
    assert repeat_mates([[0, 1, 2]], [[2, 1, 0]]) == 1
    assert repeat_mates([[0, 1, 2]], [[0, 1], [2]]) == pytest.approx(1 / 3)
    assert repeat_mates([[0, 1], [2, 3]], [[0, 2], [1, 3]]) == 0
    assert np.isnan(repeat_mates([[0, 1]], [[0]]))  # item 1 was dropped there: no pair is left
    assert np.isnan(repeat_mates([[0], [1]], [[0, 1]]))


def test_boundaries_and_numpy_scalars():
    with pytest.raises(TypeError, match=r"boundaries must be a sequence .* but got 10"):
        BucketBatchSampler([3, 4], 2, boundaries=10)
    sampler = BucketBatchSampler(
        [3, 4], np.int64(2), boundaries=np.array([3]), noise=np.float32(0.25), seed=np.int64(1)
    )
    assert json.loads(json.dumps(sampler.state_dict())) == sampler.state_dict()
    with pytest.raises(ValueError, match=r"noise must be in \[0, 1\), but got '0'"):
        BucketBatchSampler([3, 4], 2, noise="0")


def split_by_loop(sizes, replicas):
    """`split_evenly` to read: again and again the largest, of equals the last."""
    parts = list(sizes)
    while len(parts) % replicas:
        largest = max(range(len(parts)), key=lambda batch: (parts[batch], batch))
        half = parts[largest] // 2
        parts[largest : largest + 1] = [parts[largest] - half, half]
    return parts


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 15))
def test_splitting_against_a_loop(sizes, replicas):
    if sum(sizes) >= -(-len(sizes) // replicas) * replicas:
        assert split_evenly(np.array(sizes), replicas).tolist() == split_by_loop(sizes, replicas)


def test_splitting_for_many_ranks_is_quick():
    lengths = document_lengths(100_000)
    start = time.process_time()
    sampler = BucketBatchSampler(lengths, 2, num_replicas=997)
    # Measured 0.1 s; with a search for the largest before each of 847 cuts it took a minute.
    assert time.process_time() - start < 1.0
    assert len(sampler) == -(-50_000 // 997)


def test_numpys_booleans_are_taken():
    ours, numpys = (BucketBatchSampler([1, 2, 3], 2, drop_last=v) for v in (True, np.True_))
    assert numpys.drop_last is True
    assert ours.state_dict() == numpys.state_dict()
    with pytest.raises(ValueError, match="promises batches of one size"):
        BucketBatchSampler([1, 2, 3], 2, drop_last=np.True_, num_replicas=2)
