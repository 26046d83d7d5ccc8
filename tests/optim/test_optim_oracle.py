"""Fifty steps of SGD and AdamW beside PyTorch's."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.optim.trajectories import (
    ADAMW_SETTINGS,
    SGD_SETTINGS,
    STEPS,
    gradients,
    make_groups,
    run,
    start_values,
)
from tinytrain.optim import SGD, AdamW

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("device")]

CASES = [("SGD", settings) for settings in SGD_SETTINGS]
CASES += [("AdamW", settings) for settings in ADAMW_SETTINGS]
OURS = {"SGD": SGD, "AdamW": AdamW}
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


@pytest.mark.parametrize("second_group", [None, SECOND_GROUP])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_equals_torch(device, name, settings, second_group):
    steps = STEPS if device == "cpu" else 12
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-5)):
        if dtype == np.float32 and settings.get("betas", (0, 1))[1] == 0:
            continue  # g / |g|: a rounding error near 0 becomes a step of full size
        expected, _ = run_torch(name, settings, dtype, second_group, steps)
        found = run(OURS[name], settings, dtype, second_group, steps)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(
                ours, theirs.detach().numpy(), rtol=tolerance, atol=tolerance
            )


def to_arrays(value):
    """A nested state with arrays in place of torch's tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, dict):
        return {key: to_arrays(item) for key, item in value.items()}
    return [to_arrays(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("second_group", [None, SECOND_GROUP])
def test_a_state_of_torch_is_continued(second_group):
    settings = {"betas": (0.8, 0.99), "weight_decay": 0.1}
    expected, _ = run_torch("AdamW", settings, np.float64, second_group)
    middle, optimizer = run_torch("AdamW", settings, np.float64, second_group, steps=20)
    state = to_arrays(optimizer.state_dict())

    parameters = [tt.tensor(value.detach().numpy(), requires_grad=True) for value in middle]
    ours = AdamW(make_groups(parameters, {"lr": 9.0} if second_group else None), lr=7.0)
    ours.load_state_dict(state)
    assert set(ours.param_groups[0]) == {"params", "lr", "betas", "eps", "weight_decay"}
    for step, step_gradients in enumerate(gradients(np.float64)):
        if step < 20:
            continue
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        ours.step()
    for found, theirs in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(host(found), theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


def test_the_state_has_torchs_layout():
    _, theirs = run_torch("AdamW", {}, np.float64, SECOND_GROUP, steps=3)
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(np.float64)]
    ours = AdamW(make_groups(parameters, SECOND_GROUP), lr=0.05)
    for step_gradients in gradients(np.float64, 3):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        ours.step()
    found, expected = ours.state_dict(), to_arrays(theirs.state_dict())
    assert found["state"].keys() == expected["state"].keys()
    for number, saved in expected["state"].items():
        assert found["state"][number].keys() == saved.keys()
        for name, value in saved.items():
            ours_now = found["state"][number][name]
            ours_now = ours_now if name == "step" else host(ours_now)
            np.testing.assert_allclose(ours_now, value, rtol=1e-12)
    for own, group in zip(found["param_groups"], expected["param_groups"], strict=True):
        assert own == {name: group[name] for name in own}


@pytest.mark.parametrize("name", ["amsgrad", "maximize"])
def test_a_state_of_another_algorithm_is_refused(name):
    _, theirs = run_torch("AdamW", {name: True}, np.float64, steps=1)
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(np.float64)]
    with pytest.raises(ValueError, match=name):
        AdamW(parameters).load_state_dict(to_arrays(theirs.state_dict()))


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"momentum": -0.5}, {"weight_decay": -1.0}])
def test_what_torchs_sgd_refuses_is_refused(settings):
    parameter = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="Invalid"):
        torch.optim.SGD([parameter], **settings)
    with pytest.raises(ValueError, match=next(iter(settings))):
        SGD([tt.ones(1, requires_grad=True)], **settings)
