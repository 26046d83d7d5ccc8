"""Saving and loading an optimizer's state: copies, numbers, and refusals that change nothing."""

import json

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.optim.trajectories import gradients, make_groups, start_values
from tinytrain.backend import xp_of
from tinytrain.optim import SGD, Adagrad, Adam, AdamW, Lion, Optimizer, RMSprop
from tinytrain.train.nested_state import pack, unpack

pytestmark = pytest.mark.usefixtures("device")

MAKERS = {
    "sgd": lambda parameters: SGD(parameters, lr=0.05),
    "momentum": lambda parameters: SGD(parameters, lr=0.05, momentum=0.9),
    "adamw": lambda parameters: AdamW(parameters, lr=0.05),
    "amsgrad": lambda parameters: Adam(parameters, lr=0.05, amsgrad=True),
    "rmsprop": lambda parameters: RMSprop(parameters, lr=0.05, momentum=0.9, centered=True),
    "adagrad": lambda parameters: Adagrad(parameters, lr=0.05, initial_accumulator_value=0.5),
    "lion": lambda parameters: Lion(parameters, lr=0.05),
}


def make(kind, values):
    parameters = [tt.tensor(value, requires_grad=True) for value in values]
    return parameters, MAKERS[kind](make_groups(parameters, {"weight_decay": 0.2}))


def advance(parameters, optimizer, start, stop):
    for step, step_gradients in enumerate(gradients(np.float64)):
        if start <= step < stop:
            for parameter, gradient in zip(parameters, step_gradients, strict=True):
                parameter.grad = None if gradient is None else tt.tensor(gradient)
            optimizer.step()


def values_of(parameters):
    return [host(parameter).copy() for parameter in parameters]


def packed(state, arrays):
    """Pack a state as a checkpoint has it: the arrays in host memory, the rest as JSON holds it."""
    return pack(on_host(state), "optimizer", arrays)


def on_host(state):
    if isinstance(state, dict):
        return {key: on_host(value) for key, value in state.items()}
    return host(state) if hasattr(state, "shape") else state


def assert_same(first, second):
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def assert_same_state(first, second):
    arrays, others = {}, {}
    assert packed(first.state_dict(), arrays) == packed(second.state_dict(), others)
    assert_same(arrays.values(), others.values())


@pytest.mark.parametrize("kind", MAKERS)
def test_a_loaded_state_continues_bit_for_bit_and_is_not_shared(kind):
    parameters, optimizer = make(kind, start_values(np.float64))
    advance(parameters, optimizer, 0, 9)
    middle, state = values_of(parameters), optimizer.state_dict()
    advance(parameters, optimizer, 9, 30)

    for _ in range(2):  # the second time, the first run must not have changed the state
        again, resumed = make(kind, middle)
        resumed.load_state_dict(state)
        advance(again, resumed, 9, 30)
        assert_same(values_of(again), values_of(parameters))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_state_survives_json_and_replaces_what_was_there(kind):
    parameters, optimizer = make(kind, start_values(np.float64))
    advance(parameters, optimizer, 0, 9)
    middle, arrays = values_of(parameters), {}
    text = json.dumps(packed(optimizer.state_dict(), arrays))
    advance(parameters, optimizer, 9, 30)

    again, resumed = make(kind, start_values(np.float64))
    advance(again, resumed, 20, 50)  # state of its own, which loading must overwrite
    for parameter, value in zip(again, middle, strict=True):
        parameter.data[...] = tt.from_numpy(value).data
    resumed.load_state_dict(unpack(json.loads(text), arrays))
    advance(again, resumed, 9, 30)
    assert_same(values_of(again), values_of(parameters))


def test_loading_a_fresh_state_starts_anew():
    parameters, optimizer = make("adamw", start_values(np.float64))
    fresh = optimizer.state_dict()
    assert fresh["state"] == {}
    advance(parameters, optimizer, 0, 9)
    optimizer.load_state_dict(fresh)
    assert optimizer.state_dict()["state"] == {}
    for parameter, value in zip(parameters, start_values(np.float64), strict=True):
        parameter.data[...] = tt.from_numpy(value).data
    advance(parameters, optimizer, 0, 9)
    expected, other = make("adamw", start_values(np.float64))
    advance(expected, other, 0, 9)
    assert_same(values_of(parameters), values_of(expected))


def test_parameters_that_were_never_updated_have_no_state():
    first, second = (tt.ones(2, requires_grad=True) for _ in range(2))
    optimizer = AdamW([first, second])
    second.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()["state"]
    assert list(state) == [1]
    assert state[1]["step"] == 1
    assert state[1]["exp_avg"].shape == (2,)


