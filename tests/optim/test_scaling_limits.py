"""Where the scaling rules end, and what is no batch size."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.optim import RMSprop, linear_scaling, square_root_scaling


@pytest.mark.parametrize(("old", "new"), [(256, 2560), (1, 10), (7, 70)])
def test_a_beta_of_zero_by_rounding_is_refused(old, new):
    with pytest.raises(
        ValueError, match=r"10 times as large would need 1 - beta of 1 for beta 0.9"
    ):
        square_root_scaling(1e-3, old, new)


@pytest.mark.parametrize("rule", [linear_scaling, square_root_scaling])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((256, 0.5), "new_batch_size must be an integer, got 0.5"),
        ((True, 8), "batch_size must be a number, got True"),
        ((256.0, 512), "batch_size must be an integer, got 256.0"),
        (("8", 16), "batch_size must be a number, got '8'"),
    ],
)
def test_batch_sizes_are_integers(rule, sizes, message):
    with pytest.raises(TypeError, match=message):
        rule(0.1, *sizes)


def test_batch_sizes_of_numpy():
    assert linear_scaling(0.1, np.int64(2), np.int32(4)) == 0.2


def test_rmsprop_takes_the_settings_that_the_rule_names():
    found = square_root_scaling(1e-3, 32, 64)
    optimizer = RMSprop([tt.ones(1, requires_grad=True)], found.lr, found.betas[1], found.eps)
    assert optimizer.param_groups[0]["alpha"] == pytest.approx(0.998)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"betas": 0.9}, "betas must be two numbers, got 0.9"),
        ({"betas": ("a", 0.9)}, r"betas must be two numbers, got \('a', 0.9\)"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"eps": "x"}, "eps must be a number, got 'x'"),
        ({"eps": None}, "eps must be a number, got None"),
    ],
)
def test_settings_that_are_no_numbers(settings, message):
    with pytest.raises(TypeError, match=message):
        square_root_scaling(0.1, 1, 2, **settings)
