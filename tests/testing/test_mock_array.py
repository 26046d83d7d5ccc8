"""The mock GPU's array refuses what CuPy refuses, and more; its results are NumPy's."""

import copy
import inspect
import operator
import pickle

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.testing import mock
from tinytrain.testing.surface import surface


def on_device(values, dtype=np.float32):
    return mock.asarray(np.asarray(values, dtype=dtype))


X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], dtype=np.float32)


# ---------------------------------------------------------------- host and device do not mix


HOST = np.ones((2, 3), dtype=np.float32)
MIXING = {
    "device + host": lambda x: x + HOST,
    "host + device": lambda x: HOST + x,
    "host += device": lambda x: operator.iadd(HOST.copy(), x),
    "device += host": lambda x: operator.iadd(x, HOST),
    "device @ host": lambda x: x @ HOST.T,
    "device < host": lambda x: x < HOST,
    "0-d host": lambda x: x * np.asarray(2.0, dtype=np.float32),
    "function": lambda x: mock.maximum(x, HOST),
    "where": lambda x: mock.where(x > 0, x, HOST),
    "stack": lambda x: mock.stack([x, HOST]),
    "host alone": lambda x: mock.sum(HOST),
    "list in a ufunc": lambda x: mock.add(x, [1.0, 2.0, 3.0]),
    "assignment": lambda x: x.__setitem__(Ellipsis, HOST),
    "list assignment": lambda x: x.__setitem__(0, [1.0, 2.0, 3.0]),
    "host[...] = device": lambda x: HOST.copy().__setitem__(Ellipsis, x),
    "host[device]": lambda x: HOST[x.astype("int64")],
    "np.asarray": lambda x: np.asarray(x),
    "np.array": lambda x: np.array(x),
    "np.exp": lambda x: np.exp(x),
    "np.add with a number": lambda x: np.add(x, 1.0),
    "np.concatenate": lambda x: np.concatenate([x, x]),
    "np.add.reduce": lambda x: np.add.reduce(x),
    "np.testing": lambda x: np.testing.assert_allclose(x, X),
    "range": lambda x: range(mock.argmax(x)),
    "list[device]": lambda x: [1, 2][mock.argmax(x)],
    "round": lambda x: round(x.sum()),
    "direct construction": lambda x: mock.ndarray((2, 3)),
}


@pytest.mark.parametrize("act", MIXING.values(), ids=MIXING)
def test_host_and_device_do_not_mix(act):
    with pytest.raises(TypeError):
        act(on_device(X))


def test_the_messages_say_what_to_do():
    x = on_device(X)
    with pytest.raises(TypeError, match=r"add: a host array \(float32, shape \(2, 3\)\) meets the"):
        x + HOST
    with pytest.raises(TypeError, match=r"write xp\.exp"):
        np.exp(x)
    with pytest.raises(TypeError, match=r"use \.get\(\)"):
        np.asarray(x)


def test_numbers_pass():
    x = on_device(X)
    for result in (x * 2, 2 * x, x * np.float32(2), np.float32(2) * x):
        assert type(result) is mock.ndarray
        np.testing.assert_array_equal(result.get(), X * 2)


# ---------------------------------------------------------------- names and arguments


ABSENT = ["einsum_path", "vecdot", "geomspace", "insert", "block", "seterr", "errstate", "scatter"]


@pytest.mark.parametrize("name", ABSENT)
def test_functions_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match=name):
        getattr(mock, name)


@pytest.mark.parametrize("name", ["setflags", "resize", "__imatmul__", "tofile_", "newbyteorder"])
def test_methods_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match=name):
        getattr(on_device(X), name)


WRONG_ARGUMENTS = {
    "where of a ufunc": lambda x: mock.exp(x, where=x > 0),
    "where of a reduction": lambda x: mock.sum(x, where=x > 0),
    "initial": lambda x: x.max(initial=0.0),
    "clip": lambda x: mock.clip(x, min=0.0, max=1.0),
    "take": lambda x: mock.take(x, mock.arange(2), mode="clip"),
    "device": lambda x: mock.zeros(3, dtype="float32", device="cpu"),
    "stable": lambda x: mock.sort(x, stable=True),
    "too many": lambda x: x.sum(0, None, None, True, 1, 2),
    "twice": lambda x: mock.sum(x, 0, axis=0),
}