def test_sgd_without_momentum_keeps_no_arrays():
    parameters, optimizer = make("sgd", start_values(np.float64))
    advance(parameters, optimizer, 0, 4)
    assert all(set(saved) == {"step"} for saved in optimizer.state_dict()["state"].values())
    assert optimizer._flat_groups[0][0].state == {}


def test_settings_are_loaded():
    _, saved = make("momentum", start_values(np.float64))
    saved.param_groups[1].update(lr=0.75, momentum=0.5)
    _, other = make("momentum", start_values(np.float64))
    other.load_state_dict(saved.state_dict())
    shown = [{k: v for k, v in group.items() if k != "params"} for group in other.param_groups]
    assert shown[1] == {
        "lr": 0.75,
        "momentum": 0.5,
        "dampening": 0.0,
        "weight_decay": 0.2,
        "nesterov": False,
        "maximize": False,
    }
    assert shown[0]["lr"] == 0.05


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


def broken_states():
    """Changes that make a state of AdamW wrong, and a part of the message that says so."""

    def change(key, value):
        def changed(state):
            first = state["state"][0]
            first = without(first, key) if value is None else {**first, key: value}
            return {**state, "state": {**state["state"], 0: first}}

        return changed

    def change_group(**settings):
        def changed(state):
            groups = [{**state["param_groups"][0], **settings}, state["param_groups"][1]]
            return {**state, "param_groups": groups}

        return changed

    return [
        (lambda state: {}, "has 'state' and 'param_groups', got"),
        (lambda state: {**state, "param_groups": state["param_groups"][:1]}, r"groups of \[2\]"),
        (change("exp_avg", None), r"of parameter 0 \(0\.0\).* missing \['exp_avg'\]"),
        (change("step", None), r"missing \['step'\]"),
        (change("square_avg", np.zeros((3, 4))), r"unexpected \['square_avg'\]"),
        (
            change("exp_avg", np.zeros((4, 3))),
            r"float64 \(4, 3\) on cpu, expected float64 \(3, 4\)",
        ),
        (change("exp_avg", np.zeros((3, 4), np.float32)), r"is float32 \(3, 4\)"),
        (change("exp_avg", [0.0]), r"'exp_avg' .* is \[0\.0\]"),
        (change_group(lr=float("nan")), "lr is nan"),
        (change_group(betas=(0.9, 1.0)), "betas must be two numbers in"),
        (change_group(amsgrad=True), r"missing \['max_exp_avg_sq'\]"),
        (change_group(decoupled_weight_decay=False), "for an L2 penalty take Adam"),
        (change_group(centered=True), "made with centered"),
        (lambda s: {**s, "state": {str(k): v for k, v in s["state"].items()}}, r"\['0', '1'"),
        (lambda s: {**s, "state": {**s["state"], 4: s["state"][0]}}, r"parameters \[4\].* 0 to 3"),
    ]


@pytest.mark.parametrize(("change", "message"), broken_states())
def test_a_state_that_does_not_fit_is_refused_whole(change, message):
    parameters, optimizer = make("adamw", start_values(np.float64))
    advance(parameters, optimizer, 0, 5)
    state = optimizer.state_dict()
    other, resumed = make("adamw", start_values(np.float64))
    advance(other, resumed, 10, 13)
    with pytest.raises(ValueError, match=message):
        resumed.load_state_dict(change(state))
    untouched, twin = make("adamw", start_values(np.float64))
    advance(untouched, twin, 10, 13)
    assert_same_state(resumed, twin)


def test_a_state_that_does_not_fit_is_refused():
    states = {}
    for kind in MAKERS:
        parameters, optimizer = make(kind, start_values(np.float64))
        advance(parameters, optimizer, 0, 5)
        states[kind] = optimizer.state_dict()
        del states[kind]["optimizer"]  # a state that does not say of which class it is
    for kind, other in (("adamw", "momentum"), ("momentum", "adamw"), ("sgd", "adamw")):
        _, optimizer = make(kind, start_values(np.float64))
        with pytest.raises(ValueError, match=r"missing|unexpected|made with"):
            optimizer.load_state_dict(states[other])


@pytest.mark.parametrize(
    ("optimizer", "parameters", "error", "message"),
    [
        (SGD, [], ValueError, "SGD got no parameters"),
        (SGD, [{"params": []}], ValueError, "parameter group 0 is empty"),
        (AdamW, [{"lr": 1.0}], TypeError, "a parameter group is a dict with 'params'"),
        (AdamW, tt.ones(2, requires_grad=True), TypeError, "a list .* got a Tensor"),
        (AdamW, {tt.ones(2, requires_grad=True)}, TypeError, "got a set"),
        (SGD, [tt.ones(2)], TypeError, "'0.0' does not require gradients: leave it out"),
        (SGD, [tt.ones(2, requires_grad=True) * 2], TypeError, "'0.0' is no leaf tensor"),
        (SGD, [("scale", 3.0)], TypeError, "'scale' is no leaf tensor: float"),
        (SGD, [np.ones(2)], TypeError, "no leaf tensor: ndarray"),
        (
            SGD,
            [{"params": [tt.ones(2, requires_grad=True)], "learning_rate": 1.0}],
            ValueError,
            "SGD has no setting learning_rate; it has lr, momentum",
        ),
    ],
)
def test_parameters_that_make_no_sense(optimizer, parameters, error, message):
    with pytest.raises(error, match=message):
        optimizer(parameters)


