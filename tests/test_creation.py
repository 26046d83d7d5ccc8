"""Making tensors: dtypes by PyTorch's rules, copies and shared memory, moving batches."""

import operator
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from device_helpers import host, share_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt

pytestmark = pytest.mark.usefixtures("device")
on_the_cpu = pytest.mark.parametrize("device", ["cpu"], indirect=True)

# ---------------------------------------------------------------- tensor


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([1, 2.5], "float32"),
        ([[1.5], [2.5]], "float32"),
        ((1.0,), "float32"),
        ([], "float32"),
        (3, "int64"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([[True], [False]], "bool"),
        (np.float64(1.5), "float64"),
        (np.float32(1.5), "float32"),
        (np.int32(3), "int32"),
        ([np.float64(1.5)], "float64"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        (np.ones(2, np.uint8), "uint8"),
        ([np.ones(2), np.ones(2)], "float64"),
        ([np.ones(2, np.float32)], "float32"),
    ],
)
def test_dtype_of_values(data, dtype):
    made = tt.tensor(data)
    assert made.dtype == dtype
    np.testing.assert_array_equal(host(made), np.array(data))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(width=32, allow_nan=False), max_size=5))
def test_values_survive(values):
    assert tt.tensor(values).tolist() == values
    assert tt.tensor(values, dtype=tt.float64).tolist() == values


def test_dtype_that_is_asked_for():
    assert tt.tensor([1, 2], dtype=tt.float64).dtype == np.float64
    assert tt.tensor(0.1, dtype=tt.float64).item() == 0.1  # not by way of float32
    assert tt.tensor(np.array([1.7]), dtype=tt.int64).tolist() == [1]


def test_integers_do_not_wrap_around():
    with pytest.raises(OverflowError, match="300"):
        tt.tensor([1, 300], dtype=np.uint8)
    with pytest.raises(OverflowError):
        tt.tensor(2**40, dtype=np.int32)


def test_it_copies():
    original = tt.from_numpy(np.ones(2))
    for source in (original, original.data):
        made = tt.tensor(source)
        assert made.device == original.device
        assert not share_memory(made.data, original.data)


@on_the_cpu
def test_it_copies_what_is_on_the_host_already(device):
    array = np.ones(2)
    assert not np.shares_memory(tt.tensor(array).data, array)
    read_only = np.broadcast_to(np.ones(1), (3,))
    assert tt.tensor(read_only).data.flags.writeable


def test_host_values_come_to_the_chosen_device(device):
    for made in (tt.tensor([1.0]), tt.from_numpy(np.ones(2)), tt.to_device(np.ones(2))):
        assert made.device == device
    for make in (tt.zeros, tt.ones, tt.rand, tt.randn, tt.arange):
        assert make(2).device == device
    assert tt.full(2, 1.0).device == tt.zeros_like(tt.ones(1)).device == device
    assert tt.ones_like(tt.ones(1).cpu()).device == "cpu"  # in the place of the other one


def test_requires_grad():
    assert tt.tensor([1.0], requires_grad=True).requires_grad
    with pytest.raises(TypeError, match="int64"):
        tt.tensor([1], requires_grad=True)


@pytest.mark.parametrize("data", ["abc", ["1"], None, 1j, [1j], object(), [2**70], b"x"])
def test_what_is_no_number(data):
    with pytest.raises(TypeError, match="holds numbers or booleans"):
        tt.tensor(data)


def test_text_is_not_parsed():
    with pytest.raises(TypeError, match="holds numbers or booleans, not <U1"):
        tt.tensor(["1", "2"], dtype=tt.int64)


def test_ragged_sequences():
    with pytest.raises(ValueError, match="inhomogeneous"):
        tt.tensor([[1.0], [1.0, 2.0]])


# ---------------------------------------------------------------- shared memory and batches


@on_the_cpu
def test_from_numpy_shares_memory(device):
    array = np.arange(6).reshape(2, 3)[:, ::2]
    assert tt.from_numpy(array).data is array
    read_only = np.broadcast_to(np.ones(1), (3,))
    assert tt.from_numpy(read_only).data is read_only


def test_from_numpy_takes_numbers_alone():
    for wrong in ([1.0], 1.0, tt.ones(2)):
        with pytest.raises(TypeError, match="takes a NumPy array"):
            tt.from_numpy(wrong)
    for wrong in (np.array(["a"]), np.array([1j]), np.array([None])):
        with pytest.raises(TypeError, match="holds numbers or booleans"):
            tt.from_numpy(wrong)


def test_subclasses_of_arrays_become_plain():
    wrapped = tt.from_numpy(np.arange(3).view(np.recarray))
    assert type(wrapped.data) is type(tt.ones(1).data)
    assert wrapped.tolist() == [0, 1, 2]


class Pair(NamedTuple):
    ids: Any
    name: Any


@dataclass(frozen=True)
class Packed:
    ids: Any
    segments: Any
    name: str = "packed"


