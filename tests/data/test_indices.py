"""Indices are whole numbers: nothing else is made one."""

import numpy as np
import pytest

from tinytrain.data import (
    BlockDataset,
    DataLoader,
    StackDataset,
    Subset,
    TensorDataset,
    WindowDataset,
)
from tinytrain.data.indices import index_array

ROWS = np.arange(10)
DATASETS = {
    "arrays": TensorDataset(ROWS),
    "subset": Subset(TensorDataset(ROWS), [2, 1, 0]),
    "subset of keys": Subset({"a": 1, "b": 2}, ["a", "b"]),
    "stack": StackDataset(list(ROWS), TensorDataset(ROWS)),
    "blocks": BlockDataset(ROWS, block_size=2),
    "windows": WindowDataset(ROWS, input_length=2, horizon=1),
}


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize(
    "indices", [[1.7], [0, 1.0], [True, False], [1, True], [np.float32(1)], [np.True_]], ids=repr
)
def test_what_is_no_integer_is_refused_and_named(dataset, indices):
    name = type(dataset).__name__
    message = rf"indices of a {name} must be integers, but the sampler gave .*np.flatnonzero"
    with pytest.raises(TypeError, match=message):
        list(DataLoader(dataset, batch_sampler=[indices]))


@pytest.mark.parametrize("indices", [np.array([0.5]), np.array([True]), ["1"], [None], [[1]]])
def test_arrays_and_other_objects(indices):
    with pytest.raises(TypeError, match="indices of a list must be integers"):
        index_array(indices, [])


def test_integers_of_any_kind_are_taken():
    for indices in ([1, 0], (1, 0), range(1, -1, -1), np.array([1, 0], np.uint64)):
        found = index_array(indices, None)
        assert (found.tolist(), found.dtype) == ([1, 0], np.int64)
    assert index_array([np.int8(1), 0], None).tolist() == [1, 0]
    assert index_array([], None).dtype == np.int64
    assert index_array(np.array([]), None).dtype == np.int64
    with pytest.raises(OverflowError):
        index_array(np.array([2**64 - 1], np.uint64), None)
