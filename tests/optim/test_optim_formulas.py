"""Every optimizer against its formula, written out in NumPy for one parameter at a time."""

import numpy as np
import pytest

from tests.optim.trajectories import (
    CASES,
    SETTINGS,
    STEPS,
    gradients,
    is_a_sign,
    run,
    start_values,
)


def by_hand(name, settings, lr=0.05, steps=STEPS):
    """The final values of all parameters; a parameter without a gradient in a step is skipped."""
    values = start_values(np.float64)
    memories = [{"t": 0} for _ in values]
    for step_gradients in gradients(np.float64, steps):
        for i, g in enumerate(step_gradients):
            if g is not None:
                memories[i]["t"] += 1
                sign = -1 if settings.get("maximize") else 1
                values[i] = STEP_OF[name](values[i], sign * g, memories[i], lr, **settings)
    return values


def sgd(p, g, memory, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, **_):
    g = g + weight_decay * p
    if momentum:
        b = memory["b"] = momentum * memory["b"] + (1 - dampening) * g if "b" in memory else g
        g = g + momentum * b if nesterov else b
    return p - lr * g


def adam(
    p, g, memory, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False,
    decoupled_weight_decay=False, **_,
):  # fmt: skip
    beta1, beta2 = betas
    if decoupled_weight_decay:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    t = memory["t"]
    m = memory["m"] = beta1 * memory.get("m", 0.0) + (1 - beta1) * g
    v = memory["v"] = beta2 * memory.get("v", 0.0) + (1 - beta2) * g**2
    if amsgrad:
        v = memory["largest"] = np.maximum(memory.get("largest", 0.0), v)
    return p - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


def adamw(p, g, memory, lr, weight_decay=1e-2, **settings):
    decoupled = {"weight_decay": weight_decay, "decoupled_weight_decay": True}
    return adam(p, g, memory, lr, **settings, **decoupled)


def rmsprop(
    p, g, memory, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, **_
):
    g = g + weight_decay * p
    v = memory["v"] = alpha * memory.get("v", 0.0) + (1 - alpha) * g**2
    mean = memory["mean"] = alpha * memory.get("mean", 0.0) + (1 - alpha) * g
    direction = g / (np.sqrt(v - mean**2 if centered else v) + eps)
    b = memory["b"] = momentum * memory.get("b", 0.0) + direction
    return p - lr * b


def adagrad(
    p, g, memory, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, **_
):
    g = g + weight_decay * p
    s = memory["s"] = memory.get("s", initial_accumulator_value) + g**2
    return p - lr / (1 + (memory["t"] - 1) * lr_decay) * g / (np.sqrt(s) + eps)


def lion(p, g, memory, lr, betas=(0.9, 0.99), weight_decay=0.0, **_):
    beta1, beta2 = betas
    m = memory.get("m", 0.0)
    memory["m"] = beta2 * m + (1 - beta2) * g
    return p - lr * (np.sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)


STEP_OF = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Lion": lion,
}


def assert_all_close(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_formula(device, name, settings):
    steps = STEPS if device == "cpu" else 12
    expected = by_hand(name, settings, steps=steps)
    assert_all_close(run(name, settings, np.float64, steps=steps), expected, 1e-11)
    if not is_a_sign(settings) and name != "Lion":
        assert_all_close(run(name, settings, np.float32, steps=steps), expected, 5e-5)


def effective(name, settings):
    """The settings without those that change nothing beside the others."""
    left = dict(settings)
    if not left.get("momentum"):
        left.pop("dampening", None)
    if name == "Adam" and not left.get("weight_decay"):
        left.pop("weight_decay", None)
        left.pop("decoupled_weight_decay", None)
    return tuple(sorted(left.items()))


def test_the_settings_matter():
    """Otherwise a test that all of them equal a formula would say little."""
    for name, many in SETTINGS.items():
        ends = [np.r_[tuple(map(np.ravel, run(name, one, np.float64)))] for one in many]
        different = {tuple(end.round(8)) for end in ends}
        assert len(different) == len({effective(name, one) for one in many}), name


@pytest.mark.usefixtures("device")
def test_groups_have_settings_of_their_own():
    alone = [
        by_hand("SGD", {"momentum": 0.9, "weight_decay": decay}, lr)
        for lr, decay in ((0.05, 0.1), (0.01, 0.0))
    ]
    second_group = {"lr": 0.01, "weight_decay": 0.0}
    found = run("SGD", {"momentum": 0.9, "weight_decay": 0.1}, np.float64, second_group)
    assert_all_close(found, alone[0][:2] + alone[1][2:], 1e-11)