def test_nested_batches_keep_their_types(device):
    array = np.arange(3)
    batch = {
        "pair": Pair(array, "x"),
        "list": [array, (array, 1.5)],
        "ordered": OrderedDict(a=array),
        "packed": Packed(array, [array]),
        "none": None,
    }
    moved = tt.to_device(batch)
    assert list(moved) == list(batch)
    assert type(moved["pair"]) is Pair
    assert (type(moved["ordered"]), type(moved["list"][1])) == (OrderedDict, tuple)
    assert (moved["pair"].name, moved["packed"].name, moved["none"]) == ("x", "packed", None)
    assert moved["list"][1][1] == 1.5
    for found in (
        moved["pair"].ids,
        moved["list"][0],
        moved["list"][1][0],
        moved["ordered"]["a"],
        moved["packed"].ids,
        moved["packed"].segments[0],
    ):
        assert isinstance(found, tt.Tensor)
        assert found.device == device
        if device == "cpu":  # no copy where none is needed, but a view, which goes with the tensor
            assert found.data.base is array
        assert found.tolist() == [0, 1, 2]
    assert batch["list"][0] is array  # the batch itself stays as it was


def test_tensors_that_are_there_already_stay_the_same():
    parameter = tt.nn.Parameter(tt.ones(2))
    product = parameter * 2
    assert all(map(operator.is_, tt.to_device([parameter, product]), [parameter, product]))
    assert tt.to_device((product,))[0] is product
    product.sum().backward()
    assert parameter.grad.tolist() == [2, 2]


# ---------------------------------------------------------------- filled, counted, drawn


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        (7, "int64"),
        (True, "bool"),
        (np.float64(1.5), "float32"),
        (np.int32(7), "int64"),
        (np.bool_(True), "bool"),
    ],
)
def test_full(value, dtype):
    made = tt.full((2, 1), value)
    assert (made.dtype, made.tolist()) == (dtype, [[value], [value]])
    assert tt.full((2,), value, dtype=tt.float64).dtype == np.float64
    assert tt.full(2, 1.0, requires_grad=True).requires_grad


@pytest.mark.parametrize(("make", "value"), [(tt.zeros, 0), (tt.ones, 1)])
def test_zeros_and_ones(make, value):
    for made in (make(2, 3), make((2, 3)), make([2, 3])):
        assert (made.shape, made.dtype) == ((2, 3), np.float32)
        assert set(made.flatten().tolist()) == {value}
    assert make().shape == make(()).shape == ()
    assert make(2, dtype=None).dtype == np.float32
    assert make(2, dtype=tt.int64).dtype == np.int64
    assert make(2, requires_grad=True).requires_grad


@pytest.mark.parametrize(("make", "value"), [(tt.zeros_like, 0), (tt.ones_like, 1)])
def test_likes(make, value):
    other = tt.tensor([[1, 2]], dtype=tt.int32)
    assert (make(other).dtype, make(other).tolist()) == (np.int32, [[value, value]])
    assert make(other, dtype=tt.float64).dtype == np.float64
    assert not make(tt.ones(2, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ((3,), "int64"),
        ((np.int64(3),), "int64"),
        ((1, 4), "int64"),
        ((0, 10, 3), "int64"),
        ((5, 0, -2), "int64"),
        ((3.0,), "float32"),
        ((0, 1, 0.25), "float32"),
    ],
)
def test_arange(arguments, dtype):
    made = tt.arange(*arguments)
    assert made.dtype == dtype
    np.testing.assert_array_equal(host(made), np.arange(*arguments))


def test_arange_does_not_drift():
    exact = np.arange(0, 1000, 0.1)
    np.testing.assert_array_equal(host(tt.arange(0, 1000, 0.1)), exact.astype(np.float32))


def test_draws_depend_on_the_generator_alone(device):
    for draw in (tt.randn, tt.rand):
        one, other = (draw(3, 2, generator=tt.Generator(5)) for _ in range(2))
        assert one.tolist() == other.tolist()
        tt.set_device("cpu")
        assert draw(3, 2, generator=tt.Generator(5)).tolist() == one.tolist()
        tt.set_device(device)
        assert (one.shape, one.dtype) == ((3, 2), np.float32)
        assert draw((3, 2), requires_grad=True).requires_grad
    state = np.random.get_state()[1].copy()
    tt.randn(10)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_draws_have_their_distribution():
    normal, uniform = (
        tt.randn(20_000, generator=tt.Generator(1)),
        tt.rand(20_000, generator=tt.Generator(1)),
    )
    assert abs(normal.mean().item()) < 0.03
    assert abs(normal.var().item() - 1) < 0.05
    assert 0 <= uniform.min().item() < 0.01
    assert 0.99 < uniform.max().item() < 1
    assert abs(uniform.mean().item() - 0.5) < 0.02


def test_manual_seed_restarts_the_draws():
    tt.manual_seed(3)
    first = tt.randn(4).tolist()
    assert tt.randn(4).tolist() != first
    tt.manual_seed(3)
    assert tt.randn(4).tolist() == first
