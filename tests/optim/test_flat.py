"""The flat buffer: views that stay live, gradients that stay views, one owner per parameter."""

import copy
import gc
import pickle

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host, share_memory
from tinytrain.optim import SGD, AdamW
from tinytrain.optim.flat import FlatBuffer, gradient_arrays

pytestmark = pytest.mark.usefixtures("device")


def parameters(*shapes, dtype="float64"):
    """Leaves with the values 0, 1, 2, ... over all of them."""
    start, made = 0, []
    for shape in shapes:
        size = int(np.prod(shape))
        values = np.arange(start, start + size, dtype=dtype).reshape(shape)
        made.append(tt.tensor(values, requires_grad=True))
        start += size
    return made


def set_gradient(parameter, value):
    parameter.grad = tt.full(parameter.shape, float(value), dtype=parameter.dtype)


def test_values_and_gradients_are_views_of_the_buffer():
    weights = parameters((2, 3), (), (4,))
    flat = FlatBuffer(weights, ["a", "b", "c"])
    assert flat.data.tolist() == list(range(11))
    for weight in weights:
        assert share_memory(weight.data, flat.data)
        weight.sum().backward()
        assert share_memory(weight.grad.data, flat.gradient)
    flat.data *= 2
    flat.gradient *= 3
    assert weights[0].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert weights[1].item() == 12
    assert [host(weight.grad).ravel().tolist() for weight in weights] == [[3] * 6, [3], [3] * 4]


def test_views_survive_everything_that_writes_parameters():
    layer = tt.nn.Linear(3, 2)
    optimizer = SGD(layer.parameters(), lr=0.1)
    buffer = optimizer._flat_groups[0][0].flat
    layer.load_state_dict(tt.nn.Linear(3, 2).state_dict())
    tt.nn.init.normal_(layer.weight)
    for _ in range(2):
        optimizer.zero_grad()
        layer(tt.ones(1, 3)).sum().backward()
        layer(tt.ones(1, 3)).sum().backward()
        optimizer.step()
    for parameter in layer.parameters():
        assert share_memory(parameter.data, buffer.data)
        assert share_memory(parameter.grad.data, buffer.gradient)
    assert np.array_equal(host(buffer.data), np.r_[host(layer.weight).ravel(), host(layer.bias)])


def test_a_gradient_from_before_the_optimizer_is_kept():
    first, second = parameters((2,), (3,))
    (5 * first).sum().backward()
    SGD([first, second], lr=1.0).step()
    assert first.tolist() == [-5, -4]
    assert second.tolist() == [2, 3, 4]
    assert first.grad.tolist() == [5, 5]
    assert second.grad is None


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_a_parameter_has_one_optimizer(make):
    weights = parameters((2, 3), (4,))
    owner = make([("weight", weights[0]), ("bias", weights[1])])
    with pytest.raises(ValueError, match=r"'bias' of shape \(4,\) belongs to another optimizer"):
        make([("bias", weights[1])])
    with pytest.raises(ValueError, match=r"'0\.0' of shape \(2, 3\) belongs"):
        make([weights[0]])
    with pytest.raises(ValueError, match="'weight'"):
        owner.add_param_group({"params": [("weight", weights[0])]})


def test_a_parameter_given_twice_is_named():
    first, second = parameters((2,), (2,))
    with pytest.raises(ValueError, match="'again' of shape"):
        SGD([("one", first), ("two", second), ("again", first)])
    with pytest.raises(ValueError, match=r"'1\.0'"):
        SGD([{"params": [first]}, {"params": [first]}])


def test_a_refused_buffer_takes_no_parameter():
    first, second, owned = parameters((2,), (2,), (2,))
    owner = SGD([owned])
    data = first.data
    with pytest.raises(ValueError, match="'owned'") as refused:
        FlatBuffer([first, second, owned], ["first", "second", "owned"])
    # The exception keeps the half-made buffer alive, and still nobody owns the two.
    assert first.data is data
    assert SGD([first, second]) is not None
    assert refused.value is not None
    assert owner is not None


def test_a_parameter_is_free_when_its_optimizer_is_gone():
    weights = parameters((2,), (3,))
    gc.disable()
    try:
        optimizer = AdamW(weights)
        schedule = tt.optim.WarmupCosine(optimizer, 0, 10)
        for weight in weights:
            set_gradient(weight, 1)
        optimizer.step()
        optimizer.state_dict()
        del optimizer, schedule
        again = AdamW(weights)  # would raise if a cycle kept the first one
    finally:
        gc.enable()
    again.step()
    flat = again._flat_groups[0][0].flat
    assert all(share_memory(weight.data, flat.data) for weight in weights)
    assert all(share_memory(weight.grad.data, flat.gradient) for weight in weights)


def test_a_model_can_be_moved_again_when_its_optimizer_is_gone():
    model = tt.nn.Linear(2, 1)
    optimizer = SGD(model.parameters(), lr=0.5)
    model(tt.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="an optimizer holds parameter 'weight'"):
        model.to("float64")
    del optimizer
    model.to("float64")
    assert model.weight.grad.dtype == model.weight.dtype == "float64"
    assert model.weight.grad.tolist() == [[1, 1]]
    before = host(model.weight).copy()
    SGD(model.parameters(), lr=0.5).step()
    assert np.array_equal(host(model.weight), before - 0.5)


