"""Taking and writing at positions: which positions are right, and that every device says so."""

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain.testing import gradcheck

pytestmark = pytest.mark.usefixtures("device")


def leaf(*shape):
    return tt.from_numpy(np.arange(1.0, 1 + np.prod(shape)).reshape(shape)).requires_grad_()


CALLS = {
    "gather": lambda i: tt.ones(2, 3).gather(1, i.reshape(2, 1)),
    "scatter": lambda i: tt.ones(2, 3).scatter(1, i.reshape(2, 1), tt.ones(2, 1)),
    "scatter_number": lambda i: tt.ones(2, 3).scatter(1, i.reshape(2, 1), 2.0),
    "scatter_add": lambda i: tt.ones(2, 3).scatter_add(1, i.reshape(2, 1), tt.ones(2, 1)),
    "index_select": lambda i: tt.ones(2, 3).index_select(1, i),
    "index_add": lambda i: tt.ones(2, 3).index_add(1, i, tt.ones(2, 2)),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
@pytest.mark.parametrize("wrong", [3, -1, 2**40])
def test_a_position_out_of_range_is_an_error(call, wrong):
    with pytest.raises(IndexError, match=rf"index {wrong} at position .* is outside 0 to 2"):
        call(tt.tensor([0, wrong]))


@each_call
def test_a_position_of_unknown_range_is_looked_at(call):
    with pytest.raises(IndexError, match="index 3 at position"):
        call(tt.tensor([0, 1]) + 2)


@each_call
def test_positions_are_integers(call):
    with pytest.raises(TypeError, match="must be integers, got float32"):
        call(tt.tensor([0.0, 1.0]))


def test_positions_at_both_ends_are_right():
    assert tt.arange(3).index_select(0, tt.tensor([2, 0])).tolist() == [2, 0]
    assert tt.arange(3).gather(0, tt.tensor([2, 0])).tolist() == [2, 0]


def test_take_along_dim_counts_negative_positions_from_the_end():
    x = leaf(2, 3)
    taken = x.take_along_dim(tt.tensor([[-1], [0]]), 1)
    assert taken.tolist() == [[3.0], [4.0]]
    assert x.take_along_dim(tt.tensor([-6, 5])).tolist() == [1.0, 6.0]
    with pytest.raises(IndexError, match="outside 0 to 2"):
        x.take_along_dim(tt.tensor([[-4], [0]]), 1)


def test_take_along_dim_broadcasts_the_other_axes():
    x = leaf(1, 3)
    indices = tt.tensor([[2, 2, 0], [1, 0, 0]])
    assert x.take_along_dim(indices, 1).tolist() == [[3.0, 3.0, 1.0], [2.0, 1.0, 1.0]]
    assert gradcheck(lambda x: x.take_along_dim(indices, 1), [x])


def test_gather_reads_a_corner_where_positions_are_fewer():
    x, indices = leaf(3, 4), tt.tensor([[2, 0], [1, 1]])
    assert x.gather(0, indices).tolist() == [[9.0, 2.0], [5.0, 6.0]]
    assert gradcheck(lambda x: x.gather(0, indices), [x])


def test_scatter_along_every_axis():
    x, source, indices = leaf(3, 2), leaf(2, 2), tt.tensor([[2, 0], [0, 1]])
    assert x.scatter(0, indices, source).tolist() == [[3.0, 2.0], [3.0, 4.0], [1.0, 6.0]]
    assert gradcheck(lambda x, y: x.scatter(0, indices, y), [x, source])


def test_a_number_may_be_scattered_to_one_place_twice():
    x = leaf(3)
    found = x.scatter(0, tt.tensor([1, 1]), value=9)
    assert found.tolist() == [1.0, 9.0, 3.0]
    found.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


def test_scatter_add_and_its_name_as_a_reduction():
    x, indices = leaf(2, 3), tt.tensor([[0, 0, 0], [1, 2, 1]])
    added = x.scatter(1, indices, leaf(2, 3), reduce="add")
    assert added.tolist() == x.scatter_add(1, indices, leaf(2, 3)).tolist()
    assert added.tolist() == [[7.0, 2.0, 3.0], [4.0, 15.0, 11.0]]
    assert x.scatter(1, indices, 1.0, reduce="add").tolist()[0] == [4.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="'multiply'"):
        x.scatter(1, indices, leaf(2, 3), reduce="multiply")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tt.ones(2, 3).gather(1, tt.tensor([0])), ValueError, r"shape \(1,\) do not fit"),
        (lambda: tt.ones(2, 3).gather(1, tt.zeros(3, 1).long()), ValueError, "along axis 1"),
        (lambda: tt.ones(2).scatter(0, tt.tensor([0])), TypeError, "either src or value"),
        (
            lambda: tt.ones(2).scatter_add(0, tt.tensor([0]), tt.ones(1).double()),
            TypeError,
            "the tensor is float32 and the source float64",
        ),
        (lambda: tt.ones(2).index_add(0, tt.tensor([0]), tt.ones(2)), ValueError, r"shape \(1,\)"),
        (lambda: tt.ones(2).index_select(0, tt.tensor([[0]])), ValueError, "a vector"),
        (lambda: tt.ones(2).index_select(1, tt.tensor([0])), IndexError, "axis 1 is out of range"),
        (lambda: tt.ones(2).masked_select(tt.ones(2)), TypeError, "boolean mask"),
        (lambda: tt.ones(2, 2).take_along_dim(tt.tensor([0]), 0), ValueError, "as many axes"),
    ],
)
def test_words_for_what_does_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_masked_select_broadcasts():
    x, mask = leaf(2, 1), tt.tensor([True, False, True])
    assert x.masked_select(mask).tolist() == [1.0, 1.0, 2.0, 2.0]
    x.masked_select(mask).sum().backward()
    assert host(x.grad).tolist() == [[2.0], [2.0]]


def test_zero_dim_tensors():
    x, zero = leaf(), tt.tensor(0)
    assert x.gather(0, zero).shape == x.index_select(0, zero).shape == ()
    assert x.scatter_add(0, zero, leaf()).item() == 2.0
    assert x.index_add(0, zero, leaf()).item() == 2.0
