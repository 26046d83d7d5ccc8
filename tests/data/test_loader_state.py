"""States of a loader: resumed anywhere, it gives the batches that were left."""

import json

import numpy as np
import pytest

from tests.data.loader_cases import RECORDED_DEFAULT_5, Counting, epoch
from tinytrain.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
)
from tinytrain.data.epoch import Epoch
from tinytrain.generator import Generator, default_generator


class Epochs(Sampler[int]):
    """A sampler with a state of its own: epoch e visits the samples from e on."""

    def __init__(self, n):
        self.n = n
        self.epoch = 0

    def __iter__(self):
        first = self.epoch
        self.epoch += 1
        return iter([(first + i) % self.n for i in range(self.n)])

    def __len__(self):
        return self.n

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


class FromGenerator(Sampler[int]):
    """A sampler without a state, whose randomness is the loader's generator."""

    def __init__(self, n, generator):
        self.n = n
        self.generator = generator

    def __iter__(self):
        return iter(self.generator.randperm(self.n)[: self.n - 1].tolist())


def from_generator(n):
    generator = Generator(4)
    return {"sampler": FromGenerator(n, generator), "generator": generator, "batch_size": 3}


LOADERS = {
    "in order": lambda n: {"batch_size": 3},
    "in order, generator": lambda n: {"batch_size": 3, "generator": 2},
    "shuffled": lambda n: {"batch_size": 3, "shuffle": True, "generator": 2},
    "drop last": lambda n: {"batch_size": 3, "shuffle": True, "generator": 2, "drop_last": True},
    "unbatched": lambda n: {"batch_size": None, "shuffle": True, "generator": 2},
    "random sampler": lambda n: {"batch_size": 2, "sampler": RandomSampler(range(n), generator=3)},
    "with replacement": lambda n: {
        "sampler": RandomSampler(range(n), replacement=True, num_samples=5, generator=3)
    },
    "batch sampler": lambda n: {
        "batch_sampler": BatchSampler(RandomSampler(range(n), generator=1), 4, False)
    },
    "fixed batches": lambda n: {"batch_sampler": [[0, 1], [2], [1]]},
    "sampler with a state": lambda n: {"batch_size": 2, "sampler": Epochs(n)},
    "sampler on the generator": from_generator,
}


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_resuming_after_every_batch(make):
    n = 10
    loader = DataLoader(range(n), **make(n))
    states, batches = [loader.state_dict()], []
    ends = []
    for _ in range(3):
        for batch in loader:
            batches.append(np.asarray(batch).tolist())
            states.append(loader.state_dict())
            ends.append(False)
        states.append(loader.state_dict())
        ends.append(True)

    seen = 0
    for state, ended in zip(states, [True, *ends], strict=True):
        resumed = DataLoader(range(n), **make(n))
        resumed.load_state_dict(json.loads(json.dumps(state)))
        assert resumed.state_dict() == state
        assert state["epoch_begun"] is not ended
        seen += state is not states[0] and not ended
        left = batches[seen:]
        rest = []
        while len(rest) < len(left):
            rest += epoch(resumed)
        assert rest[: len(left)] == left


def test_resuming_restores_the_states_too():
    make = LOADERS["shuffled"]
    loader = DataLoader(range(10), **make(10))
    iterator = iter(loader)
    next(iterator)
    resumed = DataLoader(range(10), **make(10))
    resumed.load_state_dict(loader.state_dict())
    again = iter(resumed)
    for _ in iterator:
        next(again)
        assert resumed.state_dict() == loader.state_dict()


def test_resuming_reads_no_skipped_sample():
    loader = DataLoader(Counting(10), batch_size=2, shuffle=True, generator=0)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    data = Counting(10)
    resumed = DataLoader(data, batch_size=2, shuffle=True, generator=0)
    resumed.load_state_dict(loader.state_dict())
    rest = epoch(resumed)
    assert data.fetched == [index for batch in rest for index in batch]
    assert set(data.fetched).isdisjoint(loader.dataset.fetched)


def test_after_the_last_batch_an_empty_rest_is_left():
    loader = DataLoader(range(4), batch_size=2, shuffle=True, generator=0)
    iterator = iter(loader)
    next(iterator), next(iterator)
    resumed = DataLoader(range(4), batch_size=2, shuffle=True, generator=0)
    resumed.load_state_dict(loader.state_dict())
    assert epoch(resumed) == []
    assert next(iterator, None) is None
    assert epoch(resumed) == epoch(loader)


