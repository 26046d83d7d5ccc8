"""A state goes to a loader that gives the same batches after it, or nowhere."""

import json

import numpy as np
import pytest

from tests.data.loader_cases import epoch
from tests.worker_datasets import Shards, Stream
from tinytrain.data import (
    BalancedBatchSampler,
    BatchSampler,
    BucketBatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    ScheduledBatchSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinytrain.data.sampler_checks import digest
from tinytrain.generator import default_generator


def state_after(loader, batches):
    iterator = iter(loader)
    for _ in range(batches):
        next(iterator)
    return json.loads(json.dumps(loader.state_dict())), iterator


# Iterable data sets: the number of workers decides who reads what.


class Counted(Shards):
    """Has a state, where the process of the loader reads it."""

    place = 0

    def shard(self, index, count):
        while self.place < self.n:
            self.place += 1
            yield self.place - 1
        self.place = 0

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [
        pytest.param(Shards, 2, 0, marks=pytest.mark.slow),
        (Shards, 0, 2),
        pytest.param(Shards, 2, 3, marks=pytest.mark.slow),
        (Stream, 0, 1),
        (Counted, 0, 1),
        pytest.param(Stream, 1, 0, marks=pytest.mark.slow),
    ],
)
def test_another_number_of_workers_is_refused_in_the_middle(make, before, after):
    loader = DataLoader(make(17), 2, num_workers=before)
    state, iterator = state_after(loader, 3)
    rest = epoch(iterator)
    message = (
        rf"read with num_workers={before}, and not with num_workers={after}"
        rf"(?s:.*)resume with num_workers={before}, or begin the next epoch"
    )
    other = DataLoader(make(17), 2, num_workers=after)
    unchanged = other.state_dict()
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    assert other.state_dict() == unchanged
    # Set afterwards it is noticed, too, and the state can still be resumed.
    resumed = DataLoader(make(17), 2, num_workers=before)
    resumed.load_state_dict(state)
    resumed.num_workers = after
    with pytest.raises(ValueError, match=message):
        iter(resumed)
    resumed.num_workers = before
    assert epoch(resumed) == rest
    # Between two epochs anyone may go on.
    other.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert other.state_dict()["epoch"] == 1


def test_one_worker_reads_shards_as_the_process_of_the_loader_does():
    state, iterator = state_after(DataLoader(Shards(17), 2), 3)
    resumed = DataLoader(Shards(17), 2, num_workers=1)
    resumed.load_state_dict(state)
    assert epoch(resumed) == epoch(iterator)


def test_before_its_first_batch_an_epoch_has_no_reader():
    state, _ = state_after(DataLoader(Shards(7), 2), 0)
    other = DataLoader(Shards(7), 2, num_workers=2)
    other.load_state_dict(state)
    assert sorted(item for batch in epoch(other) for item in batch) == list(range(7))


def test_a_look_ahead_is_no_resume():
    loader = DataLoader(Shards(17), 2, num_workers=2)
    state, _ = state_after(loader, 1)
    resumed = DataLoader(Shards(17), 2, num_workers=2)
    resumed.load_state_dict(state)
    resumed.explain()
    assert resumed.state_dict() == state


def test_persistent_workers_stay_as_many_as_they_are():
    loader = DataLoader(Shards(17), 2, num_workers=2, persistent_workers=True)
    list(loader)
    loader.num_workers = 3
    state, _ = state_after(loader, 1)
    assert state["num_workers"] == 2
    loader._pool.close()


# With and without a generator.


@pytest.mark.parametrize("batches", [0, 2, 99])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("iterable", [True, False])
def test_with_and_without_a_generator(batches, shuffle, iterable):
    def make(generator):
        if iterable:
            return DataLoader(Stream(10), 2, generator=generator)
        return DataLoader(range(10), 2, shuffle=shuffle, generator=generator)

    states = {}
    for generator in (0, None):
        loader = make(generator)
        if batches == 99:
            list(loader)
        elif batches:
            state_after(loader, batches)
        states[generator] = json.loads(json.dumps(loader.state_dict()))
    with pytest.raises(ValueError, match=r"was given a generator, but .* give it generator=0"):
        make(None).load_state_dict(states[0])
    with pytest.raises(ValueError, match=r"default generator, but .* leave out generator="):
        make(0).load_state_dict(states[None])
    for generator, seed in ((None, None), (0, 99)):
        make(seed).load_state_dict(states[generator])