@pytest.mark.parametrize(
    ("optimizer", "settings", "message"),
    [
        (SGD, {"lr": -0.1}, "SGD: lr is -0.1"),
        (SGD, {"lr": float("nan")}, "SGD: lr is nan"),
        (SGD, {"momentum": -1}, "SGD: momentum is -1"),
        (SGD, {"weight_decay": -1}, "SGD: weight_decay is -1"),
        (SGD, {"nesterov": True}, "Nesterov momentum needs a momentum and no dampening"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "no dampening"),
        (AdamW, {"lr": -0.1}, "AdamW: lr is -0.1"),
        (AdamW, {"betas": (0.9, 1.0)}, r"AdamW: betas must be two numbers in \[0, 1\)"),
        (AdamW, {"betas": (0.9,)}, "betas must be two numbers"),
        (AdamW, {"eps": -1e-8}, "AdamW: eps is -1e-08"),
        (AdamW, {"weight_decay": float("nan")}, "weight_decay is nan"),
        (AdamW, {"betas": (0.9, tt.tensor(0.99))}, "betas must be two numbers"),
        (AdamW, {"betas": 0.9}, "betas must be two numbers"),
        (Adam, {"eps": -1.0}, "Adam: eps is -1"),
        (Adam, {"betas": (-0.1, 0.9)}, "Adam: betas must be two numbers"),
        (RMSprop, {"alpha": -0.1}, "RMSprop: alpha is -0.1"),
        (RMSprop, {"eps": -0.1}, "RMSprop: eps is -0.1"),
        (RMSprop, {"momentum": -0.1}, "RMSprop: momentum is -0.1"),
        (Adagrad, {"lr_decay": -0.1}, "Adagrad: lr_decay is -0.1"),
        (Adagrad, {"eps": -0.1}, "Adagrad: eps is -0.1"),
        (Adagrad, {"initial_accumulator_value": -1}, "Adagrad: initial_accumulator_value is -1"),
        (Lion, {"betas": (0.9, 1.5)}, "Lion: betas must be two numbers"),
        (Lion, {"lr": -0.1}, "Lion: lr is -0.1"),
        (SGD, {"lr": tt.ones(2)}, r"lr must be a number, got a tensor of shape \(2,\)"),
    ],
)
def test_settings_that_make_no_sense(optimizer, settings, message):
    with pytest.raises(ValueError, match=message):
        optimizer([tt.ones(2, requires_grad=True)], **settings)
    with pytest.raises(ValueError, match=message):
        optimizer([{"params": [tt.ones(2, requires_grad=True)], **settings}])


def test_an_added_group_is_trained():
    first, second = (tt.ones(2, requires_grad=True) for _ in range(2))
    optimizer = SGD([first], lr=1.0)
    optimizer.add_param_group({"params": second, "lr": 0.5})
    (first + second).sum().backward()
    optimizer.step()
    assert first.tolist() == [0, 0]
    assert second.tolist() == [0.5, 0.5]
    assert "group 1: 2 values, lr=0.5" in repr(optimizer)


def test_an_optimizer_of_ones_own_needs_only_an_update():
    class SignDescent(Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr, "weight_decay": 0.0})

        def update(self, parameter, gradient, state, settings, step):
            parameter -= settings["lr"] * xp_of(gradient).sign(gradient)

    weight = tt.tensor([1.0, -1.0], requires_grad=True)
    optimizer = SignDescent([weight], lr=0.25)
    (weight * weight).sum().backward()
    optimizer.step()
    assert weight.tolist() == [0.75, -0.75]
    unfinished = Optimizer([tt.ones(1, requires_grad=True)], {"lr": 1.0, "weight_decay": 0.0})
    unfinished.param_groups[0]["params"][0].sum().backward()
    with pytest.raises(NotImplementedError, match="Optimizer must define update"):
        unfinished.step()


def test_a_state_without_steps_as_pytorch_writes_sgds():
    weight = tt.ones(2, requires_grad=True)
    optimizer = tt.optim.SGD([weight], lr=0.5, momentum=0.9)
    buffer = np.array([2.0, 4.0], dtype=np.float32)
    settings = {"lr": 0.5, "momentum": 0.9, "params": [0]}
    optimizer.load_state_dict(
        {"state": {0: {"momentum_buffer": buffer}}, "param_groups": [settings]}
    )
    weight.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(host(weight), 1 - 0.5 * (0.9 * buffer + 1), rtol=1e-6)