@pytest.mark.parametrize("act", WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_arguments_that_cupy_lacks(act):
    with pytest.raises(TypeError):
        act(on_device(X))


def test_ufunc_methods_that_cupy_lacks():
    with pytest.raises(AttributeError, match="'reduce'"):
        mock.maximum.reduce(on_device(X))
    with pytest.raises(AttributeError, match="'at'"):
        _ = mock.multiply.at


def test_no_name_of_cupy_is_hidden_by_a_file_of_the_mock():
    known = surface()
    hidden = [n for n, v in vars(mock).items() if inspect.ismodule(v) and known.knows(n)]
    assert not hidden
    assert mock.array([1.0, 2.0], dtype="float32").shape == (2,)
    assert mock.float64 is np.float64


@pytest.mark.parametrize("name", ["save", "setdiff1d", "put_along_axis", "delete", "choose"])
def test_functions_that_may_wait_unnoticed_are_not_offered(name):
    assert surface().knows(name)
    with pytest.raises(AttributeError, match=f"does not offer cupy.{name}"):
        getattr(mock, name)
    with pytest.raises(AttributeError, match="do not offer attribute 'real'"):
        _ = on_device(X).real


LISTS = {
    "operator": lambda x: x - [1.0, 2.0, 3.0],
    "reflected": lambda x: [1.0, 2.0, 3.0] * x,
    "comparison": lambda x: x == [1.0, 2.0, 3.0],
    "where": lambda x: mock.where(x > 0, [1.0, 2.0, 3.0], x),
    "sum": lambda x: mock.sum([1.0, 2.0]),
    "stack": lambda x: mock.stack([1.0, 2.0]),
    "np.maximum of a number": lambda x: np.maximum(np.float32(0), x),
}


@pytest.mark.parametrize("act", LISTS.values(), ids=LISTS)
def test_lists_are_no_arrays(act):
    with mock.allow_float64(), pytest.raises(TypeError):
        act(on_device(X))


def test_a_numpy_number_compares_from_the_left():
    np.testing.assert_array_equal((np.float32(1) < on_device(X)).get(), X > 1)


VALUES = {
    "kind": lambda x: mock.argsort(x, kind="quicksort"),
    "pad": lambda x: mock.pad(x, 1, mode="median"),
    "sort in place": lambda x: x.T.sort(),
    "text": lambda x: mock.asarray(["a"]),
    "objects": lambda x: mock.asarray([None]),
    "add.at of booleans": lambda x: mock.add.at(x > 0, mock.arange(2), True),
    "subtract.at of float32": lambda x: mock.subtract.at(x, mock.arange(2), 1.0),
    "get": lambda x: x.get(out=np.zeros(3)),
    "longdouble": lambda x: x.astype(np.longdouble),
    "object": lambda x: x.astype(object),
    "overlap": lambda x: x.__setitem__((0, slice(1, None)), x[0, :-1]),
}


@pytest.mark.parametrize("act", VALUES.values(), ids=VALUES)
def test_values_that_cupy_refuses(act):
    with pytest.raises((TypeError, ValueError, NotImplementedError)):
        act(on_device(X))


# ---------------------------------------------------------------- float64 by accident


ACCIDENTS = {
    "numpy scalar": lambda x: x * np.sqrt(3),
    "zeros": lambda x: mock.zeros(3),
    "linspace": lambda x: mock.linspace(0, 1, 3),
    "division of integers": lambda x: x.astype("int64") / 2,
    "mean of integers": lambda x: x.astype("int64").mean(),
    "host array": lambda x: mock.asarray(np.zeros(3)),
    "python's float as a dtype": lambda x: mock.zeros(3, dtype=float),
    "float arange": lambda x: mock.arange(0.0, 1.0, 0.1),
}


@pytest.mark.parametrize("act", ACCIDENTS.values(), ids=ACCIDENTS)
def test_float64_is_refused_unless_asked_for(act):
    x = on_device(X)
    with pytest.raises(TypeError, match="float64"):
        act(x)
    with mock.allow_float64():
        act(x)
        with mock.allow_float64(False), pytest.raises(TypeError, match="float64"):
            act(x)


def test_float64_that_was_asked_for_stays():
    x = mock.zeros(3, dtype=np.float64)
    assert (x + 1).dtype == np.float64
    assert on_device(X).astype("float64").dtype == np.float64
    assert mock.arange(0, 3, dtype=np.dtype("float64")).dtype == np.float64


# ---------------------------------------------------------------- indexing


def test_results_without_axes_stay_on_the_device():
    x = on_device(X)
    for result in (x.sum(), x[0, 1], mock.dot(x[0], x[0]), mock.argmax(x), x.max(axis=0)[0]):
        assert type(result) is mock.ndarray
        assert result.shape == ()


def test_an_element_is_a_view():
    x = on_device(X)
    x[0, 1] += 10.0
    assert x.get()[0, 1] == 8.0


@pytest.mark.parametrize("bad", [[2], [-3], [0, 7]])
def test_an_index_out_of_range_raises_where_cupy_would_wrap(bad):
    x, index = on_device(X), on_device(bad, np.int64)
    for act in (
        lambda: x[index],
        lambda: x.__setitem__(index, 0.0),
        lambda: mock.take(x, index, axis=0),
        lambda: mock.add.at(x, index, 1.0),
        lambda: mock.take_along_axis(x, index[:, None], axis=0),
    ):
        with pytest.raises(IndexError):
            act()


def test_a_repeated_index_in_an_assignment_raises():
    x = on_device(X)
    with pytest.raises(IndexError, match="repeated index"):
        x[on_device([0, 0], np.int64)] = 1.0
    with pytest.raises(IndexError, match="repeated index"):
        x[on_device([1, 1], np.int64), on_device([2, 2], np.int64)] = 1.0
    x[on_device([1, 0], np.int64)] = 5.0
    assert (x.get() == 5.0).all()


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(1), (slice(None), 2), (None, 1), (Ellipsis, 0), (slice(None, None, -1),), ()],
    ids=str,
)
def test_basic_indexing_is_numpys(index):
    np.testing.assert_array_equal(on_device(X)[index].get(), X[index])


