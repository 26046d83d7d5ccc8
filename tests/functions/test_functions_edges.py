"""Laws between functions, and the edges: flat places, ties, empty axes, words for bad arguments."""

import numpy as np
import pytest
from device_helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt

pytestmark = pytest.mark.usefixtures("device")
few_examples = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
shapes = st.lists(st.integers(0, 3), min_size=1, max_size=3)


def numbered(*shape):
    return tt.from_numpy(np.arange(float(np.prod(shape))).reshape(shape)).requires_grad_()


def gradient_of(function, x):
    """The gradient of a sum, in host memory."""
    function(x).sum().backward()
    return host(x.grad)


# ---------------------------------------------------------------- laws


@few_examples
@given(shapes, st.data())
def test_what_undoes_itself(shape, data):
    x = numbered(*shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    shift = data.draw(st.integers(-5, 5))
    place = data.draw(st.integers(0, len(shape) - 1))
    for back in [
        x.flip(axis).flip(axis),
        x.roll(shift, axis).roll(-shift, axis),
        x.roll(shift).roll(-shift),
        x.movedim(axis, place).movedim(place, axis),
        tt.cat(x.chunk(2, axis), axis),
        *([tt.stack(x.unbind(axis), axis)] if x.shape[axis] else []),
        x.take_along_dim(x.argsort(axis), axis),  # sorted already
    ]:
        np.testing.assert_array_equal(host(back), host(x))


@few_examples
@given(shapes, st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_tile_and_repeat_are_numpys_tile(shape, counts):
    x = numbered(*shape)
    np.testing.assert_array_equal(host(tt.tile(x, counts)), np.tile(host(x), counts))
    if len(counts) >= len(shape):
        np.testing.assert_array_equal(host(x.repeat(*counts)), np.tile(host(x), counts))


def test_repeated_elements_are_copies():
    x = tt.ones(2)
    x.repeat(1).data[0] = 7.0
    assert x.tolist() == [1.0, 1.0]


@few_examples
@given(st.integers(1, 4), st.integers(1, 4), st.integers(-4, 4))
def test_triangles_and_diagonals(rows, columns, k):
    x = numbered(rows, columns)
    assert (x.tril(k) + x.triu(k + 1)).tolist() == x.tolist()
    assert x.diagonal(k).tolist() == np.diagonal(host(x), k).tolist()


@few_examples
@given(st.lists(st.integers(-3, 3), max_size=8), st.booleans())
def test_sorting_is_stable(values, descending):
    x = tt.from_numpy(np.array(values, dtype=np.int64))
    found = x.sort(descending=descending)
    order = sorted(range(len(values)), key=lambda i: -values[i] if descending else values[i])
    assert found.indices.tolist() == order
    assert found.values.tolist() == [values[i] for i in order]


def test_nan_is_the_largest():
    x = tt.tensor([1.0, float("nan"), -float("inf"), float("inf")])
    assert x.argsort().tolist() == [2, 0, 3, 1]
    assert x.topk(2).indices.tolist() == [1, 3]


# ---------------------------------------------------------------- flat places and empty axes


def test_where_nothing_varies_the_gradient_of_std_is_0():
    assert (
        gradient_of(lambda x: x.std(1), tt.ones(2, 3, requires_grad=True)).tolist()
        == [[0.0] * 3] * 2
    )


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, float("inf")])
def test_the_norm_of_zeros_has_gradient_0(p):
    assert gradient_of(lambda x: x.norm(p), tt.zeros(3, requires_grad=True)).tolist() == [0.0] * 3


def test_the_number_of_nonzero_elements_has_no_gradient():
    x = tt.tensor([0.0, 2.0], requires_grad=True)
    count = x.norm(0)
    count.backward()
    assert count.item() == 1.0
    assert x.grad is None


def test_the_largest_of_ties_share_the_gradient_of_a_norm():
    x = tt.tensor([3.0, -3.0, 1.0], requires_grad=True)
    assert gradient_of(lambda x: x.norm(float("inf")), x).tolist() == [0.5, -0.5, 0.0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0, 3.0, 4.0], [12, 8, 6]), ([0.0, 3.0, 4.0], [12, 0, 0]), ([0.0, 0.0, 4.0], [0, 0, 0])],
)
def test_products_with_zeros(values, expected):
    assert gradient_of(tt.prod, tt.tensor(values, requires_grad=True)).tolist() == expected


def test_ends_that_cross():
    """The upper end wins, and gets the gradient."""
    low, high = (tt.tensor([v], requires_grad=True) for v in (2.0, 1.0))
    tt.zeros(1).clamp(low, high).backward()
    assert (low.grad.item(), high.grad.item()) == (0.0, 1.0)


def test_empty_axes():
    x = tt.zeros(0, 2)
    assert x.sum(0).tolist() == [0.0, 0.0]
    assert x.prod(0).tolist() == [1.0, 1.0]
    assert x.all(0).tolist() == [True, True]
    assert x.any(0).tolist() == [False, False]
    assert x.norm(2, 0).tolist() == [0.0, 0.0]
    assert x.sort(0).values.shape == x.cumsum(0).shape == (0, 2)
    assert len(x.chunk(3)) == 3
    with pytest.raises(ValueError, match="Norm over no elements"):
        x.norm(float("inf"), 0)


# ---------------------------------------------------------------- words for bad arguments


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.topk(4), ValueError, "k = 4 of axis -1"),
        (lambda x: x.narrow(0, 1, 2), IndexError, "2 from 1 on do not fit axis 0"),
        (lambda x: x.narrow(0, tt.tensor(0.5), 1), TypeError, "index"),
        (lambda x: x.chunk(0), ValueError, "positive number"),
        (lambda x: x.repeat(2), ValueError, "a count per axis"),
        (lambda x: x.roll((1, 2), 0), ValueError, "2 shifts for 1 axes"),
        (lambda x: x.roll((1, 2)), ValueError, "one shift"),
        (lambda x: x.movedim((0, 1), 0), ValueError, "as many places"),
        (lambda x: x.diagonal(0, 1, -1), ValueError, "two axes"),
        (lambda x: x[0].tril(), ValueError, "at least two axes"),
        (lambda x: x.flip(2), IndexError, "axis 2 is out of range"),
        (lambda x: x.norm("nuc"), ValueError, "'fro'"),
        (lambda x: x.long().norm(), TypeError, "floating-point"),
        (lambda x: x.div(2, rounding_mode="up"), ValueError, "'up'"),
        (lambda x: x.bool().div(x.bool(), rounding_mode="floor"), TypeError, "not for two bool"),
        (lambda x: x.mm(tt.ones(3)), ValueError, "2 and 2 axes"),
        (lambda x: x.mm(tt.ones(2, 2)), ValueError, "3 columns meet 2 rows"),
        (lambda x: tt.ones(2, 1, 1).bmm(tt.ones(1, 1, 1)), ValueError, "equal batches"),
        (lambda x: x.outer(x), ValueError, "two vectors"),
        (lambda x: tt.ones(()).unbind(), IndexError, "no axes"),
        (lambda x: x.masked_fill(x == 0, tt.ones(2)), ValueError, "without axes"),
    ],
)
def test_words(call, error, words):
    x = tt.ones(2, 3)
    with pytest.raises(error, match=words):
        call(x)
