"""Data sets of arrays: rows, and batches fetched by one indexing operation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import ArrayBatch, TensorDataset


def make_pair(n=6):
    return TensorDataset(np.arange(2 * n).reshape(n, 2), np.arange(n) * 10)


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
