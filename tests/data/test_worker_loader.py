"""The loader with workers: the same batches as without, and states that do not know of them."""

import itertools
import json

import numpy as np
import pytest

from tests import worker_datasets as wd
from tinytrain.data import DataLoader, TensorDataset

COUNTS = [0, 1, 2, pytest.param(4, marks=pytest.mark.slow)]


def lists(batches):
    return [np.asarray(batch).tolist() for batch in batches]


@pytest.fixture(scope="module")
def augmented():
    """Three shuffled epochs of samples with random numbers, without workers."""
    loader = DataLoader(wd.Augmented(), batch_size=5, shuffle=True, generator=7)
    return [lists(loader) for _ in range(3)]


@pytest.mark.parametrize("num_workers", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("persistent", [False, True])
def test_augmented_epochs_do_not_depend_on_the_workers(augmented, num_workers, persistent):
    loader = DataLoader(
        wd.Augmented(),
        batch_size=5,
        shuffle=True,
        generator=7,
        num_workers=num_workers,
        persistent_workers=persistent,
    )
    assert [lists(loader) for _ in range(3)] == augmented


PAIRS = list(itertools.product(range(4), repeat=2))
QUICK = {(0, 2), (2, 0)}


@pytest.mark.parametrize(
    ("before", "after"),
    [pair if pair in QUICK else pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS],
)
def test_a_state_goes_on_under_any_other_number_of_workers(augmented, before, after):
    def loader(num_workers):
        return DataLoader(
            wd.Augmented(), batch_size=5, shuffle=True, generator=7, num_workers=num_workers
        )

    first = loader(before)
    assert lists(first) == augmented[0]
    iterator = iter(first)
    assert lists(next(iterator) for _ in range(2)) == augmented[1][:2]
    state = json.dumps(first.state_dict())
    assert len(state) <= 1024
    second = loader(after)
    second.load_state_dict(json.loads(state))
    assert lists(second) == augmented[1][2:]
    assert lists(second) == augmented[2]


@pytest.mark.parametrize("num_workers", COUNTS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_sharded_stream_is_read_exactly_once(num_workers, drop_last):
    for n in (23, 8):
        loader = DataLoader(
            wd.Shards(n), batch_size=4, drop_last=drop_last, num_workers=num_workers
        )
        batches = lists(loader)
        samples = sorted(itertools.chain.from_iterable(batches))
        assert len(batches) == len(loader)
        assert len(samples) == len(set(samples)) == (n - n % 4 if drop_last else n)
        assert set(samples) <= set(range(n))


def test_an_array_data_set_comes_from_workers_as_without():
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    dataset = TensorDataset(rows, np.arange(20))
    for batch, expected in zip(
        DataLoader(dataset, batch_size=6, num_workers=2),
        DataLoader(dataset, batch_size=6),
        strict=True,
    ):
        assert len(batch) == len(expected)
        for array, other in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(array, other)
            assert array.dtype == other.dtype
