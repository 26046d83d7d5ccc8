"""Collating: PyTorch's type rules with NumPy arrays as the result."""

import collections
import enum
import types

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.data import (
    ArrayBatch,
    DataLoader,
    TensorDataset,
    default_collate,
    default_convert,
)

Point = collections.namedtuple("Point", ["x", "y"])

# Recorded with PyTorch 2.13: a batch, and the dtype of the collated batch.
DTYPES = [
    ([1.0, 2.0], "float64"),
    ([1.0, 2], "float64"),
    ([1.0, True], "float64"),
    ([1, 2], "int64"),
    ([1, 2.0], "float32"),
    ([True, 2.0], "float32"),
    ([True, False], "bool"),
    ([True, 2], "int64"),
    ([1, 1j], "complex64"),
    ([np.float32(1), np.float32(2)], "float32"),
    ([np.float64(1)], "float64"),
    ([np.float16(1)], "float16"),
    ([np.int32(1)], "int32"),
    ([np.uint8(1)], "uint8"),
    ([np.bool_(True)], "bool"),
    ([np.float32(1), np.float64(2)], "float64"),
    ([np.int64(1), np.int32(2)], "int64"),
    ([np.int32(1), 2.5], "float32"),
    ([1, np.float64(2)], "float64"),
    ([1, np.float32(2)], "float32"),
    ([np.zeros(2, np.float32), np.zeros(2)], "float64"),
    ([np.zeros(2, np.int64), np.zeros(2, np.float32)], "float32"),
    ([np.array(1.0), np.array(2.0)], "float64"),
]


@pytest.mark.parametrize(("batch", "dtype"), DTYPES, ids=repr)
def test_dtypes(batch, dtype):
    result = default_collate(batch)
    assert isinstance(result, np.ndarray)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.array(batch))


def test_arrays_are_stacked_and_copied():
    rows = [np.arange(6).reshape(2, 3), np.ones((2, 3), int)]
    stacked = default_collate(rows)
    assert stacked.shape == (2, 2, 3)
    stacked[:] = 0
    assert rows[0][1, 2] == 5


def test_containers_keep_their_type():
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a"]) == [b"a"]
    result = default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert isinstance(result, Point)
    assert result.x.tolist() == [1, 3]
    assert result.y.dtype == np.float64
    pair = default_collate([(1, "a"), (2, "b")])
    assert isinstance(pair, list)
    assert pair[1] == ("a", "b")
    assert [column.tolist() for column in default_collate([[1, 2], [3, 4]])] == [[1, 3], [2, 4]]
    ranges = default_collate([range(2), range(2)])
    assert [column.tolist() for column in ranges] == [[0, 0], [1, 1]]
    assert default_collate([(), ()]) == []
    deque = default_collate([collections.deque([1, 2])])
    assert isinstance(deque, collections.deque)
    counts = default_collate([collections.OrderedDict(a=1), collections.OrderedDict(a=2)])
    assert isinstance(counts, collections.OrderedDict)
    assert counts["a"].tolist() == [1, 2]
    fixed = default_collate([types.MappingProxyType({"a": 1})])
    assert isinstance(fixed, types.MappingProxyType)
    filled = default_collate([collections.defaultdict(int, {"a": 1})])
    assert filled.default_factory is int


class Stubborn(dict):
    def update(self, values):
        raise TypeError("no")


def test_a_container_that_cannot_be_made_becomes_a_plain_one():
    assert type(default_collate([Stubborn(a=1)])) is dict
    assert type(default_convert(range(2))) is list


def test_an_array_batch_is_taken_as_it_is():
    columns = (np.zeros((3, 2)), np.arange(3))
    result = default_collate(ArrayBatch(columns))
    assert isinstance(result, list)
    assert all(ours is given for ours, given in zip(result, columns, strict=True))


@pytest.mark.parametrize("kind", ["U1", "S1", object])
def test_arrays_of_text_and_objects_are_refused(kind):
    with pytest.raises(
        TypeError, match="default_collate: batch must contain tensors, numpy arrays"
    ):
        default_collate([np.array(["a", "b"], dtype=kind)])