def test_resuming_with_the_default_generator():
    default_generator().manual_seed(5)
    loader = DataLoader(range(10), batch_size=4, shuffle=True)
    iterator = iter(loader)
    next(iterator)
    state, default_state = loader.state_dict(), default_generator().get_state()
    default_generator().manual_seed(77)
    resumed = DataLoader(range(10), batch_size=4, shuffle=True)
    resumed.load_state_dict(state)
    before = default_generator().get_state()
    assert epoch(resumed) == RECORDED_DEFAULT_5[0][1:]
    assert default_generator().get_state() == before
    default_generator().set_state(default_state)
    assert [epoch(resumed), epoch(resumed)] == RECORDED_DEFAULT_5[1:]


def test_asking_for_the_state_changes_nothing():
    default_generator().manual_seed(5)
    loader = DataLoader(range(10), batch_size=4, shuffle=True)
    epochs = []
    for _ in range(3):
        loader.state_dict()
        batches = []
        for batch in loader:
            batches.append(batch.tolist())
            loader.state_dict()
        epochs.append(batches)
    assert epochs == RECORDED_DEFAULT_5


def test_a_new_iteration_after_a_break_is_a_new_epoch():
    loader = DataLoader(range(10), batch_size=4, shuffle=True, generator=0)
    for _ in loader:
        break
    assert loader.state_dict()["batches_yielded"] == 1
    assert len(epoch(loader)) == 3
    assert loader.state_dict()["epoch_begun"] is False


def test_states_that_do_not_fit_are_refused():
    shuffled = DataLoader(range(10), batch_size=2, shuffle=True, generator=0)
    in_order = DataLoader(range(10), batch_size=2)
    with pytest.raises(ValueError, match="5 batches per epoch, but this one has 4"):
        DataLoader(range(7), batch_size=2).load_state_dict(in_order.state_dict())
    for ours, other in ((shuffled, in_order), (in_order, shuffled)):
        with pytest.raises(ValueError, match="another order: it has sampler="):
            ours.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="not the state of a DataLoader"):
        shuffled.load_state_dict({"batches_yielded": 1})
    with pytest.raises(ValueError, match="RandomSampler without a generator cannot be repeated"):
        DataLoader(range(3), sampler=RandomSampler(range(3))).state_dict()


def test_a_sampler_that_ends_too_early_is_noticed():
    class Shrinking(SequentialSampler):
        def __len__(self):
            raise TypeError("no length")

    loader = DataLoader(range(5), sampler=Shrinking(range(5)))
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    resumed = DataLoader(range(5), sampler=Shrinking(range(2)))
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match=r"cannot resume after batch 4: .* ended after 2"):
        next(iter(resumed))


def test_the_state_is_small_after_many_epochs():
    loader = DataLoader(range(5_000), batch_size=500, shuffle=True, generator=2**63 + 1)
    for _ in range(20):
        list(loader)
    next(iter(loader))
    loader.skip(range(5, 9))
    state = loader.state_dict()
    assert state["epoch"] == 20
    assert len(json.dumps(state)) < 550


def test_epochs_are_counted_also_those_before_a_resume():
    loader = DataLoader(range(4), batch_size=2)
    list(loader)
    next(iter(loader))
    assert (loader.state_dict()["epoch"], loader.state_dict()["epoch_begun"]) == (1, True)
    resumed = DataLoader(range(4), batch_size=2)
    resumed.load_state_dict(loader.state_dict())
    list(resumed)
    assert (resumed.state_dict()["epoch"], resumed.state_dict()["epoch_begun"]) == (2, False)


# Leaving batches out.


def test_skipped_batches_are_not_fetched():
    data = Counting(10)
    loader = DataLoader(data, batch_size=2)
    loader.skip([0, 3])
    loader.skip([3, 4])
    assert epoch(loader) == [[2, 3], [4, 5]]
    assert data.fetched == [2, 3, 4, 5]
    assert len(loader) == 5
    assert len(epoch(loader)) == 5


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_skipping_leaves_the_other_batches_as_they_are(make):
    whole = [epoch(loader) for loader in [DataLoader(range(10), **make(10))] for _ in range(3)]
    loader = DataLoader(range(10), **make(10))
    loader.skip([1], epoch=1)
    parts = [epoch(loader) for _ in range(3)]
    assert parts == [whole[0], whole[1][:1] + whole[1][2:], whole[2]]


