"""Batches of windows: no two overlap, each window once, and a plan that every rank shares."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import (
    DataLoader,
    DisjointWindowBatchSampler,
    Subset,
    WindowDataset,
    chronological_split,
)
from tinytrain.testing import check_sampler


def test_the_report_speaks_of_windows_not_of_tokens():
    """Windows are not padded, so a share of padding or a number of tokens would mean nothing."""
    windows = WindowDataset(np.arange(100.0), input_length=8, horizon=2)
    sampler = DisjointWindowBatchSampler(windows, batch_size=4)
    assert str(sampler.report()) == (
        "batches      30\n"
        "windows      91, in batches of 3 to 4\n"
        "asked for     4 in a batch\n"
        "padding    none: each window has 10 rows"
    )
    sizes = [len(batch) for batch in sampler.plan(0)]
    report = sampler.report(0)
    assert (report.batches, report.rows, report.smallest) == (len(sizes), sum(sizes), min(sizes))
    few = str(DisjointWindowBatchSampler(windows, batch_size=12).report())
    assert "in batches of 9 to 10\n" in few
    assert "asked for    12 in a batch, more than lie side by side: 10\n" in few
    equal = DisjointWindowBatchSampler(windows, batch_size=3, drop_last=True).report()
    assert "in batches of 3\n" in str(equal)


def overlapping(windows, batch):
    """Pairs of a batch that share a row, by looking at all rows."""
    seen = set()
    clashes = 0
    for index in batch:
        rows = {int(row) for part in windows[index] for row in part}
        clashes += bool(rows & seen)
        seen |= rows
    return clashes


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 8), st.integers(0, 60)),
    batch_size=st.integers(1, 7),
    seed=st.integers(0, 5),
    choose=st.booleans(),
)
def test_no_two_windows_of_a_batch_overlap_and_each_comes_once(shape, batch_size, seed, choose):
    input_length, horizon, stride, more = shape
    series = np.arange(input_length + horizon + more)
    windows = WindowDataset(series, input_length, horizon, stride)
    if choose:  # any part of them, in any order
        order = np.random.default_rng(seed).permutation(len(windows))
        windows = Subset(windows, order[: 1 + len(order) // 2])
    sampler = DisjointWindowBatchSampler(windows, batch_size, seed=seed)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(itertools.chain(*batches)) == list(range(len(windows)))
        assert all(1 <= len(batch) <= batch_size for batch in batches)
        assert all(overlapping(windows, batch) == 0 for batch in batches)


def test_random_batches_would_overlap():
    """Otherwise the test above would say nothing."""
    windows = WindowDataset(np.arange(200), 8, 4)
    batches = np.random.default_rng(0).permutation(len(windows))[:180].reshape(-1, 6)
    assert np.mean([overlapping(windows, batch) > 0 for batch in batches]) > 0.3


def test_batches_are_full_and_even():
    windows = WindowDataset(np.arange(1000), 8, 4, 2)  # 495 windows of 6 colours
    sampler = DisjointWindowBatchSampler(windows, 16)
    sizes = [len(batch) for batch in sampler]
    assert set(sizes) == {13, 14}  # 82 or 83 of a colour in six batches, no runt
    exact = DisjointWindowBatchSampler(windows, 16, drop_last=True)
    first, second = list(exact), list(exact)
    assert {len(batch) for batch in first + second} == {16}
    assert len(exact) == len(first) == 6 * (82 // 16)
    left_out = [set(range(495)) - set(itertools.chain(*epoch)) for epoch in (first, second)]
    assert left_out[0] != left_out[1]  # no window is left out for good


def test_everything_that_a_sampler_has_to_get_right():
    windows = WindowDataset(np.arange(60), 3, 2)
    check_sampler(lambda seed: DisjointWindowBatchSampler(windows, 4, seed=seed), len(windows))
    check_sampler(
        lambda seed: DisjointWindowBatchSampler(windows, 4, drop_last=True, seed=seed),
        len(windows),
        covers=False,
    )


def test_batch_mates_and_order_are_new_in_each_epoch():
    windows = WindowDataset(np.arange(500), 3, 2)
    sampler = DisjointWindowBatchSampler(windows, 8, seed=3)
    first, second = list(sampler), list(sampler)
    assert {tuple(sorted(batch)) for batch in first}.isdisjoint(
        tuple(sorted(batch)) for batch in second
    )
    assert [batch[0] % 5 for batch in first] != sorted(batch[0] % 5 for batch in first)
    sampler.set_epoch(0)
    assert list(sampler) == first
    # The pair (seed, epoch) counts, not a sum of the two.
    assert list(DisjointWindowBatchSampler(windows, 8, seed=4)) != second


@pytest.mark.parametrize("replicas", [2, 3, 4])
@pytest.mark.parametrize("uneven", ["split", "repeat", "drop"])
def test_ranks_share_one_plan(replicas, uneven):
    windows = WindowDataset(np.arange(126), 5, 2)
    whole = list(DisjointWindowBatchSampler(windows, 4, seed=1))
    assert len(whole) % replicas  # so that the policy matters
    parts = [
        list(
            DisjointWindowBatchSampler(
                windows, 4, seed=1, rank=rank, num_replicas=replicas, uneven=uneven
            )
        )
        for rank in range(replicas)
    ]
    assert len({len(part) for part in parts}) == 1
    dealt = [batch for batches in zip(*parts, strict=True) for batch in batches]
    if uneven == "split":
        assert sorted(itertools.chain(*dealt)) == list(range(len(windows)))
        assert all(overlapping(windows, batch) == 0 for batch in dealt)
        assert len(dealt) < len(whole) + replicas
    elif uneven == "drop":
        assert dealt == whole[: len(whole) - len(whole) % replicas]
    else:
        assert dealt[: len(whole)] == whole
        assert dealt[len(whole) :] == whole[: -len(whole) % replicas]
        assert len(dealt) < len(whole) + replicas


@pytest.mark.parametrize("after", [0, 1, 4, 9])
def test_resuming_through_the_loader(after):
    windows = WindowDataset(np.arange(80.0), 5, 2)
    train, _ = chronological_split(windows, [0.6, 0.4])

    def loader():
        return DataLoader(train, batch_sampler=DisjointWindowBatchSampler(train, 4, seed=7))

    straight = loader()
    epochs = [[inputs.tolist() for inputs, _ in straight] for _ in range(3)]
    assert len(epochs[0]) > 9
    stopped = loader()
    list(stopped)  # the first epoch
    batches = iter(stopped)
    for _ in range(after):
        next(batches)
    state = json.loads(json.dumps(stopped.state_dict()))
    resumed = loader()
    resumed.load_state_dict(state)
    assert [inputs.tolist() for inputs, _ in resumed] == epochs[1][after:]
    assert [inputs.tolist() for inputs, _ in resumed] == epochs[2]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"batch_size": 0},
            ValueError,
            "batch_size must be a whole number of at least 1, but got 0",
        ),
        ({"batch_size": 2.0}, ValueError, "batch_size must be .* 2.0"),
        ({"seed": -1}, ValueError, "seed must be a whole number"),
        ({"rank": 2, "num_replicas": 2}, ValueError, "one of the 2 ranks from 0, but got 2"),
        ({"uneven": "pad"}, ValueError, "'drop' or 'repeat', but got 'pad'"),
        (
            {"batch_size": 5, "drop_last": True},
            ValueError,
            "of these 16 windows at most 4 lie side by side, and batch_size is 5",
        ),
        ({"num_replicas": 9, "uneven": "drop"}, ValueError, "would leave none"),
        ({"drop_last": 1}, ValueError, "drop_last must be True or False, but got 1"),
        ({"drop_last": True, "num_replicas": 2}, ValueError, "promises batches of one size"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    windows = WindowDataset(np.arange(20), 3, 2)
    with pytest.raises(error, match=message):
        DisjointWindowBatchSampler(windows, **{"batch_size": 4, **settings})


def test_bad_windows_and_states_are_refused():
    windows = WindowDataset(np.arange(20), 3, 2)
    with pytest.raises(ValueError, match="occurs twice"):
        DisjointWindowBatchSampler(Subset(windows, [1, 8, 1]), 2)
    with pytest.raises(TypeError, match="expected a WindowDataset"):
        DisjointWindowBatchSampler(list(range(5)), 2)
    with pytest.raises(ValueError, match="got 0 windows"):
        DisjointWindowBatchSampler(Subset(windows, []), 2)
    sampler = DisjointWindowBatchSampler(windows, 2)
    with pytest.raises(ValueError, match="not the state of a DisjointWindowBatchSampler"):
        sampler.load_state_dict({"epoch": 1})
    state = sampler.state_dict()
    for other in (WindowDataset(np.arange(21), 3, 2), Subset(windows, [0, 1, 2])):
        with pytest.raises(ValueError, match="with other lengths"):
            DisjointWindowBatchSampler(other, 2).load_state_dict(state)
    equally_many = (Subset(windows, part) for part in ([0, 1, 2], [0, 1, 3]))
    one, another = (DisjointWindowBatchSampler(part, 2) for part in equally_many)
    with pytest.raises(ValueError, match="other settings"):
        another.load_state_dict(one.state_dict())


def test_numpys_booleans_are_taken():
    windows = WindowDataset(np.arange(30.0), 3, 2)
    assert DisjointWindowBatchSampler(windows, 2, drop_last=np.True_).drop_last is True
    with pytest.raises(ValueError, match="drop_last must be True or False, but got 'yes'"):
        DisjointWindowBatchSampler(windows, 2, drop_last="yes")