@pytest.mark.parametrize("sample", [None, object(), {1}, 1j, np.datetime64("2020")])
def test_unsupported_types_are_named(sample):
    with pytest.raises(TypeError, match="dicts or lists; found <class"):
        default_collate([sample])


@pytest.mark.parametrize(
    "batch", [[1, None], [1, "2"], [1.0, "2"], [1.0, np.complex64(1j)], [np.float32(1), "2"]]
)
def test_a_later_sample_of_another_type_is_refused(batch):
    with pytest.raises(TypeError, match="found <class"):
        default_collate(batch)


def test_ragged_batches_are_refused():
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal s"):
        default_collate([[1], [2, 3]])
    with pytest.raises(RuntimeError, match=r"got \[2\] at entry 0 and \[3\] at entry 1"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="same keys"):
        default_collate([{"a": 1}, {"a": 1, "b": 2}])
    for other in ({"b": 1}, {}):
        with pytest.raises(KeyError, match="entry 1 of the batch has no 'a', which entry 0 has"):
            default_collate([{"a": 1}, other])
    with pytest.raises(IndexError):
        default_collate([])
    with pytest.raises(OverflowError):
        default_collate([2**63])
    with pytest.raises(TypeError, match="no integer dtype"):
        default_collate([np.uint64(1), np.int64(1)])


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


class Length(float):
    pass


class Count(int):
    pass


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [
        ([Color.RED, Color.BLUE], "int64"),
        ([Count(1), 2], "int64"),
        ([Length(0.5), 1], "float64"),
        ([1, Length(0.5)], "float32"),
    ],
)
def test_subclasses_of_numbers_are_numbers(batch, dtype):
    result = default_collate(batch)
    assert result.dtype == dtype
    assert result.tolist() == batch


def test_a_tensor_is_told_from_an_array():
    message = r"makes NumPy arrays .*Tensor'>: let the data set hold arrays \(tensor.numpy\(\)\)"
    for batch in ([tt.tensor([1.0])], [(tt.tensor([1.0]), 1)], [np.float32(1), tt.tensor(1.0)]):
        with pytest.raises(TypeError, match=message):
            default_collate(batch)


def test_an_empty_batch_is_refused_however_it_comes():
    data = TensorDataset(np.arange(3))
    for dataset in (data, [1, 2, 3]):
        with pytest.raises(IndexError):
            list(DataLoader(dataset, batch_sampler=[[0], []]))


class Labelled(np.ndarray):
    """An array class of a user's."""


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [
        ([1, np.zeros(())], "float64"),
        ([1, np.zeros((), np.float32)], "float32"),
        ([True, np.ones((), np.int32)], "int32"),
        ([1.5, np.zeros((), np.float32)], "float64"),
        ([np.float32(1), np.zeros(())], "float64"),
    ],
)
def test_an_array_without_axes_is_a_number_among_numbers(batch, dtype):
    collated = default_collate(batch)
    assert collated.dtype == dtype
    assert collated.tolist() == [float(number) for number in batch]
    with pytest.raises(TypeError, match=r"found <class 'numpy.ndarray'>"):
        default_collate([1, np.zeros(1)])


def test_convert_leaves_one_sample_as_it_is():
    array = np.zeros(2)
    assert default_convert(array) is array
    assert default_convert(3) == 3
    assert default_convert("text") == "text"
    assert default_convert(None) is None
    for other in (np.ma.array([1, 2], mask=[0, 1]), np.zeros(2).view(Labelled)):
        assert default_convert(other) is other
    scalar = default_convert(np.float32(1.5))
    assert isinstance(scalar, np.ndarray)
    assert scalar.dtype == np.float32
    assert scalar.shape == ()
    nested = default_convert({"p": Point(np.int64(1), "a"), "t": (1, [np.bool_(True)])})
    assert nested["p"].x.dtype == np.int64
    assert nested["p"].y == "a"
    assert nested["t"][0] == 1
    assert nested["t"][1][0].dtype == bool
