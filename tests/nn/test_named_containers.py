"""Modules and parameters by name, and parameters in order."""

import copy

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")


def heads():
    return nn.ModuleDict({"b": nn.Linear(2, 3), "a": nn.ReLU()})


def test_a_dict_of_modules():
    held = heads()
    assert list(held) == list(held.keys()) == ["b", "a"]
    assert [type(module) for module in held.values()] == [nn.Linear, nn.ReLU]
    assert dict(held.items())["b"] is held["b"]
    assert "a" in held
    assert "c" not in held
    assert list(held.state_dict()) == ["b.weight", "b.bias"]
    held["b"] = nn.Linear(2, 4)
    held.update([("c", nn.Tanh())])
    assert list(held) == ["b", "a", "c"]
    assert isinstance(held.pop("c"), nn.Tanh)
    del held["a"]
    assert len(held) == 1
    assert held["b"].weight.shape == (4, 2)
    held.clear()
    assert len(held) == 0
    assert nn.ModuleDict().state_dict() == {}


def test_its_modules_are_trained_copied_and_shown():
    model = nn.Module()
    model.heads = heads()
    assert [name for name, _ in model.named_parameters()] == ["heads.b.weight", "heads.b.bias"]
    model.eval()
    assert not model.heads["a"].training
    other = copy.deepcopy(model)
    assert other.heads["b"] is not model.heads["b"]
    assert "(a): ReLU()" in repr(model)


@pytest.mark.parametrize("container", [nn.ModuleDict, nn.ParameterDict])
@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("", KeyError, "must not be empty or have a dot"),
        ("a.b", KeyError, "must not be empty or have a dot, got 'a.b'"),
        ("keys", KeyError, "has an attribute 'keys' already"),
        ("training", KeyError, "has an attribute 'training' already"),
        (3, TypeError, "a key must be a string, got 3"),
    ],
)
def test_keys_that_cannot_be_names(container, key, error, message):
    value = nn.ReLU() if container is nn.ModuleDict else tt.ones(2)
    with pytest.raises(error, match=message):
        container({key: value})


@pytest.mark.parametrize("container", [nn.ModuleDict, nn.ParameterDict])
def test_what_is_not_there_or_no_pair(container):
    for use in (lambda: container()["x"], lambda: container().pop("x")):
        with pytest.raises(KeyError, match="'x'; there are"):
            use()
    with pytest.raises(TypeError, match=r"takes a dict or pairs .* got a int"):
        container(3)
    with pytest.raises(TypeError, match="pairs of a name and a value, got 5 at position 0"):
        container([5])


def test_only_modules_and_only_parameters_go_in():
    with pytest.raises(TypeError, match="ModuleDict holds modules, got a Tensor"):
        nn.ModuleDict({"a": tt.ones(2)})
    for container in (lambda: nn.ParameterDict({"a": 3}), lambda: nn.ParameterList([3])):
        with pytest.raises(TypeError, match="holds parameters, got a int"):
            container()
    with pytest.raises(TypeError, match="takes a list of parameters, got a Tensor"):
        nn.ParameterList(tt.ones(2))


def test_a_list_of_parameters():
    first = nn.Parameter(tt.ones(2))
    held = nn.ParameterList([first, tt.zeros(3)])
    held += [tt.ones(1)]
    assert held.append(tt.ones(4)) is held
    assert held[0] is first
    assert held[-1].shape == (4,)
    assert [parameter.shape for parameter in held] == [(2,), (3,), (1,), (4,)]
    assert all(isinstance(parameter, nn.Parameter) for parameter in held)
    held[1] = tt.ones(5)
    assert list(held.state_dict()) == ["0", "1", "2", "3"]
    assert repr(held) == "ParameterList((2,), (5,), (1,), (4,))"
    for position in (4, -5):
        with pytest.raises(IndexError, match=f"position {position} in a list of 4 parameters"):
            held[position]
    with pytest.raises(TypeError, match="an integer, got slice"):
        held[0:2]


def test_a_dict_of_parameters():
    first = nn.Parameter(tt.ones(2))
    held = nn.ParameterDict({"b": first, "a": tt.zeros(3)})
    assert held["b"] is first
    assert list(held) == list(held.keys()) == list(held.state_dict()) == ["b", "a"]
    assert [value.shape for value in held.values()] == [(2,), (3,)]
    assert "a" in held
    assert repr(held) == "ParameterDict(b: (2,), a: (3,))"
    assert held.pop("a").shape == (3,)
    del held["b"]
    assert len(held) == 0
    held.update({"c": tt.ones(1)})
    assert [name for name, _ in held.items()] == ["c"]
    held.clear()
    assert len(held) == 0


def test_a_plain_dict_is_pointed_to_the_right_container():
    model = nn.Module()
    model.layers = {"a": nn.ReLU()}
    with pytest.raises(TypeError, match=r"use nn\.ModuleDict \(or ParameterDict\)"):
        model.state_dict()


@pytest.mark.parametrize("training", [True, False])
def test_an_instance_norm_without_momentum_runs_and_keeps_its_statistics(training):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    layer = nn.InstanceNorm1d(4, track_running_stats=True, momentum=None).train(training)
    other = nn.InstanceNorm1d(4, track_running_stats=True, momentum=0.0).train(training)
    np.testing.assert_array_equal(host(layer(tt.from_numpy(x))), host(other(tt.from_numpy(x))))
    assert layer.running_mean.tolist() == [0, 0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1, 1]


@pytest.mark.oracle
@pytest.mark.parametrize("training", [True, False])
def test_an_instance_norm_without_momentum_as_in_torch(training):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    settings = {"track_running_stats": True, "momentum": None}
    theirs = torch.nn.InstanceNorm1d(4, **settings).train(training)
    ours = nn.InstanceNorm1d(4, **settings).train(training)
    expected = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(host(ours(tt.from_numpy(x))), expected, atol=1e-5)
    assert ours.running_mean.tolist() == theirs.running_mean.tolist()
