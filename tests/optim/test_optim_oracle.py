"""Fifty steps of every optimizer beside PyTorch's, and states that go from one to the other."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.optim.trajectories import (
    CASES,
    STEPS,
    gradients,
    make_groups,
    run,
    start_values,
)
from tinytrain.optim import SGD, AdamW

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("device")]

TORCH_CASES = [(name, settings) for name, settings in CASES if name != "Lion"]  # torch has none
SECOND_GROUP = {"lr": 0.01, "weight_decay": 0.02}


def run_torch(name, settings, dtype, second_group=None, steps=STEPS):
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in start_values(dtype)]
    groups = make_groups(parameters, second_group)
    optimizer = getattr(torch.optim, name)(groups, lr=0.05, **settings)
    for step_gradients in gradients(dtype, steps):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else torch.tensor(gradient)
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize(("name", "settings"), TORCH_CASES)
def test_equals_torch(device, name, settings):
    """In float64; `test_the_formula` holds float32 against the same formulas."""
    steps = STEPS if device == "cpu" else 12
    for second_group in (None, SECOND_GROUP):
        expected, _ = run_torch(name, settings, np.float64, second_group, steps)
        found = run(name, settings, np.float64, second_group, steps)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


def to_arrays(value):
    """A nested state with arrays in place of torch's tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, dict):
        return {key: to_arrays(item) for key, item in value.items()}
    return [to_arrays(item) for item in value] if isinstance(value, list) else value


RICH_SETTINGS = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"betas": (0.8, 0.99), "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "alpha": 0.9}),
    ("Adagrad", {"initial_accumulator_value": 0.3, "lr_decay": 0.1}),
]


@pytest.mark.parametrize("second_group", [None, SECOND_GROUP])
@pytest.mark.parametrize(("name", "settings"), RICH_SETTINGS)
@pytest.mark.parametrize("stop", [0, 20])
def test_a_state_of_torch_is_continued(stop, name, settings, second_group):
    if name == "SGD" and stop:
        second_group = None  # torch's SGD does not save how often each parameter was updated
    expected, _ = run_torch(name, settings, np.float64, second_group)
    middle, optimizer = run_torch(name, settings, np.float64, second_group, steps=stop)
    state = to_arrays(optimizer.state_dict())

    parameters = [tt.tensor(value.detach().numpy(), requires_grad=True) for value in middle]
    groups = make_groups(parameters, {"lr": 9.0} if second_group else None)
    ours = getattr(tt.optim, name)(groups, lr=7.0)
    ours.load_state_dict(state)
    assert set(ours.param_groups[0]) <= set(state["param_groups"][0])
    for step, step_gradients in enumerate(gradients(np.float64)):
        if step < stop:
            continue
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        ours.step()
    for found, theirs in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(host(found), theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "settings"), RICH_SETTINGS)
def test_the_state_has_torchs_layout_and_torch_continues_it(name, settings):
    expected, theirs = run_torch(name, settings, np.float64, SECOND_GROUP, steps=30)
    _, middle = run_torch(name, settings, np.float64, SECOND_GROUP, steps=20)
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(np.float64)]
    ours = getattr(tt.optim, name)(make_groups(parameters, SECOND_GROUP), lr=0.05, **settings)
    for step_gradients in gradients(np.float64, 20):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        ours.step()
    found, layout = ours.state_dict(), to_arrays(middle.state_dict())
    assert found["state"].keys() == layout["state"].keys()
    for number, saved in layout["state"].items():
        assert found["state"][number].keys() - {"step"} == saved.keys() - {"step"}
        for key, value in saved.items():
            ours_now = found["state"][number][key]
            ours_now = ours_now if key == "step" else host(ours_now)
            np.testing.assert_allclose(ours_now, value, rtol=1e-10, atol=1e-12)
    for own, group in zip(found["param_groups"], layout["param_groups"], strict=True):
        assert own == {key: group[key] for key in own}

    values = [torch.nn.Parameter(torch.tensor(host(parameter))) for parameter in parameters]
    theirs = getattr(torch.optim, name)(make_groups(values, SECOND_GROUP), lr=0.05, **settings)
    theirs.load_state_dict(to_tensors(found))
    for step, step_gradients in enumerate(gradients(np.float64, 30)):
        if step >= 20:
            for value, gradient in zip(values, step_gradients, strict=True):
                value.grad = None if gradient is None else torch.tensor(gradient)
            theirs.step()
    for value, end in zip(values, expected, strict=True):
        np.testing.assert_allclose(value.detach(), end.detach(), rtol=1e-10, atol=1e-10)


def to_tensors(state):
    """A state of tinytrain's with torch's tensors in place of arrays and numbers of steps."""
    saved = {
        number: {
            key: torch.tensor(float(value) if key == "step" else host(value))
            for key, value in arrays.items()
        }
        for number, arrays in state["state"].items()
    }
    return {**state, "state": saved}


def test_a_state_of_another_algorithm_is_refused():
    _, theirs = run_torch("Adagrad", {"lr_decay": 0.1}, np.float64, steps=1)
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(np.float64)]
    with pytest.raises(ValueError, match=r"not of AdamW: missing .* unexpected \['sum'\]"):
        AdamW(parameters).load_state_dict(to_arrays(theirs.state_dict()))


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"momentum": -0.5}, {"weight_decay": -1.0}])
def test_what_torchs_sgd_refuses_is_refused(settings):
    parameter = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="Invalid"):
        torch.optim.SGD([parameter], **settings)
    with pytest.raises(ValueError, match=next(iter(settings))):
        SGD([tt.ones(1, requires_grad=True)], **settings)
