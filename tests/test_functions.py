"""Functions of several tensors: errors, aliasing, and laws between them."""

import numpy as np
import pytest
from device_helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt

pytestmark = pytest.mark.usefixtures("device")
few_examples = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def leaf(*shape, start=0.0):
    array = np.asarray(np.arange(start, start + np.prod(shape)).reshape(shape))
    return tt.from_numpy(array).requires_grad_()


@few_examples
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(-2, 1))
def test_cat_then_split_gives_the_pieces_back(sizes, dim):
    axis = dim % 2
    pieces = [leaf(*((n, 2) if axis == 0 else (2, n))) for n in sizes]
    joined = tt.cat(pieces, dim=dim)
    for piece, part in zip(pieces, tt.split(joined, sizes, dim=dim), strict=True):
        assert part.tolist() == piece.tolist()
    (joined * 3).sum().backward()
    assert all((host(p.grad) == 3).all() for p in pieces)


def test_cat_of_the_same_tensor_twice_adds():
    x = leaf(2)
    tt.cat([x, x * 2, x]).sum().backward()
    assert x.grad.tolist() == [4, 4]


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        (lambda: [], ValueError, "at least one tensor"),
        (lambda: [leaf(2, 3), leaf(2, 2)], ValueError, r"\(2, 3\) and \(2, 2\) differ elsewhere"),
        (lambda: [leaf(2, 3), leaf(3)], ValueError, "differ elsewhere"),
        (lambda: [leaf(), leaf()], ValueError, "stack makes one"),
        (lambda: [np.ones(2)], TypeError, "bare ndarray"),
        (lambda: [leaf(2).data], TypeError, "bare ndarray"),
    ],
)
def test_cat_errors(tensors, error, words):
    with pytest.raises(error, match=words):
        tt.cat(tensors())


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        (lambda: [], ValueError, "at least one tensor"),
        (lambda: [leaf(2), leaf(3)], ValueError, r"equal shapes, got \(2,\), \(3,\)"),
    ],
)
def test_stack_errors(tensors, error, words):
    with pytest.raises(error, match=words):
        tt.stack(tensors())


def test_axes_that_do_not_exist():
    for function in (tt.cat, tt.stack):
        with pytest.raises(IndexError, match="axis 5 is out of range"):
            function([leaf(2, 2), leaf(2, 2)], dim=5)


@few_examples
@given(st.integers(-3, 2))
def test_stack_is_cat_of_unsqueezed(dim):
    x, y = leaf(2, 3), leaf(2, 3, start=10.0)
    stacked = tt.stack([x, y], dim=dim)
    assert stacked.tolist() == tt.cat([x.unsqueeze(dim), y.unsqueeze(dim)], dim=dim).tolist()


@pytest.mark.parametrize("function", [tt.cat, tt.stack])
def test_mixed_dtypes_meet_as_in_sums(function):
    narrow, whole, wide = tt.ones(2), tt.tensor([1, 2]), tt.ones(2).double()
    assert function([whole, narrow]).dtype == np.float32
    assert function([narrow, whole]).dtype == np.float32
    assert function([whole, narrow, wide]).dtype == np.float64
    assert function([whole, tt.tensor([True, False])]).dtype == np.int64


def test_where_takes_an_infinite_gradient_from_one_side_alone():
    y = tt.tensor([1.0, 2.0], requires_grad=True)
    chosen = tt.where(tt.tensor([True, False]), y, 0.0)
    chosen.backward(tt.tensor([1.0, np.inf]))
    assert y.grad.tolist() == [1, 0]


def test_where_needs_a_boolean_condition():
    with pytest.raises(TypeError, match="boolean condition, got int64"):
        tt.where(tt.tensor([1, 0]), 1.0, 2.0)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        tt.where(tt.tensor([True, False]), leaf(3), 0.0)


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [(1, 2, "int64"), (1.0, 2, "float32"), (True, False, "bool"), (True, 2, "int64")],
)
def test_where_of_two_numbers(x, y, dtype):
    chosen = tt.where(tt.tensor([True, False]), x, y)
    assert (chosen.dtype, chosen.tolist()) == (dtype, [x, y])


def test_masked_fill_errors():
    with pytest.raises(TypeError, match="boolean mask, got int64"):
        leaf(2).masked_fill(tt.tensor([1, 0]), 0.0)
    with pytest.raises(TypeError, match=r"0\.5 is no value of int64"):
        tt.tensor([1, 2]).masked_fill(tt.tensor([True, False]), 0.5)


def test_clamp_needs_a_limit():
    with pytest.raises(ValueError, match="a minimum or a maximum"):
        leaf(2).clamp()


def test_clamp_passes_the_gradient_at_its_limits():
    x = tt.tensor([0.0, 1.0, 2.0, 3.0], requires_grad=True)
    x.clamp(1, 2).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ((2, 3), (4, 2), "3 columns meet 4 rows"),
        ((3,), (4,), "3 columns meet 4 rows"),
        ((), (3,), "at least one axis"),
        ((2, 2, 3), (3, 3, 2), "cannot be broadcast"),
    ],
)
def test_matmul_of_shapes_that_do_not_fit(left, right, words):
    with pytest.raises(ValueError, match=words):
        tt.matmul(leaf(*left), leaf(*right))


def test_matmul_converts_nothing():
    with pytest.raises(TypeError, match="matmul of float64 and float32"):
        tt.matmul(leaf(2, 2), tt.ones(2, 2))


def test_matmul_is_the_operator():
    x, y = leaf(2, 3), leaf(3, 2)
    assert tt.matmul(x, y).tolist() == (x @ y).tolist() == [[10, 13], [28, 40]]