def test_data_that_was_replaced_is_brought_back():
    first, second = parameters((2,), (3,))
    optimizer = SGD([first, second], lr=1.0)
    flat = optimizer._flat_groups[0][0].flat
    second.data = tt.tensor([10.0, 20.0, 30.0], dtype="float64").data
    set_gradient(second, 1)
    optimizer.step()
    assert second.tolist() == [9, 19, 29]
    assert share_memory(second.data, flat.data)
    assert first.tolist() == [0, 1]


@pytest.mark.parametrize(
    "replacement",
    [np.zeros(4), np.zeros(3, dtype=np.float32), [0.0, 0.0, 0.0], tt.zeros(3, dtype="float64")],
)
def test_data_that_does_not_fit_is_refused_before_any_step(replacement):
    first, second = parameters((2,), (3,))
    groups = [{"params": [("first", first)]}, {"params": [("second", second)]}]
    optimizer = SGD(groups, lr=1.0)
    second.data = replacement
    set_gradient(first, 1)
    with pytest.raises(ValueError, match=r"'second' was given the data .* holds float64 \(3,\)"):
        optimizer.step()
    assert first.tolist() == [0, 1]


def test_mixed_dtypes_in_one_group_are_stepped_alike():
    (wide,), (narrow,) = parameters((3,)), parameters((3,), dtype="float32")
    optimizer = AdamW([wide, narrow], lr=0.1)
    for _ in range(3):
        set_gradient(wide, 2)
        set_gradient(narrow, 2)
        optimizer.step()
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(host(wide), host(narrow), rtol=1e-6)
    state = optimizer.state_dict()["state"]
    assert [state[number]["exp_avg"].dtype for number in (0, 1)] == [np.float64, np.float32]


def test_a_buffer_has_one_dtype(device):
    (wide,), (narrow,) = parameters((3,)), parameters((3,), dtype="float32")
    with pytest.raises(ValueError, match=f"'narrow' is float32 on {device}, the buffer float64"):
        FlatBuffer([wide, narrow], ["wide", "narrow"])


def test_stretches_are_the_runs_with_gradients():
    weights = parameters((2,), (1,), (3,), (1,), (2, 2))
    flat = FlatBuffer(weights, list("abcde"))
    assert list(flat.stretches()) == []
    for position in (0, 1, 4):
        set_gradient(weights[position], 1)
    assert list(flat.stretches()) == [(slice(0, 3), 0), (slice(7, 11), 4)]
    assert list(flat.stretches(labels=[1, 2, 2, 2, 2])) == [
        (slice(0, 2), 0),
        (slice(2, 3), 1),
        (slice(7, 11), 4),
    ]


def test_gradient_arrays_are_flat_where_the_whole_buffer_is_asked_for():
    weights = parameters((2, 2), (3,), (1,))
    flat = FlatBuffer(weights, list("abc"))
    (loose,) = parameters((2,))
    for weight in (*weights, loose):
        set_gradient(weight, 1)
    together = gradient_arrays([loose, *weights])
    assert [array.shape for array in together] == [(2,), (8,)]
    for array in together:
        array *= 4
    assert flat.gradient.tolist() == [4] * 8
    assert loose.grad.tolist() == [4, 4]
    apart = gradient_arrays([weights[2], weights[0], weights[0]])
    assert [array.shape for array in apart] == [(1,), (4,)]
    weights[1].grad = None
    assert [array.shape for array in gradient_arrays(weights)] == [(4,), (1,)]


def test_zero_grad():
    first, second = parameters((2,), (3,))
    optimizer = SGD([first, second], lr=1.0, weight_decay=0.5)
    set_gradient(second, 7)
    optimizer.zero_grad(set_to_none=False)
    assert first.grad is None  # as in PyTorch: no gradient stays none
    assert second.grad.tolist() == [0, 0, 0]
    optimizer.step()
    assert first.tolist() == [0, 1]
    assert second.tolist() == [1, 1.5, 2]  # a zero counts: it decays
    optimizer.zero_grad()
    assert second.grad is None
    (3 * second).sum().backward()
    assert second.grad.tolist() == [3, 3, 3]


def test_an_optimizer_cannot_be_pickled():
    optimizer = SGD(parameters((2,)))
    with pytest.raises(TypeError, match=r"cannot .*pickle"):
        pickle.dumps(optimizer)


def test_a_copied_model_is_free_of_the_optimizer():
    model = tt.nn.Linear(2, 2)
    optimizer = SGD(model.parameters(), lr=1.0)
    model(tt.ones(1, 2)).sum().backward()
    twin = copy.deepcopy(model)
    before = host(twin.weight).copy()
    optimizer.step()
    assert np.array_equal(host(twin.weight), before)
    assert not np.array_equal(host(model.weight), before)
    SGD(twin.parameters(), lr=1.0).step()
    assert np.array_equal(host(twin.weight), host(model.weight))
