"""Data sets: rows of arrays, subsets, random splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import ArrayBatch, Dataset, Subset, TensorDataset, random_split
from tinytrain.generator import Generator


def make_pair(n=6):
    return TensorDataset(np.arange(2 * n).reshape(n, 2), np.arange(n) * 10)


def test_dataset_must_be_completed():
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="Dataset must define __len__"):
        len(Dataset())


def test_tensor_dataset_rows():
    data = make_pair()
    assert len(data) == 6
    row, label = data[4]
    assert row.tolist() == [8, 9]
    assert label == 40


@settings(deadline=None)
@given(st.lists(st.integers(-6, 5), max_size=8))
def test_fetching_together_equals_fetching_one_by_one(indices):
    data = make_pair()
    batch = data.__getitems__(indices)
    assert len(batch) == len(indices)
    for sample, index in zip(batch, indices, strict=True):
        assert [np.asarray(field).tolist() for field in sample] == [
            np.asarray(field).tolist() for field in data[index]
        ]
    for position in range(len(indices)):
        assert batch[position][1] == data[indices[position]][1]


def test_array_batch_is_a_sequence_of_samples():
    batch = make_pair().__getitems__([1, 3, 5])
    assert isinstance(batch, ArrayBatch)
    assert [label for _, label in batch] == [10, 30, 50]
    assert batch[-1][1] == 50
    assert [label for _, label in batch[1:]] == [30, 50]
    assert [label for _, label in reversed(batch)] == [50, 30, 10]
    assert repr(batch) == "ArrayBatch(int64(3, 2), int64(3,))"
    with pytest.raises(IndexError):
        batch[3]


def test_fetched_rows_are_copies():
    data = make_pair()
    data.__getitems__([0])[0][0][:] = -1
    assert data[0][0].tolist() == [0, 1]


def test_tensor_dataset_refuses():
    with pytest.raises(TypeError, match="argument 1 is a list"):
        TensorDataset(np.zeros(2), [1, 2])
    with pytest.raises(ValueError, match="Size mismatch between tensors"):
        TensorDataset(np.zeros(2), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="first axis"):
        TensorDataset()
    with pytest.raises(ValueError, match="first axis"):
        TensorDataset(np.array(1.0))
    with pytest.raises(IndexError):
        make_pair().__getitems__([6])


def test_memory_map(tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (4, 2))
    stored[:] = np.arange(8).reshape(4, 2)
    (rows,) = TensorDataset(stored).__getitems__([2, 0]).arrays
    assert type(rows) is np.ndarray
    assert rows.tolist() == [[4, 5], [0, 1]]


def test_subset_of_lists_and_of_subsets():
    letters = Subset(list("abcdef"), [5, 3, 1])
    assert [letters[i] for i in range(len(letters))] == ["f", "d", "b"]
    assert letters.__getitems__([2, 0]) == ["b", "f"]
    inner = Subset(Subset(make_pair(), np.array([5, 4, 3])), [2, 0])
    assert inner[0][1] == 30
    assert [label for _, label in inner.__getitems__([0, 1])] == [30, 50]
    assert isinstance(inner.__getitems__([0, 1]), ArrayBatch)
    assert len(Subset("abc", [])) == 0


@pytest.mark.parametrize("indices", [[True, False], [0.0, 1.0], [[0, 1]], 3, ["a"]])
def test_subset_refuses_what_is_no_list_of_indices(indices):
    with pytest.raises(TypeError, match="1-D sequence of integer indices"):
        Subset("abc", indices)


def test_random_split_equals_the_recorded_one():
    parts = random_split(range(10), [3, 7], generator=Generator(1))
    assert [part.indices.tolist() for part in parts] == [[5, 6, 1], [2, 0, 8, 9, 3, 7, 4]]
    assert parts[0][0] == 5


@settings(deadline=None)
@given(
    n=st.integers(1, 60),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_fractions_split_everything_once(n, weights, seed):
    fractions = [weight / sum(weights) for weight in weights]
    if sum(fractions) > 1:  # PyTorch refuses these too
        return
    if min(int(n * fraction) for fraction in fractions) == 0:
        return
    parts = random_split(range(n), fractions, generator=seed)
    assert sorted(index for part in parts for index in part) == list(range(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - n * fraction) <= len(parts)


def test_the_rest_of_a_fraction_goes_to_the_parts_in_turn():
    assert [len(part) for part in random_split(range(17), [0.25] * 4)] == [5, 4, 4, 4]
    assert [len(part) for part in random_split(range(19), [0.25] * 4)] == [5, 5, 5, 4]


def test_random_split_refuses():
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of"):
        random_split(range(10), [3, 8])
    with pytest.raises(ValueError, match="must not be negative"):
        random_split(range(3), [5, -2])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(3), [1.5, -0.5])
    with pytest.raises(ValueError, match="must be integers, or fractions"):
        random_split(range(10), [0.5, 0.6])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as caught:
        random_split(range(2), [0.9, 0.1])
    assert caught[0].filename == __file__
