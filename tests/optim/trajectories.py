"""Runs of an optimizer on parameters of several shapes, some without a gradient in some steps."""

import itertools

import numpy as np

import tinytrain as tt
from tests.device_helpers import host

SHAPES = ((3, 4), (4,), (), (2, 1, 3))
STEPS = 50


def combine(**options):
    """Settings of none, one and two of the options, each with each of its values."""
    values = [[(name, value) for value in choices] for name, choices in options.items()]
    singles = [[one] for choices in values for one in choices]
    pairs = [pair for a, b in itertools.combinations(values, 2) for pair in itertools.product(a, b)]
    return [dict(chosen) for chosen in ([], *singles, *pairs)]


def possible(settings):
    """Whether SGD takes these settings: Nesterov's form needs momentum, and no dampening."""
    return not settings.get("nesterov") or (
        "momentum" in settings and not settings.get("dampening")
    )


SGD_SETTINGS = [
    {**momentum, **settings}
    for momentum in ({}, {"momentum": 0.9})
    for settings in combine(dampening=[0.3], weight_decay=[0.1], nesterov=[True], maximize=[True])
    if possible({**momentum, **settings})
]
ADAM_OPTIONS = {
    "betas": [(0.0, 0.99), (0.8, 0.0)],
    "eps": [1e-2],
    "weight_decay": [0.0, 0.2],
    "amsgrad": [True],
    "maximize": [True],
}
SETTINGS = {
    "SGD": SGD_SETTINGS,
    "Adam": combine(**ADAM_OPTIONS, decoupled_weight_decay=[True]),
    "AdamW": combine(**ADAM_OPTIONS),
    "RMSprop": [
        {"alpha": 0.9, **settings}
        for settings in combine(
            alpha=[0.0, 0.99],
            eps=[1e-2],
            weight_decay=[0.1],
            momentum=[0.9],
            centered=[True],
            maximize=[True],
        )
        if not (settings.get("alpha") == 0 and settings.get("centered"))  # 0 / 0 and its rounding
    ],
    "Adagrad": combine(
        lr_decay=[0.5],
        weight_decay=[0.1],
        initial_accumulator_value=[0.3],
        eps=[1e-2],
        maximize=[True],
    ),
    "Lion": combine(betas=[(0.0, 0.5), (0.9, 0.0)], weight_decay=[0.1], maximize=[True]),
}
CASES = [(name, settings) for name, many in SETTINGS.items() for settings in many]


def is_a_sign(settings):
    """Whether a step is g / |g|: then a rounding error near 0 becomes a step of full size."""
    return settings.get("betas", (0, 1))[1] == 0 or settings.get("alpha") == 0


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


def run(name, settings, dtype, second_group=None, steps=STEPS):
    """Run tinytrain's optimizer and return the final values."""
    optimizer_class = getattr(tt.optim, name)
    parameters = [tt.tensor(value, requires_grad=True) for value in start_values(dtype)]
    optimizer = optimizer_class(make_groups(parameters, second_group), lr=0.05, **settings)
    for step_gradients in gradients(dtype, steps):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = None if gradient is None else tt.tensor(gradient)
        optimizer.step()
    assert all(parameter.dtype == dtype for parameter in parameters)
    return [host(parameter) for parameter in parameters]