def test_adamw_needs_the_steps():
    weight = tt.ones(2, requires_grad=True)
    optimizer = tt.optim.AdamW([weight])
    state = {"exp_avg": np.zeros(2, np.float32), "exp_avg_sq": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match=r"missing \['step'\]"):
        optimizer.load_state_dict({"state": {0: state}, "param_groups": [{"params": [0]}]})


def test_names_are_for_all_parameters_or_for_none():
    first, second = (tt.ones(2, requires_grad=True) for _ in range(2))
    with pytest.raises(ValueError, match="parameter 1 of group 0 has no name"):
        SGD([("weight", first), second])
    with pytest.raises(ValueError, match="parameter 1 of group 0 has a name"):
        SGD([first, ("weight", second)])
    with pytest.raises(ValueError, match="either all parameter groups have names"):
        SGD([{"params": [first]}, {"params": [("weight", second)]}])


@pytest.mark.parametrize("make_number", [tt.tensor, lambda v: tt.tensor([v]), np.float64])
def test_a_number_in_an_array_is_a_number(make_number):
    weight = tt.tensor([1.0], requires_grad=True)
    optimizer = SGD([weight], lr=make_number(0.25), weight_decay=make_number(2.0))
    weight.sum().backward()
    optimizer.step()
    assert weight.dtype == "float32"
    assert weight.tolist() == [0.25]  # 1 - 0.25 (1 + 2)


@pytest.mark.parametrize("kind", MAKERS)
def test_numpy_numbers_as_settings_keep_float32(kind):
    values = [value.astype(np.float32) for value in start_values(np.float64)]
    parameters, optimizer = make(kind, values)
    for group in optimizer.param_groups:
        group["lr"] = np.float64(group["lr"])
        group["weight_decay"] = np.float64(0.1)
        if "betas" in group:
            group["betas"] = tuple(map(np.float64, group["betas"]))
    for parameter in parameters:
        parameter.sum().backward()
    optimizer.step()
    assert {parameter.dtype for parameter in parameters} == {np.dtype("float32")}
    saved = optimizer.state_dict()["state"].values()
    assert {a.dtype for arrays in saved for name, a in arrays.items() if name != "step"} <= {
        np.dtype("float32")
    }


def test_a_closure_computes_the_gradients():
    weight = tt.tensor([1.0], requires_grad=True)
    optimizer = SGD([weight], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (3 * weight).sum()
        loss.backward()
        return loss

    with tt.no_grad():
        assert optimizer.step(closure).item() == 3
    assert weight.tolist() == [-0.5]
    assert optimizer.step() is None


# ---------------------------------------------------------------- state of another class


CLASSES = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "RMSprop": RMSprop, "Lion": Lion}


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("source", CLASSES)
@pytest.mark.parametrize("target", CLASSES)
def test_state_of_another_class_is_refused(source, target, steps):
    weight, other = (tt.ones(2, requires_grad=True) for _ in range(2))
    first, second = CLASSES[source]([weight], lr=0.5), CLASSES[target]([other], lr=0.25)
    for _ in range(steps):
        weight.grad = tt.ones(2)
        first.step()
    state = first.state_dict()
    assert state["optimizer"] == source
    if source == target:
        second.load_state_dict(state)
        assert second.param_groups[0]["lr"] == 0.5
        return
    with pytest.raises(ValueError, match=f"is of {source}, not of {target}: what is in it"):
        second.load_state_dict(state)
    assert second.param_groups[0]["lr"] == 0.25


def test_state_without_a_class_is_taken_where_it_fits():
    weight, other = (tt.ones(2, requires_grad=True) for _ in range(2))
    state = Adam([weight], lr=0.5).state_dict()
    del state["optimizer"]
    optimizer = Adam([other], lr=0.25)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.5


# ---------------------------------------------------------------- state that would be lost


class Rebinding(Optimizer):
    state_names = ("mean",)

    def __init__(self, params, name="mean"):
        super().__init__(params, {"lr": 0.1})
        self.name = name

    def update(self, parameter, gradient, state, settings, step):
        state[self.name] = 0.9 * state["mean"] + gradient
        parameter -= settings["lr"] * state[self.name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mean", r"put another array under state\['mean'\].*write into the one that is there"),
        ("other", r"put 'other' into the state.*name it in state_names, now \('mean',\)"),
    ],
)
def test_state_that_is_replaced_is_an_error(name, message):
    weight = tt.ones(2, requires_grad=True)
    optimizer = Rebinding([weight], name)
    weight.grad = tt.ones(2)
    with pytest.raises(RuntimeError, match=message):
        optimizer.step()
