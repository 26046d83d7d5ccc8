"""The loader: PyTorch's checks and orders, and states that resume in the middle of an epoch."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.loader_cases import RECORDED_DEFAULT_5, Counting, epoch
from tinytrain.data import (
    ArrayBatch,
    DataLoader,
    Subset,
    TensorDataset,
    takes_array_batch,
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


def test_seed_and_epoch_do_not_mix():
    orders = {}
    for seed in (0, 1):
        loader = DataLoader(range(50), batch_size=50, shuffle=True, generator=seed)
        orders |= {(seed, number): tuple(epoch(loader)[0]) for number in (0, 1)}
    assert len(set(orders.values())) == 4


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

    @takes_array_batch
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


def test_a_collate_function_of_a_user_gets_a_list_of_tuples():
    def longest_first(samples):
        samples.sort(key=lambda sample: -sample[1])
        return [int(label) for _, label in samples + samples[:1]]

    data = TensorDataset(np.arange(8.0).reshape(4, 2), np.arange(4))
    for dataset in (data, Subset(data, [0, 1, 2, 3])):
        loader = DataLoader(dataset, batch_size=2, collate_fn=longest_first)
        assert list(loader) == [[1, 0, 1], [3, 2, 3]]


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


def test_a_data_set_may_have_getitems_only():
    class Together:
        def __getitems__(self, indices):
            return [10 * index for index in indices]

        def __len__(self):
            return 3

    assert epoch(DataLoader(Together(), batch_size=2)) == [[0, 10], [20]]
    with pytest.raises(TypeError, match=r"data set with __getitem__ .*but got a Together"):
        DataLoader(Together(), batch_size=None)


def test_errors_of_the_data_set_keep_their_type():
    with pytest.raises(IndexError):
        list(DataLoader([1, 2], sampler=[5]))


def test_an_epoch_begins_with_iter_and_not_with_its_first_batch():
    """As in PyTorch: two iterators side by side (recorded from it, seed 0)."""
    loader = DataLoader(range(4), batch_size=2, shuffle=True, generator=0)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([3, 1], [3, 2]), ([0, 2], [0, 1])]


def test_the_iterator_goes_on_after_an_error():
    class Sometimes(Counting):
        def __getitem__(self, index):
            if index % 2:
                raise KeyError(index)
            return index

    batches, results = iter(DataLoader(Sometimes(5))), []
    for _ in range(5):
        try:
            results.append(next(batches).tolist())
        except KeyError as error:
            results.append(str(error))
    assert results == [[0], "1", [2], "3", [4]]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(batches)


def test_a_data_set_that_grows_and_one_that_has_no_length_yet():
    data = [1.0] * 4
    in_order, shuffled = DataLoader(data), DataLoader(data, shuffle=True)
    data.append(1.0)
    assert len(in_order) == len(shuffled) == 5
    assert len(list(in_order)) == len(list(shuffled)) == 5


def test_the_iterator_has_a_length_and_no_workers():
    batches = iter(DataLoader(range(7), batch_size=2))
    next(batches)
    assert len(batches) == 4
    assert batches._workers == []
    assert iter(batches) is batches
