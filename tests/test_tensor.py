"""The tensor: what it says of itself, promotion, indexing, shapes, and what it refuses."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from device_helpers import ACCELERATORS, host, share_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.ops.arithmetic import Add
from tinytrain.tensor import ValuesAndIndices

pytestmark = pytest.mark.usefixtures("device")
on_the_cpu = pytest.mark.parametrize("device", ["cpu"], indirect=True)
# Each example makes all that it uses, so the fixture may stay from one to the next.
few_examples = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]


def tensor(*shape, dtype=np.float64, requires_grad=False):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return tt.from_numpy(array).requires_grad_(requires_grad)


# ---------------------------------------------------------------- what it is


def test_it_takes_the_array_as_it_is(device):
    array = tensor(2, 3).data
    x = tt.Tensor(array)
    assert x.data is array
    assert (x.shape, x.size(), x.size(-1), x.ndim, x.dim(), x.numel()) == (
        (2, 3),
        (2, 3),
        3,
        2,
        2,
        6,
    )
    assert (x.dtype, x.device, len(x)) == (np.float64, device, 2)
    assert (x.is_leaf, x.requires_grad, x.grad) == (True, False, None)


@pytest.mark.parametrize("value", [1.0, [1.0], np.float64(1), None, np.ma.masked_array([1.0])])
def test_it_takes_nothing_but_an_array(value):
    with pytest.raises(TypeError, match=r"use tt\.tensor"):
        tt.Tensor(value)


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8"])
def test_integers_cannot_require_gradients(dtype):
    with pytest.raises(
        TypeError, match=f"floating-point tensors can require gradients, not {dtype}"
    ):
        tt.Tensor(tensor(2, dtype=dtype).data, requires_grad=True)


def test_requires_grad_is_for_leaves():
    x = tensor(2).requires_grad_()
    with pytest.raises(RuntimeError, match="leaves only"):
        (x * 2).requires_grad = False
    assert not x.requires_grad_(False).requires_grad


def test_unknown_attributes_raise():
    x = tensor(2)
    with pytest.raises(AttributeError):
        x.gradd = None
    with pytest.raises(AttributeError):
        _ = x.shpae


def test_repr_names_what_matters(device):
    x = tensor(2, requires_grad=True)
    assert repr(x) == f"tensor([0., 1.], dtype=float64, device={device}, requires_grad=True)"
    assert repr(x * 2).endswith("requires_grad=True, op=Mul)")


def test_format_of_one_number_and_of_many():
    assert f"{tt.tensor(1.23456):.2f}" == "1.23"
    assert f"{tensor(2)}" == repr(tensor(2))
    with pytest.raises(ValueError, match="format code"):
        f"{tensor(2):.2f}"


def test_iteration_and_length():
    x = tensor(3, 2, requires_grad=True)
    rows = list(x)
    assert [row.tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0, 0], [1, 1], [0, 0]]
    with pytest.raises(TypeError, match="0-d tensor has no length"):
        len(tensor())
    with pytest.raises(TypeError):
        list(tensor())


def test_hash_and_identity():
    x, y = tensor(2), tensor(2)
    assert len({x, y, x}) == 2


# ---------------------------------------------------------------- leaving


def test_item_and_conversions():
    x = tt.tensor(2.5)
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert tt.ones(1, 1).item() == 1
    assert isinstance(tt.tensor(3).item(), int)
    for convert in (tt.Tensor.item, float, int):
        with pytest.raises(ValueError, match=r"one element, got shape \(2,\)"):
            convert(tensor(2))


def test_numpy_shares_host_memory_and_refuses_to_lose_the_graph(device):
    x = tensor(2)
    assert type(x.numpy()) is np.ndarray
    assert x.numpy().tolist() == [0, 1]
    with pytest.raises(RuntimeError, match="detach"):
        x.requires_grad_().numpy()
    if device == "cpu":
        assert x.detach().numpy() is x.data
        assert x.cpu() is x


def test_deep_copy_of_a_leaf():
    x = tensor(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert (y.requires_grad, y.grad.tolist()) == (True, [3, 3])
    assert not share_memory(x.data, y.data)
    assert not share_memory(x.grad.data, y.grad.data)
    with pytest.raises(RuntimeError, match="only leaves"):
        copy.deepcopy(x * 2)


# ---------------------------------------------------------------- dtypes


@pytest.mark.parametrize(
    "combine",
    [
        lambda x, n: x + n,
        lambda x, n: n + x,
        lambda x, n: x - n,
        lambda x, n: n - x,
        lambda x, n: x * n,
        lambda x, n: n * x,
        lambda x, n: x / n,
        lambda x, n: n / x,
        lambda x, n: x**n,
        lambda x, n: n**x,
        lambda x, n: tt.maximum(x, n),
        lambda x, n: tt.minimum(n, x),
        lambda x, n: tt.where(x > 1, x, n),
        lambda x, n: tt.where(x > 1, n, x),
        lambda x, n: x.clamp(n),
        lambda x, n: x.clamp(max=n),
        lambda x, n: x.masked_fill(x > 1, n),
        lambda x, n: x.var(correction=n),
        lambda x, n: x.var(0, correction=n),
    ],
)
@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)])
def test_numbers_do_not_widen_float32(combine, number):
    x = tt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    result = combine(x, number)
    assert result.dtype == np.float32
    result.sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(host(result), host(combine(x, float(number))))


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(True, "int64"), (2, "int64"), (2.0, "float32"), (np.float64(2), "float32")],
)
def test_integers_meet_numbers(number, dtype):
    x = tt.tensor([1, 2, 3])
    for result in (x + number, number * x, x - number, tt.maximum(x, number), x.clamp(number)):
        assert result.dtype == dtype
    assert (x / number).dtype == np.float32
    assert (x / x).dtype == np.float32
    assert (x > number).dtype == bool


@pytest.mark.parametrize("value", [1j, np.complex64(1j), np.datetime64("2020-01-01"), "1", [1.0]])
def test_operands_that_are_no_numbers(value):
    with pytest.raises(TypeError, match="Add cannot compute with"):
        tensor(2) + value


def test_none_is_no_operand():
    with pytest.raises(TypeError, match="None"):
        tensor(2) + None


def test_bare_arrays_are_refused_on_both_sides():
    x = tensor(2)
    for array in (np.ones(2), x.data):
        with pytest.raises(TypeError, match=r"Mul got a bare ndarray of shape \(2,\): wrap it"):
            x * array
        with pytest.raises(TypeError, match="bare ndarray"):
            array * x
        with pytest.raises(TypeError):
            array @ x
        with pytest.raises(TypeError, match="bare ndarray"):
            x == array  # noqa: B015


@pytest.mark.parametrize("one", DTYPES)
def test_reductions_keep_floats_and_count_in_int64(one):
    x = tt.ones(2, 3, dtype=one)
    floating = x.dtype.kind == "f"
    for result in (x.sum(), x.sum(1)):
        assert result.dtype == (one if floating else "int64")
    if x.dtype != np.bool_:  # of which PyTorch has no argmax
        assert x.argmax(1).dtype == np.int64
    if floating:
        assert x.mean().dtype == x.var(1).dtype == x.amax(0).dtype == one
    else:
        with pytest.raises(TypeError, match=f"floating-point tensor, got {one}"):
            x.mean()


def test_sum_of_small_integers_does_not_wrap():
    assert tt.full(1000, 255, dtype=np.uint8).sum().item() == 255_000
    assert tt.ones(300, dtype=bool).sum().item() == 300


@pytest.mark.parametrize("function", ["exp", "log", "sqrt", "tanh", "sigmoid"])
def test_functions_of_integers_are_float32(function):
    assert getattr(tt.tensor([1, 2]), function)().dtype == np.float32


def test_to_returns_itself_where_nothing_changes():
    x = tensor(2, requires_grad=True)
    assert x.to(np.float64) is x
    assert x.double() is x
    narrow = x.float()
    assert (narrow.dtype, x.long().dtype, x.bool().tolist()) == (
        np.float32,
        np.int64,
        [False, True],
    )
    (narrow * 2).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float64, [2, 2])
    assert not x.long().requires_grad


# ---------------------------------------------------------------- comparison and logic


def test_comparisons_are_booleans_without_gradients():
    x = tensor(3, requires_grad=True)
    for result in (x == 1, x != 1, x < 1, x <= 1, x > 1, x >= 1):
        assert (result.dtype, result.requires_grad) == (bool, False)
    assert (x >= 1).tolist() == [False, True, True]
    assert ((x > 0) & ~(x > 1)).tolist() == [False, True, False]
    assert ((x < 1) | (x > 1)).tolist() == [True, False, True]
    with pytest.raises(TypeError, match="not float64"):
        _ = ~x


def test_not_equal_to_none():
    assert (tensor(2) == None) is False  # noqa: E711
    assert (tensor(2) != None) is True  # noqa: E711


# ---------------------------------------------------------------- reductions


def test_names_of_numpy_and_of_torch():
    x = tensor(2, 3)
    assert x.sum(axis=1, keepdims=True).tolist() == x.sum(dim=1, keepdim=True).tolist()
    with pytest.raises(TypeError, match="two names of one argument"):
        x.sum(dim=1, axis=1)


@pytest.mark.parametrize("method", ["sum", "mean", "var", "amax", "amin", "max", "min", "argmax"])
def test_axes_that_do_not_exist(method):
    with pytest.raises(IndexError, match="axis 2 is out of range for an array of 2 axes"):
        getattr(tensor(2, 3), method)(2)


def test_axis_named_twice():
    with pytest.raises(ValueError, match="appears twice"):
        tensor(2, 3).sum((0, -2))


@pytest.mark.parametrize("dim", [1, np.int64(1), -1])
def test_max_along_an_axis_gives_positions(dim):
    x = tt.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 7.0]], requires_grad=True)
    found = x.max(dim)
    assert isinstance(found, ValuesAndIndices)
    assert (found.values.tolist(), found.indices.tolist()) == ([5, 7], [1, 0])
    values, _ = x.min(dim, keepdim=True)
    assert values.tolist() == [[1], [2]]
    found.values.sum().backward()  # the first of several largest gets the gradient
    assert x.grad.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_ties_share_the_gradient_of_amax():
    x = tt.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 7.0]], requires_grad=True)
    (x.amax(1) * tt.tensor([1.0, 2.0])).sum().backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5], [1, 0, 1]]
    x.grad = None
    x.max().backward()
    assert x.grad.tolist() == [[0, 0, 0], [0.5, 0, 0.5]]


@pytest.mark.parametrize(
    ("function", "of_x", "of_y"),
    [(tt.maximum, [0.5, 0, 1], [0.5, 1, 0]), (tt.minimum, [0.5, 1, 0], [0.5, 0, 1])],
)
def test_ties_of_two_tensors_share_the_gradient(function, of_x, of_y):
    x, y = tensor(3, requires_grad=True), tt.tensor([0.0, 2.0, 1.0]).double().requires_grad_()
    function(x, y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == (of_x, of_y)


def test_argmax_takes_one_axis():
    x = tensor(2, 3)
    assert x.argmax().item() == 5
    assert x.argmax(keepdim=True).shape == (1, 1)
    assert x.argmin(0, keepdim=True).tolist() == [[0, 0, 0]]
    with pytest.raises(TypeError, match=r"one axis or None, got \(0, 1\)"):
        x.argmax((0, 1))


@pytest.mark.parametrize("method", ["amax", "amin", "max", "min", "argmax", "argmin"])
def test_extremes_of_nothing(method):
    with pytest.raises(ValueError, match="over no elements"):
        getattr(tt.zeros(0, 3), method)(0)
    assert getattr(tt.zeros(3, 0), "amax")(0).shape == (0,)  # noqa: B009


def test_mean_and_variance_of_nothing_are_nan():
    assert np.isnan(tt.zeros(0).mean().item())
    assert np.isnan(tt.ones(1).var().item())
    assert np.isnan(host(tt.zeros(0, 2).var(0))).all()


def test_variance_far_from_zero_keeps_its_digits():
    x = tt.tensor([10_000.0, 10_001.0, 10_002.0])
    assert x.var().item() == pytest.approx(1.0)


def test_powers_at_zero():
    x = tt.tensor([0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    assert x.grad.tolist() == [0, 0]
    x.grad = None
    exponent = tt.tensor([1.0, 0.0], requires_grad=True)
    (x**exponent).sum().backward()
    assert x.grad.tolist() == [1, 0]
    assert exponent.grad.tolist() == pytest.approx([0, np.log(2)])


def test_negative_power_of_integers():
    with pytest.raises(ValueError, match=r"make the base floating point first"):
        tt.tensor([1, 2]) ** -1
    assert (tt.tensor([1, 2]) ** 2).tolist() == [1, 4]


def test_extreme_inputs_do_not_overflow():
    x = tt.tensor([-1e4, -100.0, 0.0, 100.0, 1e4])
    assert x.sigmoid().tolist() == pytest.approx([0, 3.7835e-44, 0.5, 1, 1], rel=1e-2)
    assert x.softmax(0).tolist() == [0, 0, 0, 0, 1]
    assert x.log_softmax(0).tolist()[:2] == [-2e4, -10_100]
    assert x.logsumexp(0).item() == 1e4
    assert x.tanh().tolist() == [-1, -1, 0, 1, 1]
    assert tt.nn.functional.gelu(x).tolist() == [0, 0, 0, 100, 1e4]


def test_rows_of_minus_infinity():
    x = tt.full((2, 3), -np.inf).requires_grad_()
    p = x.softmax(1)
    assert p.tolist() == [[0, 0, 0], [0, 0, 0]]
    p.sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert x.logsumexp(1).tolist() == [-np.inf, -np.inf]


# ---------------------------------------------------------------- shapes


@few_examples
@given(st.lists(st.integers(0, 3), max_size=3), st.data())
def test_reshape_keeps_the_order_of_elements(shape, data):
    x = tensor(*shape)
    sizes = data.draw(st.permutations(shape))
    assert host(x.reshape(sizes)).ravel().tolist() == host(x).ravel().tolist()
    assert x.view(*sizes).shape == tuple(sizes)


@pytest.mark.parametrize("sizes", [(4, 2), (-1, 4), (-1, -1), (-2, -3), (7,), ()])
def test_impossible_reshapes(sizes):
    with pytest.raises(ValueError, match=r"shape \(2, 3\)|unknown dimension|negative"):
        tensor(2, 3).reshape(sizes)


def test_sizes_must_be_integers():
    with pytest.raises(TypeError):
        tensor(2, 3).reshape(2.0, 3.0)
    assert tensor(2, 3).reshape(np.int64(3), -1).shape == (3, 2)


@few_examples
@given(st.permutations(range(4)))
def test_permute_and_back(order):
    x = tensor(2, 3, 4, 5)
    there = x.permute(order)
    assert there.shape == tuple(x.shape[i] for i in order)
    assert there.permute(np.argsort(order).tolist()).tolist() == x.tolist()


def test_permute_needs_every_axis():
    with pytest.raises(ValueError, match="every axis"):
        tensor(2, 3).permute(0, 0)
    with pytest.raises(ValueError, match="T is for matrices"):
        _ = tensor(2, 3, 4).T
    with pytest.raises(IndexError, match="axis 3"):
        tensor(2, 3).transpose(0, 3)


def test_expand():
    assert tensor(1, 3).expand(2, -1).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert share_memory(tensor(3).expand(2, 3).data, tensor(3).data) is False
    x = tensor(3)
    assert share_memory(x.expand(2, 3).data, x.data)
    with pytest.raises(ValueError, match="3 is not 1"):
        tensor(3).expand(2, 4)
    with pytest.raises(ValueError, match="fewer axes"):
        tensor(2, 3).expand(3)


def test_squeeze_unsqueeze_flatten():
    x = tensor(1, 3, 1)
    assert x.squeeze().shape == (3,)
    assert x.squeeze(0).shape == (3, 1)
    assert x.squeeze((0, 1, 2)).shape == (3,)
    assert [x.unsqueeze(d).shape for d in (0, 3, -1, -4)] == [
        (1, 1, 3, 1),
        (1, 3, 1, 1),
        (1, 3, 1, 1),
        (1, 1, 3, 1),
    ]
    with pytest.raises(IndexError):
        x.unsqueeze(4)
    assert tensor(2, 3, 4).flatten().shape == (24,)
    assert tensor(2, 3, 4).flatten(1).shape == (2, 12)
    assert tensor(2, 0, 4).flatten(0, 1).shape == (0, 4)
    with pytest.raises(ValueError, match="start_dim 1 comes after end_dim 0"):
        tensor(2, 3).flatten(1, 0)


def test_contiguous():
    x = tensor(2, 3)
    assert x.contiguous() is x
    assert x.T.contiguous().data.flags.c_contiguous


@few_examples
@given(st.integers(0, 12), st.integers(1, 5))
def test_split_sizes_add_up(total, size):
    x = tensor(total, 2)
    pieces = x.split(np.int64(size))
    assert sum(len(p) for p in pieces) == total
    assert all(len(p) == size for p in pieces[:-1])
    assert tt.cat(pieces).tolist() == x.tolist()


def test_split_errors():
    with pytest.raises(ValueError, match="positive size, got 0"):
        tensor(3).split(0)
    with pytest.raises(ValueError, match=r"\[1, 1\] do not add up to 3"):
        tensor(3).split([1, 1])
    with pytest.raises(ValueError, match="do not add up"):
        tensor(3).split([4, -1])


# ---------------------------------------------------------------- indexing


@few_examples
@given(st.data())
def test_basic_indexing_is_numpy_s(data):
    x = tensor(3, 4, 2, requires_grad=True)
    bound = st.one_of(st.none(), st.integers(-5, 5))
    steps = st.sampled_from([None, 1, 2, -1, -2])
    part = st.one_of(st.builds(slice, bound, bound, steps), st.integers(-2, 1), st.none())
    where = tuple(data.draw(st.lists(part, max_size=3)))
    if data.draw(st.booleans()):
        where = (..., *where)
    result = x[where]
    np.testing.assert_array_equal(host(result), host(x)[where])
    result.sum().backward()
    expected = np.zeros(x.shape)
    expected[where] = 1
    np.testing.assert_array_equal(host(x.grad), expected)


ROWS = [
    [0, 2, 0],
    np.array([0, 2, 0]),
    (0, 2, 0),
    np.array([0, 2, 0], np.uint8),
]


@pytest.mark.parametrize("rows", ROWS, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("wrap", [lambda rows: rows, tt.tensor], ids=["plain", "tensor"])
def test_repeated_rows_add_their_gradients(rows, wrap):
    rows = wrap(rows)
    x = tensor(3, 2, requires_grad=True)
    picked = x[rows, :] if isinstance(rows, tuple) else x[rows]
    assert picked.tolist() == [[0, 1], [4, 5], [0, 1]]
    picked.sum().backward()
    assert x.grad.tolist() == [[2, 2], [0, 0], [1, 1]]


def test_range_as_an_index():
    x = tensor(4, 2, requires_grad=True)
    assert x[range(1, 3), 0].tolist() == [2, 4]
    assert x[[]].shape == (0, 2)


@pytest.mark.parametrize(
    ("where", "shape"),
    [
        ((1, slice(None), [0, 0, 0]), (3, 3)),
        ((None, [1, 1, 1, 1, 1], ..., 0), (1, 5, 3)),
        ((slice(None), 1, [0, 0, 0, 0, 0]), (2, 5)),
        (([0, 1], 1, [1, 1]), (2,)),
    ],
)
def test_integers_beside_arrays_move_no_axes(where, shape):
    """As in PyTorch, and unlike NumPy: see tests/ops, which compares with the former."""
    x = tensor(2, 3, 4, requires_grad=True)
    picked = x[where]
    assert picked.shape == shape
    picked.sum().backward()
    assert x.grad.sum().item() == picked.numel()


def test_index_that_does_not_fit():
    x = tensor(3, 2)
    for where in (3, -4, [0, 3], (0, 0, 0), [True, False]):
        with pytest.raises(IndexError):
            x[where]
    for where in (tt.tensor([0, 3]), np.array([-4]), tt.tensor([3, 0])[:1]):
        with pytest.raises(IndexError):
            x[where]
    for where in (np.array([0.5]), tt.tensor([1.0])):
        with pytest.raises(TypeError, match="integers or booleans, got float"):
            x[where]


def test_tensors_are_not_assigned_to_by_index():
    with pytest.raises(TypeError, match="item assignment"):
        tensor(2)[0] = 1


# ---------------------------------------------------------------- promotion against torch


def sample_of(dtype, shape):
    return np.ones(shape, dtype=dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("shapes", [((2,), (2,)), ((), (2,)), ((2,), ()), ((), ())])
def test_promotion_is_torch_s(shapes):
    torch = pytest.importorskip("torch")
    for one, other in itertools.product(DTYPES, DTYPES):
        x, y = sample_of(one, shapes[0]), sample_of(other, shapes[1])
        ours = tt.from_numpy(x) + tt.from_numpy(y)
        theirs = torch.tensor(x) + torch.tensor(y)
        assert str(theirs.dtype) == f"torch.{ours.dtype}", (one, other)
        ours = tt.from_numpy(x) / tt.from_numpy(y)
        theirs = torch.tensor(x) / torch.tensor(y)
        assert str(theirs.dtype) == f"torch.{ours.dtype}", (one, other)
        if shapes[0] and shapes[1]:
            ours = tt.cat([tt.from_numpy(x), tt.from_numpy(y)])
            theirs = torch.cat([torch.tensor(x), torch.tensor(y)])
            assert str(theirs.dtype) == f"torch.{ours.dtype}", (one, other)
        if shapes[0] == shapes[1]:
            ours = tt.stack([tt.from_numpy(x), tt.from_numpy(y)])
            assert ours.dtype == tt.cat([ours[:1], ours]).dtype


@pytest.mark.oracle
@pytest.mark.parametrize("number", [True, 2, 2.5])
def test_promotion_with_numbers_is_torch_s(number):
    torch = pytest.importorskip("torch")
    for dtype in DTYPES:
        x = sample_of(dtype, (2,))
        for ours, theirs in [
            (tt.from_numpy(x) + number, torch.tensor(x) + number),
            (number * tt.from_numpy(x), number * torch.tensor(x)),
            (tt.from_numpy(x) / number, torch.tensor(x) / number),
            (
                tt.where(tt.tensor([True, False]), number, tt.from_numpy(x)),
                torch.where(torch.tensor([True, False]), number, torch.tensor(x)),
            ),
            (
                tt.where(tt.tensor([True, False]), number, number),
                torch.where(torch.tensor([True, False]), number, number),
            ),
        ]:
            assert str(theirs.dtype) == f"torch.{ours.dtype}", dtype
            np.testing.assert_array_equal(host(ours), theirs.numpy())


def test_sums_of_tensors_of_no_axes():
    x, y = tt.tensor(1.5), tt.tensor(2.5)
    total = tt.apply(Add(), x, y)
    assert type(total.data) is type(x.data)
    assert total.shape == ()


@on_the_cpu
def test_numpy_reads_a_tensor_that_requires_no_gradient(device):
    x = tt.tensor([[1.0, 2.0]])
    assert np.asarray(x).dtype == np.float32
    np.testing.assert_array_equal(np.asarray(x, dtype=np.float64), [[1.0, 2.0]])
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        np.asarray(tt.ones(2, requires_grad=True))


@pytest.mark.parametrize("device", ACCELERATORS, indirect=True)
def test_numpy_is_told_where_a_tensor_is(device):
    with pytest.raises(TypeError, match=rf"a tensor on {device} is not copied silently.*numpy\(\)"):
        np.asarray(tt.ones(2))


def test_an_integer_tensor_of_one_element_is_an_index():
    assert list(range(tt.tensor(3))) == [0, 1, 2]
    assert tt.arange(4)[tt.tensor(1) :].tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match="integer tensor of one element"):
        range(tt.tensor(1.0))


def test_the_truth_of_several_elements_is_refused():
    with pytest.raises(ValueError, match="neither true nor false"):
        bool(tt.ones(2))


def test_leaves_can_be_pickled_also_when_an_optimizer_holds_them():
    layer = tt.nn.Linear(2, 3)
    optimizer = tt.optim.AdamW(layer.parameters())
    layer(tt.ones(1, 2)).sum().backward()
    copy = pickle.loads(pickle.dumps(layer))
    for ours, theirs in zip(layer.parameters(), copy.parameters(), strict=True):
        assert type(theirs) is tt.nn.Parameter
        assert theirs.device == ours.device
        assert not share_memory(ours.data, theirs.data)
        np.testing.assert_array_equal(host(ours), host(theirs))
        np.testing.assert_array_equal(host(ours.grad), host(theirs.grad))
    optimizer.step()
    assert (host(copy.weight) != host(layer.weight)).any()


def test_max_and_min_of_two_tensors_are_maximum_and_minimum():
    x, y = tt.tensor([1.0, 5.0]), tt.tensor([3.0, 2.0])
    assert x.max(y).tolist() == tt.max(x, y).tolist() == [3.0, 5.0]
    assert x.min(y).tolist() == tt.min(x, y).tolist() == [1.0, 2.0]


def test_to_a_device_that_was_not_chosen(device):
    other = "mock" if device != "mock" else "cuda"
    with pytest.raises(RuntimeError, match=rf"to\('{other}'\) needs tt\.set_device\('{other}'\)"):
        tt.ones(2).to(other)


def test_gradients_cross_to_the_host_and_back(device):
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    there = x.cpu()
    assert there.device == "cpu"
    back = (there * 3).to(device)
    assert back.device == device
    (back * x).sum().backward()
    assert x.grad.device == device
    assert x.grad.tolist() == [6, 12]