def test_skipping_in_the_middle_of_an_epoch_and_after_a_resume():
    def make():
        return DataLoader(range(12), batch_size=2, shuffle=True, generator=1)

    whole = epoch(make())
    loader = make()
    batches = iter(loader)
    next(batches), next(batches)
    saved = json.loads(json.dumps(loader.state_dict()))
    loader.skip([3])
    with_skip = json.loads(json.dumps(loader.state_dict()))
    assert [batch.tolist() for batch in batches] == [whole[2], whole[4], whole[5]]
    assert loader.state_dict()["skip"] == []

    resumed = make()
    resumed.load_state_dict(saved)
    resumed.skip([2, 4, 5])
    assert resumed.state_dict()["skip"] == [[0, 2, 3, 1], [0, 4, 6, 1]]
    assert epoch(resumed) == [whole[3]]
    for state in (with_skip, loader.state_dict()):
        resumed = make()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
    resumed.load_state_dict(with_skip)
    assert epoch(resumed) == [whole[2], whole[4], whole[5]]


def test_what_was_to_be_skipped_of_an_epoch_broken_off_is_forgotten():
    loader = DataLoader(range(10), batch_size=2)
    loader.skip([4])
    loader.skip([1], epoch=2)
    next(iter(loader))
    assert len(epoch(loader)) == 5
    assert loader.state_dict()["skip"] == [[2, 1, 2, 1]]


def test_what_cannot_be_skipped():
    loader = DataLoader(range(10), batch_size=2)
    for wrong in ([-1], [5], [2, 7]):
        with pytest.raises(ValueError, match=r"has 5 batches, numbered from 0, but \["):
            loader.skip(wrong)
    list(loader)
    with pytest.raises(ValueError, match="epoch 0 is over: the loader is at epoch 1"):
        loader.skip([1], epoch=0)
    batches = iter(loader)
    next(batches), next(batches)
    with pytest.raises(ValueError, match=r"batches \[1\] of epoch 1 have been handed out already"):
        loader.skip([1, 3])
    assert loader.state_dict()["skip"] == []
    resumed = DataLoader(range(10), batch_size=2)
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match="handed out already"):
        resumed.skip([0])
    with pytest.raises(TypeError):
        resumed.skip([2.0])
    endless = DataLoader(range(3), sampler=FromGenerator(3, Generator(0)))
    endless.skip([100])  # nobody knows the number of its batches
    assert len(epoch(endless)) == 2


def test_batches_out_of_order():
    """Positions that a loader with in_order=False notes, whoever fetches."""
    under_way = Epoch(0, 0, 0, {}, in_order=False, skipped={3})
    for number in (1, 4, 0):
        under_way.hand_out(number)
    assert (under_way.position, under_way.ahead) == (2, {4})
    assert [number for number, _ in under_way.tasks(iter("abcdefg"))] == [2, 5, 6]
    resumed = Epoch(0, 0, 0, {}, position=2, ahead={4}, skipped={3}, in_order=False)
    tasks = resumed.tasks(iter("abcdefg"))
    assert next(tasks) == (2, "c")
    resumed.hand_out(2)
    assert next(tasks) == (5, "f")
    assert resumed.position == 5


# With workers.


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_resuming_under_any_number_of_workers(before):
    def make(workers):
        return DataLoader(range(30), batch_size=4, shuffle=True, generator=6, num_workers=workers)

    expected = [epoch(loader) for loader in [make(0)] for _ in range(2)]
    for after in (0, 1, 2, 3):
        loader, resumed = make(before), make(after)
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
        assert [epoch(resumed), epoch(resumed)] == [expected[0][3:], expected[1]]


@pytest.mark.slow
@pytest.mark.parametrize("in_order", [True, False])
def test_skipping_what_workers_have_fetched_already(in_order):
    loader = DataLoader(range(12), batch_size=2, num_workers=2, in_order=in_order)
    batches = iter(loader)
    first = next(batches).tolist()
    numbers = [number for number in (2, 4, 5) if [2 * number, 2 * number + 1] != first]
    loader.skip(numbers)
    rest = [batch.tolist() for batch in batches]
    left = [[2 * n, 2 * n + 1] for n in range(6) if n not in numbers]
    assert sorted([first, *rest]) == left
