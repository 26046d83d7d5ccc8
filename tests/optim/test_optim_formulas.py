"""SGD and AdamW against their formulas, written out in NumPy for one parameter at a time."""

import numpy as np
import pytest

from tests.optim.trajectories import (
    ADAMW_SETTINGS,
    SGD_SETTINGS,
    STEPS,
    gradients,
    run,
    start_values,
)
from tinytrain.optim import SGD, AdamW


def sgd_by_hand(lr, momentum, dampening, weight_decay, nesterov, steps=STEPS):
    values, buffers = start_values(np.float64), {}
    for step_gradients in gradients(np.float64, steps):
        for i, gradient in enumerate(step_gradients):
            if gradient is None:
                continue
            g = gradient + weight_decay * values[i]
            if momentum:
                first = i not in buffers
                buffers[i] = g if first else momentum * buffers[i] + (1 - dampening) * g
                g = g + momentum * buffers[i] if nesterov else buffers[i]
            values[i] = values[i] - lr * g
    return values


def adamw_by_hand(lr, betas, eps, weight_decay, steps=STEPS):
    beta1, beta2 = betas
    values = start_values(np.float64)
    m, v, t = [0.0] * len(values), [0.0] * len(values), [0] * len(values)
    for step_gradients in gradients(np.float64, steps):
        for i, g in enumerate(step_gradients):
            if g is None:
                continue
            t[i] += 1
            values[i] = values[i] - lr * weight_decay * values[i]
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            m_hat, v_hat = m[i] / (1 - beta1 ** t[i]), v[i] / (1 - beta2 ** t[i])
            values[i] = values[i] - lr * m_hat / (np.sqrt(v_hat) + eps)
    return values


def assert_all_close(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("settings", SGD_SETTINGS)
def test_sgd(device, settings):
    steps = STEPS if device == "cpu" else 15
    expected = sgd_by_hand(0.05, **settings, steps=steps)
    assert_all_close(run(SGD, settings, np.float64, steps=steps), expected, 1e-11)
    assert_all_close(run(SGD, settings, np.float32, steps=steps), expected, 1e-5)


@pytest.mark.parametrize("settings", ADAMW_SETTINGS)
def test_adamw(device, settings):
    steps = STEPS if device == "cpu" else 15
    expected = adamw_by_hand(0.05, **settings, steps=steps)
    assert_all_close(run(AdamW, settings, np.float64, steps=steps), expected, 1e-11)
    if settings["betas"][1]:  # without it g / |g| turns a rounding error near 0 into a full step
        assert_all_close(run(AdamW, settings, np.float32, steps=steps), expected, 2e-5)


def test_the_settings_matter():
    """Otherwise a test that all of them equal a formula would say little."""
    for optimizer, settings in ((SGD, SGD_SETTINGS), (AdamW, ADAMW_SETTINGS)):
        ends = [np.r_[tuple(map(np.ravel, run(optimizer, one, np.float64)))] for one in settings]
        different = {tuple(end.round(6)) for end in ends}
        without_momentum = [one for one in settings if one.get("momentum") == 0]
        same = sum(one["dampening"] > 0 for one in without_momentum)  # dampening of nothing
        assert len(different) == len(settings) - same


@pytest.mark.usefixtures("device")
def test_groups_have_settings_of_their_own():
    alone = [sgd_by_hand(lr, 0.9, 0.0, decay, False) for lr, decay in ((0.05, 0.1), (0.01, 0.0))]
    second_group = {"lr": 0.01, "weight_decay": 0.0}
    found = run(SGD, {"momentum": 0.9, "weight_decay": 0.1}, np.float64, second_group)
    assert_all_close(found, alone[0][:2] + alone[1][2:], 1e-11)