def test_indexing_by_device_arrays_is_numpys():
    x, rows = on_device(X), np.array([1, 0, 1])
    np.testing.assert_array_equal(x[on_device(rows, np.int64)].get(), X[rows])
    np.testing.assert_array_equal(x[:, on_device(rows, np.int64)].get(), X[:, rows])
    np.testing.assert_array_equal(x[x > 0].get(), X[X > 0])


# ---------------------------------------------------------------- computing


BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip


@pytest.mark.parametrize("act", BINARY, ids=lambda f: f.__name__)
def test_operators_are_numpys(act):
    other = np.abs(X) + 1
    with np.errstate(all="ignore"):
        expected = [act(X, other), act(X, 2.0), act(2.0, X)]
    x = on_device(X)
    computed = [act(x, on_device(other)), act(x, 2.0), act(2.0, x)]
    for found, wanted in zip(computed, expected, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.get(), wanted)


IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow]


@pytest.mark.parametrize("act", IN_PLACE, ids=lambda f: f.__name__)
def test_in_place_operators_write_into_the_array(act):
    x = on_device(np.abs(X))
    same = act(x, 2.0)
    assert same is x
    np.testing.assert_array_equal(x.get(), act(np.abs(X), np.float32(2.0)))


def test_in_place_operators_refuse_another_dtype():
    x = on_device([1, 2], np.int64)
    with mock.allow_float64(), pytest.raises(TypeError):
        x += 0.5


def test_logical_operators_and_signs():
    x, host = on_device(X) > 0, X > 0
    np.testing.assert_array_equal((~x).get(), ~host)
    np.testing.assert_array_equal((x & ~x).get(), host & ~host)
    np.testing.assert_array_equal((x | ~x).get(), host | ~host)
    np.testing.assert_array_equal((x ^ x).get(), host ^ host)
    np.testing.assert_array_equal((-on_device(X)).get(), -X)
    np.testing.assert_array_equal(abs(on_device(X)).get(), abs(X))


def test_nothing_warns():
    x = on_device([0.0, -1.0])
    assert np.isinf((1.0 / x).get()[0])
    assert np.isnan(mock.log(x).get()[1])


def test_what_goes_in_comes_out_copied():
    host = X.copy()
    x = mock.asarray(host)
    host[0, 0] = 99.0
    out = x.get()
    out[0, 0] = 77.0
    np.testing.assert_array_equal(mock.asnumpy(x), X)


def test_copies_and_pickles():
    x = on_device(X)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        assert type(other) is mock.ndarray
        np.testing.assert_array_equal(other.get(), X)
        other[0, 0] = 50.0
    np.testing.assert_array_equal(x.get(), X)


def test_what_it_says_about_itself():
    x = on_device(X).T
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes) == ((3, 2), np.float32, 2, 6, 24)
    assert (x.itemsize, x.strides, len(x)) == (4, (4, 12), 3)
    assert (x.flags.c_contiguous, x.flags.f_contiguous) == (False, True)
    assert not hasattr(x.flags, "writeable")  # CuPy has no such flag
    assert [row.shape for row in x] == [(2,)] * 3


