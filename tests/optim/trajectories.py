"""Runs of an optimizer on parameters of several shapes, some without a gradient in some steps."""

import itertools

import numpy as np

import tinytrain as tt
from tests.device_helpers import host

SHAPES = ((3, 4), (4,), (), (2, 1, 3))
STEPS = 50

SGD_SETTINGS = [
    {"momentum": momentum, "dampening": dampening, "weight_decay": decay, "nesterov": nesterov}
    for momentum, dampening, decay, nesterov in itertools.product(
        (0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True)
    )
    if not nesterov or (momentum and not dampening)
]
ADAMW_SETTINGS = [
    {"betas": betas, "eps": eps, "weight_decay": decay}
    for betas, eps, decay in itertools.product(
        ((0.9, 0.999), (0.0, 0.99), (0.8, 0.0)), (1e-8, 1e-2), (0.0, 0.1)
    )
]


def start_values(dtype):
    source = np.random.default_rng(0)
    return [source.normal(size=shape).astype(dtype) for shape in SHAPES]


def gradients(dtype, steps=STEPS):
    """Per step, one array or None per parameter: each parameter misses some of the steps."""
    source = np.random.default_rng(1)
    for step in range(steps):
        drawn = [source.normal(size=shape).astype(dtype) for shape in SHAPES]
        yield [
            None if (step + position) % (3 + position) == 1 else gradient
            for position, gradient in enumerate(drawn)
        ]


def make_groups(parameters, second_group):
    """All parameters in one group, or the last two in one with settings of their own."""
    if not second_group:
        return parameters
    return [{"params": parameters[:2]}, {"params": parameters[2:], **second_group}]


def run(optimizer_class, settings, dtype, second_group=None, steps=STEPS):
    """Run tinytrain's optimizer and return the final values."""
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(dtype)]
    optimizer = optimizer_class(make_groups(parameters, second_group), lr=0.05, **settings)
    for step_gradients in gradients(dtype, steps):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        optimizer.step()
    assert all(parameter.dtype == dtype for parameter in parameters)
    return [host(parameter) for parameter in parameters]