def test_without_a_generator_the_rest_of_the_epoch_is_the_same():
    default_generator().manual_seed(3)
    state, iterator = state_after(DataLoader(range(20), 2, shuffle=True), 3)
    default_generator().manual_seed(4)
    resumed = DataLoader(range(20), 2, shuffle=True)
    resumed.load_state_dict(state)
    assert epoch(resumed) == epoch(iterator)


# Settings of samplers.


def rs(**settings):
    return {"sampler": RandomSampler(range(12), generator=0, **settings)}


def wrs(weights, count=12, replacement=True):
    return {"sampler": WeightedRandomSampler(weights, count, replacement, generator=0)}


def dist(num_replicas=2, rank=0, **settings):
    return {"sampler": DistributedSampler(range(12), num_replicas, rank, **settings)}


def balanced(labels, *, generator=0, **settings):
    arguments = {"samples_per_class": 2, "num_batches": 3, **settings}
    return {"batch_sampler": BalancedBatchSampler(labels, generator=generator, **arguments)}


def scheduled(lengths, schedule, **settings):
    return {"batch_sampler": ScheduledBatchSampler(lengths, schedule, **settings)}


def batched(sampler):
    return {"batch_sampler": BatchSampler(sampler, 3, drop_last=False)}


LABELS = [0, 1] * 6
OTHERS = {
    "replacement": (rs(replacement=True), rs()),
    "num_samples": (rs(num_samples=24), rs(num_samples=23)),
    "wrapped": (batched(rs(replacement=True)["sampler"]), batched(rs()["sampler"])),
    "subset": (
        {"sampler": SubsetRandomSampler([3, 1, 2], generator=0)},
        {"sampler": SubsetRandomSampler([3, 1, 4], generator=0)},
    ),
    "weights": (wrs([1.0, 2.0, 3.0]), wrs([1.0, 2.0, 4.0])),
    "draws": (wrs([1.0] * 12), wrs([1.0] * 12, 12, False)),
    "seed": (dist(), dist(seed=1)),
    "shuffle": (dist(), dist(shuffle=False)),
    "ranks": (dist(3, drop_last=False), dist(3, drop_last=True)),
    "labels": (balanced(LABELS), balanced([0, 0, 1, 1] * 3)),
    "per class": (balanced(LABELS), balanced(LABELS, samples_per_class=1)),
    "classes": (balanced(LABELS), balanced(LABELS, classes_per_batch=1)),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_other_settings_of_the_sampler_are_refused(one, other):
    size = {} if "batch_sampler" in one else {"batch_size": 2}
    loader = DataLoader(range(12), **size, **one)
    state, iterator = state_after(loader, 1)
    with pytest.raises(ValueError, match=r"another order: it has sampler\.|batches per epoch"):
        DataLoader(range(12), **size, **other).load_state_dict(state)
    assert len(json.dumps(state)) < 700
    rest = epoch(iterator)
    loader.load_state_dict(state)
    assert epoch(loader) == rest


def test_all_ranks_share_one_state():
    """Rank 0 may save it for the others: each goes on with its own share."""
    state, _ = state_after(DataLoader(range(12), batch_size=2, **dist()), 1)
    straight = epoch(DataLoader(range(12), batch_size=2, **dist(rank=1)))
    other = DataLoader(range(12), batch_size=2, **dist(rank=1))
    other.load_state_dict(state)
    assert epoch(other) == straight[1:]


def test_the_message_names_what_differs():
    state, _ = state_after(DataLoader(range(12), **rs(replacement=True)), 1)
    with pytest.raises(ValueError, match=r"sampler.replacement=True, but .*replacement=False"):
        DataLoader(range(12), **rs()).load_state_dict(state)


class Named(Sampler):
    """Names a setting that JSON does not give back as it is."""

    def __init__(self, setting):
        self.setting = setting

    def __iter__(self):
        return iter(range(4))

    def order_settings(self):
        return {"setting": self.setting}


def test_a_sampler_of_ones_own_may_name_settings():
    state, _ = state_after(DataLoader(range(4), sampler=Named((1, 2))), 1)
    DataLoader(range(4), sampler=Named((1, 2))).load_state_dict(state)
    with pytest.raises(ValueError, match=r"sampler.setting=\[1, 2\], but this one .*\[1, 3\]"):
        DataLoader(range(4), sampler=Named((1, 3))).load_state_dict(state)


def test_a_digest_is_of_values_and_not_of_their_container():
    assert digest([1, 2]) == digest(np.array([1, 2], np.int16)) == digest((np.int64(1), 2))
    assert digest([1.0, 2.0]) not in (digest([1, 2]), None)
    assert digest(["a", "b"]) not in (digest(["a", "c"]), None)
    assert digest([object()]) is digest([[1], [1, 2]]) is None


# Broken states.


@pytest.mark.parametrize(
    "broken", [{}, {"algorithm": "MT19937", "initial_seed": 0, "draws": -1}, [], "x"]
)
def test_a_broken_generator_is_refused_at_once(broken):
    for arguments in (
        {"shuffle": True, "generator": 0},
        {"generator": 0},
        rs(),
        {"sampler": SubsetRandomSampler(range(12), generator=0)},
        wrs([1.0] * 12),
        {"batch_sampler": BatchSampler(rs()["sampler"], 2, drop_last=False)},
        balanced(LABELS),
    ):
        loader = DataLoader(range(12), **arguments)
        state = loader.state_dict()
        part = state if "generator" in arguments else state["sampler"]
        part["generator"] = broken
        before = loader.state_dict()
        with pytest.raises(ValueError, match=r"generator|MT19937|draws"):
            loader.load_state_dict(state)
        assert loader.state_dict() == before


@pytest.mark.parametrize("broken", [{}, {"epoch": "x"}, {"epoch": 1, "more": 2}, {"x": 1}])
def test_a_broken_state_of_a_distributed_sampler_is_refused(broken):
    with pytest.raises(ValueError, match="not the state of a DistributedSampler"):
        dist()["sampler"].load_state_dict(broken)
    if broken:
        loader = DataLoader(range(12), **dist())
        with pytest.raises(ValueError, match="not the state of a DistributedSampler"):
            loader.load_state_dict({**loader.state_dict(), "sampler": broken})


def test_a_state_that_cannot_be_resumed_is_not_forgotten():
    class Moody(Named):
        def state_dict(self):
            return {"mood": 1}

        def load_state_dict(self, state):
            raise ValueError("not today")

    loader = DataLoader(range(4), sampler=Moody(0))
    state, _ = state_after(loader, 1)
    loader.load_state_dict(state)
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            iter(loader)
    assert loader.state_dict() == state


def epoch_aware(kind):
    if kind == "distributed":
        return {"sampler": DistributedSampler(range(12), 2, 0, seed=3), "batch_size": 2}
    return {"batch_sampler": BucketBatchSampler([1 + i % 5 for i in range(12)], 2, seed=3)}


@pytest.mark.parametrize("kind", ["distributed", "planned"])
def test_set_epoch_after_a_state_from_between_epochs_counts(kind):
    def run(loader, number):
        chosen = loader.sampler if kind == "distributed" else loader.batch_sampler
        chosen.set_epoch(number)
        return epoch(loader)

    straight, saved, resumed = (DataLoader(range(12), **epoch_aware(kind)) for _ in range(3))
    orders = [run(straight, number) for number in (0, 1, 5)]
    assert run(saved, 0) == orders[0]
    resumed.load_state_dict(saved.state_dict())
    assert resumed.state_dict() == saved.state_dict()
    assert run(resumed, 1) == orders[1]
    assert run(resumed, 5) == orders[2]
    assert orders[0] != orders[1]


def test_a_digest_is_that_of_equal_values():
    assert digest(["a", "b"]) == digest(np.array(["a", "b"], "<U8")) != digest(["ab", ""])
    assert digest([0.0, 1.0]) == digest([-0.0, 1.0])