def test_products_are_in_row_order_whatever_the_operands_are():
    """NumPy gives a batched product in the order of its operands, CuPy always in row order."""
    host = np.ones((2, 2, 3, 4), order="F")
    assert not np.matmul(host, host.swapaxes(-1, -2)).flags.c_contiguous
    x = mock.asfortranarray(on_device(host))
    assert mock.matmul(x, x.swapaxes(-1, -2)).flags.c_contiguous
    assert mock.matmul(x[0, 0, 0], x[0, 0, 0]).shape == ()


def test_operands_that_compute_themselves_are_asked():
    """CuPy leaves an operator to an operand that has set `__array_ufunc__` to None (NEP 13)."""

    class Reflecting:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "reflected"

        def __gt__(self, other):
            return "reflected"

    x = on_device(X)
    assert (x + Reflecting(), x < Reflecting()) == ("reflected", "reflected")
    with pytest.raises(TypeError, match="unsupported operand"):
        x * Reflecting()


# ---------------------------------------------------------------- as a device of the framework


@pytest.fixture
def _mock_device():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


@pytest.mark.usefixtures("_mock_device")
def test_the_flag_decides_where_tensors_are_made():
    assert tt.get_device() == "mock"
    made = [tt.ones(2), tt.zeros(2), tt.tensor([1.0]), tt.arange(3), tt.randn(2), tt.full((2,), 3)]
    made += [tt.zeros_like(made[0]), tt.from_numpy(X), *tt.to_device((X, X))]
    assert {tensor.device for tensor in made} == {"mock"}


@pytest.mark.usefixtures("_mock_device")
def test_gradients_flow_through_the_doors():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    (x.cpu() * tt.tensor([3.0, 4.0]).cpu()).sum().backward()
    assert x.grad.device == "mock"
    assert x.grad.tolist() == [3.0, 4.0]
    tt.set_device("cpu")
    leaf = tt.tensor([1.0, 2.0], requires_grad=True)
    tt.set_device("mock")
    (leaf.to("mock") * 2).sum().backward()
    assert leaf.grad.device == "cpu"
    assert leaf.grad.tolist() == [2.0, 2.0]


def test_to_needs_the_chosen_device():
    with pytest.raises(RuntimeError, match=r"set_device\('mock'\) first"):
        tt.ones(2).to("mock")


@pytest.mark.usefixtures("_mock_device")
def test_to_device_brings_tensors_back_to_the_cpu():
    x = tt.ones(2)
    tt.set_device("cpu")
    assert tt.to_device(x).device == "cpu"
    assert tt.to_device({"x": [x]})["x"][0].device == "cpu"


def test_what_needs_no_copy_is_the_same_array():
    """As in CuPy; a module moved to the dtype it has keeps its arrays, also in an optimizer."""
    x = mock.asarray(X)
    assert x.astype(x.dtype, copy=False) is x
    assert mock.asarray(x) is x
    assert mock.ascontiguousarray(x) is x
    assert x.astype(x.dtype) is not x
    assert x.reshape(x.shape) is not x


@pytest.mark.usefixtures("_mock_device")
def test_the_known_range_of_a_larger_tensor_refuses_nothing():
    """What is known of all ids may not hold for some of them: then they are looked at."""
    table, ids = tt.ones(3, 4), tt.tensor([0, 2, 7, 9])
    assert table[ids[:2]].shape == (2, 4)
    assert table[ids[ids < 3]].shape == (2, 4)
    assert tt.nn.functional.embedding(ids[:2], table).shape == (2, 4)
    for wrong in (ids, ids[1:3]):
        with pytest.raises(IndexError):
            table[wrong]
        with pytest.raises(IndexError):
            tt.nn.functional.embedding(wrong, table)


@pytest.mark.usefixtures("_mock_device")
def test_what_keeps_integers_in_their_range_keeps_it_known():
    ids = tt.tensor([[0, 2], [1, 9]])
    for same in (ids.reshape(4), ids.T, ids[0], ids.detach(), ids.clone(), ids.to("int32").long()):
        assert same.extremes == (0, 1, 2, 9)
    assert (ids + 1).extremes is None
    assert tt.tensor([300]).to("int8").extremes is None  # it wraps
    ids.data = ids.data.copy()
    assert ids.extremes is None
