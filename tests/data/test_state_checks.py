"""What a state must be to be taken, how small it is, and that resuming from it starts at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_loader_state import LOADERS, epoch
from tinytrain.data import (
    BalancedBatchSampler,
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinytrain.data.number_sets import from_runs, to_runs
from tinytrain.data.resumed_order import iterate_from


def test_after_a_resumed_epoch_the_state_is_that_of_the_straight_run():
    for make in LOADERS.values():
        straight, broken, resumed = (DataLoader(range(10), **make(10)) for _ in range(3))
        next(iter(broken))
        resumed.load_state_dict(broken.state_dict())
        list(straight), list(resumed)
        assert resumed.state_dict() == straight.state_dict()


@pytest.mark.slow
def test_the_state_is_small_whatever_is_skipped_or_handed_out_ahead():
    loader = DataLoader(range(200_000), batch_size=2, generator=0)
    loader.skip(range(0, 100_000, 2))
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["skip"] == [[0, 0, 99_999, 2]]
    assert len(json.dumps(state)) < 500
    resumed = DataLoader(range(200_000), batch_size=2, generator=0)
    resumed.load_state_dict(state)
    assert sum(1 for _ in resumed) == 50_000

    # The first batch is slow: all others are handed out before it.
    slow = DataLoader(range(50_000), num_workers=0, in_order=False)
    under_way, _ = slow._progress.begin(in_order=False)
    for number in range(1, 40_000):
        under_way.hand_out(number)
    state = slow.state_dict()
    assert (state["batches_yielded"], state["ahead"]) == (0, [[1, 40_000, 1]])
    assert len(json.dumps(state)) < 500


@given(st.sets(st.integers(0, 200)))
def test_runs_hold_exactly_the_numbers(numbers):
    runs = to_runs(numbers)
    assert from_runs(runs) == numbers
    assert sum(len(range(*run)) for run in runs) == len(numbers)


@pytest.mark.parametrize(
    ("samples", "changed", "message"),
    [
        (10, {"batch_size": 4}, "it has batch_size=5, but this one batch_size=4"),
        (9, {}, "it has samples=10, but this one samples=9"),
        (10, {"shuffle": True}, "it has sampler='SequentialSampler', but .*'RandomSampler'"),
        (10, {"drop_last": True}, "it has drop_last=False, but this one drop_last=True"),
    ],
)
def test_a_state_of_another_loader_with_as_many_batches_is_refused(samples, changed, message):
    state = DataLoader(range(10), **{"batch_size": 5, "generator": 0}).state_dict()
    other = DataLoader(range(samples), **{"batch_size": 5, "generator": 0, **changed})
    state["batches_per_epoch"] = len(other)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batches_yielded", -1, "batches_yielded must be an integer >= 0, but is -1"),
        ("batches_yielded", 6, "batches_yielded=6 in the state is more than the 5 batches"),
        ("epoch", "x", "epoch must be an integer >= 0, but is 'x'"),
        ("skip", [[1]], r"skip must be a list of \[epoch, first, stop, step\] and .*, but is"),
        ("ahead", [3], r"ahead must be a list of \[first, stop, step\] and texts, but is \[3\]"),
        ("epoch_begun", 1, "epoch_begun must be True or False"),
        ("seed", 1.5, "seed must be an integer >= 0, or None, but is 1.5"),
        ("order", None, "order must be a dictionary"),
    ],
)
def test_a_state_of_the_wrong_form_is_refused_and_changes_nothing(name, value, message):
    loader = DataLoader(range(10), batch_size=2, generator=0)
    state = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict({**state, name: value})
    assert loader.state_dict() == state


@pytest.mark.parametrize(
    "sampler",
    [
        SubsetRandomSampler([0, 1]),
        WeightedRandomSampler([1.0, 1.0], 2),
        BatchSampler(SubsetRandomSampler([0, 1]), 1, drop_last=False),
    ],
)
def test_a_sampler_that_cannot_be_repeated_is_named(sampler):
    name = "WeightedRandom" if isinstance(sampler, WeightedRandomSampler) else "SubsetRandom"
    with pytest.raises(ValueError, match=f"the order of a {name}Sampler without a generator"):
        DataLoader(range(2), sampler=sampler).state_dict()
    batches = BalancedBatchSampler([0, 1], samples_per_class=1)
    with pytest.raises(ValueError, match="the order of a BalancedBatchSampler without"):
        DataLoader(range(2), batch_sampler=batches).state_dict()


def test_resuming_starts_in_the_middle_without_walking_there():
    for options in ({}, {"shuffle": True, "generator": 1}):
        straight = DataLoader(range(100_000), batch_size=10, **options)
        state = straight.state_dict()
        expected = epoch(straight)[9_990:]
        resumed = DataLoader(range(100_000), batch_size=10, **options)
        resumed.load_state_dict({**state, "epoch_begun": True, "batches_yielded": 9_990})
        under_way, indices = resumed._progress.begin(in_order=True)
        assert under_way.passed_over == 9_990
        assert [task for _, task in under_way.tasks(indices)] == expected


@pytest.mark.parametrize("position", [0, 1, 3, 4, 7, 12])
def test_iterating_from_a_position_is_iterating_and_dropping(position):
    def samplers():
        yield SequentialSampler(range(12))
        yield RandomSampler(range(5), num_samples=12, generator=0)
        yield RandomSampler(range(12), replacement=True, num_samples=70, generator=0)
        yield BatchSampler(RandomSampler(range(25), generator=0), 2, drop_last=True)

    for sampler, again in zip(samplers(), samplers(), strict=True):
        rest, left_out = iterate_from(again, position)
        assert left_out == position
        assert list(rest) == list(sampler)[position:]
        # The draws are the same, too: the next epoch's order depends on them.
        assert list(again) == list(sampler)


def test_a_sampler_that_changes_the_order_of_ours_is_walked_through():
    class Backwards(SequentialSampler):
        def __iter__(self):
            return iter(range(len(self))[::-1])

    loader, resumed = (DataLoader(range(5), sampler=Backwards(range(5))) for _ in range(2))
    iterator = iter(loader)
    next(iterator), next(iterator)
    resumed.load_state_dict(loader.state_dict())
    assert epoch(resumed) == [[2], [1], [0]]
