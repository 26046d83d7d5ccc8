"""Moments without gradients must not end as denormal numbers, which are slow for ever."""

import numpy as np
import pytest

from tinytrain.kernels import cpu


def denormals(array):
    return int(((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)).sum())


@pytest.mark.parametrize("beta1", [0.6, 0.9, 0.95])
def test_moments_of_dead_units_reach_zero_without_passing_through_denormals(beta1):
    rng = np.random.default_rng(0)
    parameter, gradient = rng.normal(size=(2, 300)).astype(np.float32)
    first, second = np.zeros((2, 300), np.float32)
    settings = {"learning_rate": 1e-3, "beta1": beta1, "beta2": 0.9, "eps": 1e-8}
    settings["weight_decay"] = 0.0
    cpu.adamw(parameter, gradient, first, second, step=1, **settings)
    gradient[:150] = 0  # half of the units die
    for step in range(2, 3000):
        cpu.adamw(parameter, gradient, first, second, step=step, **settings)
        assert denormals(first) == denormals(second) == 0
    assert not first[:150].any()
    np.testing.assert_allclose(first[150:], gradient[150:], rtol=1e-5)


def test_without_the_flush_they_would_be_denormal():
    """The control: plain decay in float32 gets stuck above zero."""
    moment = np.full(4, 1e-3, np.float32)
    for _ in range(3000):
        moment *= np.float32(0.9)
    assert denormals(moment) == 4
