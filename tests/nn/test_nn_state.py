"""State dicts: copies out, everything or nothing in."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host, share_memory
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1, bias=False))


NAMES = [
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
    "2.weight",
]


def arrays_of(module):
    return {name: host(value).copy() for name, value in module.state_dict().items()}


def assert_unchanged(module, before):
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(host(value), before[name])


def test_a_state_dict_holds_copies_in_order():
    source = model()
    state = source.state_dict()
    assert list(state) == NAMES
    assert all(type(value) is tt.Tensor and not value.requires_grad for value in state.values())
    before = {name: host(value).copy() for name, value in state.items()}
    for parameter in source.parameters():
        parameter.data += 1
    source(tt.randn(4, 2))
    for name, value in state.items():
        np.testing.assert_array_equal(host(value), before[name])


@pytest.mark.parametrize("form", ["tensors", "arrays"])
def test_loading_copies_into_the_arrays_that_are_there(form):
    source, target = model(), model()
    source(tt.randn(4, 2))
    live = {name: value.data for name, value in target._all_named_tensors()}
    state = source.state_dict() if form == "tensors" else arrays_of(source)
    assert target.load_state_dict(state) == ([], [])
    for name, value in target._all_named_tensors():
        assert value.data is live[name]
        given = state[name].data if form == "tensors" else state[name]
        np.testing.assert_array_equal(host(value), host(given))
        if tt.get_device() == "cpu" or form == "tensors":
            assert not share_memory(value.data, given)


def test_every_fault_is_listed_and_nothing_is_loaded():
    target = model()
    before = arrays_of(target)
    state = {name: value + 1 for name, value in before.items()}
    state["0.wieght"] = state.pop("0.weight")
    state["head.scale"] = np.zeros(2)
    del state["2.weight"]
    state["0.bias"] = np.zeros(4, np.float32)
    state["1.bias"] = np.zeros(3, np.float64)
    state["1.weight"] = [1.0, 2.0, 3.0]
    state["1.num_batches_tracked"] = np.array(1.0, dtype=np.float32)
    with pytest.raises(RuntimeError) as caught:
        target.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "cannot load the state into Sequential:",
        "  mismatch: 0.bias is float32 (4,), expected float32 (3,)",
        "  mismatch: 1.weight is a list, expected an array",
        "  mismatch: 1.bias is float64 (3,), expected float32 (3,)",
        "  mismatch: 1.num_batches_tracked is float32 (), expected int64 ()",
        "  missing: 0.weight",
        "  missing: 2.weight",
        "  unexpected: 0.wieght (did you mean 0.weight?)",
        "  unexpected: head.scale",
    ]
    assert_unchanged(target, before)


def test_without_strict_names_may_differ_but_shapes_may_not():
    target = model()
    before = arrays_of(target)
    weight = before["0.weight"] + 1
    keys = target.load_state_dict({"0.weight": weight, "more": weight}, strict=False)
    assert keys.missing_keys == NAMES[1:]
    assert keys.unexpected_keys == ["more"]
    assert_unchanged(target, {**before, "0.weight": weight})
    with pytest.raises(RuntimeError, match=r"0\.weight is float32 \(1,\)"):
        target.load_state_dict({"0.weight": np.zeros(1, np.float32)}, strict=False)
    assert_unchanged(target, {**before, "0.weight": weight})


@pytest.mark.parametrize("wrong", ["weights.npz", None, ["0.weight"]])
def test_a_state_dict_is_a_mapping(wrong):
    with pytest.raises(TypeError, match="maps names to arrays, got"):
        model().load_state_dict(wrong)


def test_tied_parameters_appear_under_every_name():
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    state = tied.state_dict()
    assert list(state) == ["0.weight", "1.weight"]
    other = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    other.load_state_dict(state)
    np.testing.assert_array_equal(host(other[0].weight), host(other[1].weight))
    tied.load_state_dict(state)
    assert tied[1].weight is tied[0].weight


def test_one_state_dict_loaded_twice_gives_two_independent_models():
    state = model().state_dict()
    first, second = model(), model()
    first.load_state_dict(state)
    second.load_state_dict(state)
    for parameter in first.parameters():
        parameter.data += 1
    assert_unchanged(second, {name: host(value) for name, value in state.items()})
