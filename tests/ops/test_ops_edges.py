"""Values at the edges of operations, where no gradient check can go."""

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")


def test_zero_to_a_power_has_no_slope_in_the_exponent():
    """0^y is 0 on both sides of y > 0, and 1 at y = 0: PyTorch calls the slope 0."""
    exponent = tt.tensor([0.0, 1.0, 2.0], requires_grad=True)
    (tt.zeros(3) ** exponent).sum().backward()
    assert exponent.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("wanted", ["x", "y"])
def test_a_product_keeps_only_what_the_gradient_needs(wanted):
    """The other factor of x y for each gradient that is wanted: dL/dx = g y, dL/dy = g x."""
    x, y = (tt.ones(3, requires_grad=name == wanted) for name in "xy")
    kept = (x * y).node.saved
    assert [array is None for array in kept] == [wanted == "x", wanted == "y"]
    rows, weight = tt.ones(2, 3, requires_grad=wanted == "x"), tt.ones(4, 3)
    weight.requires_grad = wanted == "y"
    assert (F.linear(rows, weight).node.saved[0] is None) == (wanted == "x")


@pytest.mark.parametrize(
    ("low", "high", "x_gets", "low_gets", "high_gets"),
    [
        (2, 3, [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]),
        (2, None, [0, 1, 1, 1], [1, 0, 0, 0], None),
        (None, 3, [1, 1, 1, 0], None, [0, 0, 0, 1]),
        (2, 2, [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]),
    ],
)
def test_an_element_at_an_end_is_not_clamped(low, high, x_gets, low_gets, high_gets):
    x = tt.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    ends = [
        None if end is None else tt.full((4,), float(end), requires_grad=True)
        for end in (low, high)
    ]
    x.clamp(*ends).sum().backward()
    assert x.grad.tolist() == x_gets
    assert [None if end is None else end.grad.tolist() for end in ends] == [low_gets, high_gets]


@pytest.mark.parametrize("larger", [0, 1, 2], ids=["queries", "keys", "values"])
def test_attention_broadcasts_any_of_its_inputs(larger):
    sizes = [(5, 2, 3), (5, 4, 3), (5, 4, 2)]
    wide = [tt.randn(*size, generator=tt.Generator(i)) for i, size in enumerate(sizes)]
    inputs = [x if i == larger else x[0] for i, x in enumerate(wide)]
    together = F.scaled_dot_product_attention(*inputs)
    for batch in range(5):
        one = [x[batch] if i == larger else x for i, x in enumerate(inputs)]
        alone = F.scaled_dot_product_attention(*one)
        np.testing.assert_allclose(host(together[batch]), host(alone), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_nonzero_elements_along_axes(dtype):
    x = tt.tensor([[[1.0, 0.0], [2.0, -3.0]], [[0.0, 0.0], [0.0, 5.0]]], dtype=dtype)
    count = tt.linalg.vector_norm(x, 0, (0, 2))
    assert (count.tolist(), count.dtype) == ([1, 3], np.dtype(dtype))
    assert tt.linalg.vector_norm(x, 0, -1, keepdim=True).tolist() == [[[1], [2]], [[0], [1]]]


PAIRS = [[True, False, False], [False, False, True]]


@pytest.mark.parametrize(
    "before",
    [(...,), ([1], ...), (None, ..., None), (..., slice(2)), ([True, False], ..., [2]), (PAIRS,)],
    ids=str,
)
def test_an_index_array_after_an_ellipsis_belongs_to_an_axis_from_the_end(before):
    """(2, 3, 4): 3 fits the last axis only, and 4 none."""
    x = tt.arange(24).reshape(2, 3, 4)
    plain = host(x)
    index = (*before, [3])
    assert host(x[index]).tolist() == plain[index].tolist()
    for outside in ([4], [-5]):
        with pytest.raises(IndexError, match=r"axis 2 .*size 4"):
            x[(*before, outside)]


@pytest.mark.parametrize("classes", [0, -1])
def test_no_ids_tell_no_number_of_classes(classes):
    with pytest.raises(ValueError, match=r"off shape \(0,\)"):
        F.one_hot(tt.zeros(0, dtype="int64"), classes)


def test_bounds_of_hardtanh_may_be_equal():
    assert F.hardtanh(tt.tensor([-2.0, 3.0]), 1.0, 1.0).tolist() == [1, 1]


def test_an_index_array_too_many():
    with pytest.raises(IndexError, match=r"too many indices|axis 1 of size 0"):
        tt.ones(2)[[0], [0]]
