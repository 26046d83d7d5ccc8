"""The loader: PyTorch's checks and orders, and states that resume in the middle of an epoch."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import (
    ArrayBatch,
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)
from tinytrain.generator import Generator, default_generator

# Recorded with PyTorch 2.13: three epochs of DataLoader(range(10), batch_size=4, shuffle=True).
RECORDED = {
    0: [
        [[3, 7, 5, 2], [0, 8, 1, 6], [9, 4]],
        [[1, 3, 2, 7], [5, 9, 0, 6], [4, 8]],
        [[6, 8, 5, 7], [2, 4, 1, 0], [3, 9]],
    ],
    42: [
        [[6, 5, 4, 0], [8, 9, 2, 1], [3, 7]],
        [[3, 6, 5, 8], [9, 4, 2, 0], [7, 1]],
        [[7, 4, 5, 0], [9, 1, 3, 2], [8, 6]],
    ],
}
# The same without generator=, after torch.manual_seed(5).
RECORDED_DEFAULT_5 = [
    [[8, 3, 0, 5], [9, 1, 6, 2], [4, 7]],
    [[5, 8, 9, 7], [2, 0, 4, 1], [3, 6]],
    [[6, 5, 4, 0], [7, 2, 1, 8], [9, 3]],
]


@pytest.fixture(autouse=True)
def _keep_default_generator():
    state = default_generator().get_state()
    yield
    default_generator().set_state(state)


def epoch(loader):
    return [np.asarray(batch).tolist() for batch in loader]


class Counting(Dataset[int]):
    """Remembers which samples were fetched."""

    def __init__(self, n):
        self.n = n
        self.fetched = []

    def __getitem__(self, index):
        self.fetched.append(index)
        return index

    def __len__(self):
        return self.n


# Orders.


@pytest.mark.parametrize("seed", RECORDED)
def test_three_epochs_equal_recorded_ones(seed):
    loader = DataLoader(range(10), batch_size=4, shuffle=True, generator=seed)
    assert [epoch(loader) for _ in range(3)] == RECORDED[seed]


def test_three_epochs_with_the_default_generator_equal_recorded_ones():
    default_generator().manual_seed(5)
    loader = DataLoader(range(10), batch_size=4, shuffle=True)
    assert [epoch(loader) for _ in range(3)] == RECORDED_DEFAULT_5


def test_only_shuffling_draws_from_the_default_generator():
    before = default_generator().get_state()
    epoch(DataLoader(range(10)))
    epoch(DataLoader(range(10), sampler=[3, 1]))
    epoch(DataLoader(range(10), shuffle=True, generator=3))
    assert default_generator().get_state() == before
    epoch(DataLoader(range(10), shuffle=True))
    assert default_generator().get_state() != before


def test_global_random_states_are_not_touched():
    numpy_state, python_state = np.random.get_state(legacy=False)["state"], random.getstate()
    loader = DataLoader(TensorDataset(np.arange(50)), batch_size=8, shuffle=True)
    for _ in loader:
        loader.state_dict()
    after = np.random.get_state(legacy=False)["state"]
    assert after["pos"] == numpy_state["pos"]
    np.testing.assert_array_equal(after["key"], numpy_state["key"])
    assert random.getstate() == python_state


def test_a_generator_moves_on_at_every_epoch_also_unshuffled():
    generator = Generator(3)
    epoch(DataLoader(range(4), generator=generator))
    other = Generator(3)
    other.random_int64()
    assert generator.get_state() == other.get_state()


# What a batch is.


@settings(deadline=None)
@given(n=st.integers(0, 25), size=st.integers(1, 9), drop_last=st.booleans())
def test_batches_in_order(n, size, drop_last):
    loader = DataLoader(range(n), batch_size=size, drop_last=drop_last)
    batches = epoch(loader)
    assert len(batches) == len(loader)
    kept = n - n % size if drop_last else n
    assert [index for batch in batches for index in batch] == list(range(kept))


@settings(deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 9), seed=st.integers(0, 999))
def test_a_shuffled_epoch_visits_each_sample_once(n, size, seed):
    loader = DataLoader(range(n), batch_size=size, shuffle=True, generator=seed)
    assert sorted(index for batch in epoch(loader) for index in batch) == list(range(n))


def test_arrays_come_in_batches_without_a_loop_over_samples():
    inputs, labels = np.arange(20.0).reshape(10, 2), np.arange(10)
    data = TensorDataset(inputs, labels)
    received = []

    def collate(samples):
        received.append(samples)
        return samples

    epoch_of_samples = list(DataLoader(data, batch_size=4, collate_fn=collate))
    assert all(isinstance(samples, ArrayBatch) for samples in received)
    assert [len(samples) for samples in epoch_of_samples] == [4, 4, 2]
    row, label = epoch_of_samples[1][2]
    assert (row.tolist(), int(label)) == ([12.0, 13.0], 6)
    loader = DataLoader(Subset(data, range(9, -1, -1)), batch_size=4)
    batches = list(loader)
    assert [labels.tolist() for _, labels in batches] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert batches[0][0].shape == (4, 2)
    assert type(batches[0]) is list


def test_without_batching():
    loader = DataLoader([np.float32(1), (2, "x")], batch_size=None)
    first, second = loader
    assert isinstance(first, np.ndarray)
    assert second == [2, "x"]
    assert len(loader) == 2
    assert loader.batch_sampler is None
    pairs = TensorDataset(np.arange(6).reshape(3, 2))
    rows = DataLoader(pairs, batch_size=None, sampler=[[0, 2], [1]])
    assert [row[0].tolist() for row in rows] == [[[0, 1], [4, 5]], [[2, 3]]]


def test_samplers_are_used():
    assert epoch(DataLoader("abcd", sampler=[3, 0])) == [["d"], ["a"]]
    assert epoch(DataLoader("abcd", batch_sampler=[[3, 0], [1]])) == [["d", "a"], ["b"]]
    named = DataLoader({"x": 1, "y": 2}, sampler=["y", "x"], batch_size=2)
    assert epoch(named) == [[2, 1]]
    loader = DataLoader("abcd", batch_sampler=[[3]])
    assert loader.batch_size is None
    assert loader.drop_last is False


def test_getitems_of_the_wrong_length_is_refused():
    class Short(Counting):
        def __getitems__(self, indices):
            return indices[:-1]

    loader = DataLoader(Short(5), batch_size=5)
    with pytest.raises(ValueError, match=r"Short.__getitems__ must .* returned 4 for 5 indices"):
        list(loader)


def test_getitems_that_is_none_is_ignored():
    class Without(Counting):
        __getitems__ = None

    assert epoch(DataLoader(Without(3), batch_size=2)) == [[0, 1], [2]]


def test_errors_of_the_data_set_keep_their_type():
    with pytest.raises(IndexError):
        list(DataLoader([1, 2], sampler=[5]))


# Checks, in PyTorch's order.


def test_refused_arguments():
    exclusive = "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and"
    cases = [
        ({"sampler": [0], "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
        ({"sampler": [0], "shuffle": True, "batch_sampler": [[0]]}, "sampler option is mutually"),
        ({"batch_sampler": [[0]], "batch_size": 2}, exclusive),
        ({"batch_sampler": [[0]], "batch_size": None}, exclusive),
        ({"batch_sampler": [[0]], "shuffle": True}, exclusive),
        ({"batch_sampler": [[0]], "sampler": [0]}, exclusive),
        ({"batch_sampler": [[0]], "drop_last": True}, exclusive),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"batch_size": np.int64(2)}, "but got batch_size=2"),
        ({"drop_last": 1}, "drop_last should be a boolean value, but got drop_last=1"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=f"^{message}|{message}$"):
            DataLoader(range(3), **arguments)
    with pytest.raises(ValueError, match="num_samples should be a positive integer value, but"):
        DataLoader([], shuffle=True)
    assert epoch(DataLoader([])) == []
    assert epoch(DataLoader("ab", sampler=[1], shuffle=False)) == [["b"]]
    with pytest.raises(TypeError, match="needs a data set with __getitem__"):
        DataLoader(iter([1]))
    with pytest.raises(TypeError, match="generator must be"):
        DataLoader(range(3), generator=np.random.default_rng(0))
    with pytest.raises(TypeError, match="positional"):
        DataLoader(range(3), 1, False, None, None, 0)


def test_attributes_that_stay():
    loader = DataLoader(range(4), batch_size=2)
    names = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "generator")
    for name in names:
        with pytest.raises(
            ValueError, match=f"^{name} attribute should not be set after DataLoader is init"
        ):
            setattr(loader, name, None)
    loader.collate_fn = sum
    assert list(loader) == [1, 5]


# Resuming.


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
        with pytest.raises(ValueError, match="only one of the two shuffles"):
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
    with pytest.raises(ValueError, match="cannot resume after batch 4: the sampler ended after 2"):
        next(iter(resumed))


def test_an_epoch_begins_with_iter_and_not_with_its_first_batch():
    """As in PyTorch: two iterators side by side (recorded from it, seed 0)."""
    loader = DataLoader(range(4), batch_size=2, shuffle=True, generator=0)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([3, 1], [3, 2]), ([0, 2], [0, 1])]
