"""The scaling rules: their formulas, that they undo themselves, and what they claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.optim import linear_scaling, square_root_scaling

SIZES = st.integers(1, 10**6)


@given(st.floats(1e-6, 10), SIZES, SIZES)
def test_linear(lr, batch, new_batch):
    scaled = linear_scaling(lr, batch, new_batch)
    assert scaled / lr == pytest.approx(new_batch / batch)
    assert linear_scaling(scaled, new_batch, batch) == pytest.approx(lr)


@given(st.floats(1e-6, 10), st.integers(64, 10**6), st.floats(0.1, 9))
def test_square_root(lr, batch, ratio):
    new_batch = max(1, round(batch * ratio))
    k = new_batch / batch
    scaled = square_root_scaling(lr, batch, new_batch, betas=(0.9, 0.99), eps=1e-6)
    assert scaled.lr**2 == pytest.approx(k * lr**2)
    assert [1 - beta for beta in scaled.betas] == pytest.approx([0.1 * k, 0.01 * k])
    assert scaled.eps == pytest.approx(1e-6 / math.sqrt(k))
    back = square_root_scaling(scaled.lr, new_batch, batch, scaled.betas, scaled.eps)
    assert back.lr == pytest.approx(lr)
    assert back.betas == pytest.approx((0.9, 0.99))
    assert back.eps == pytest.approx(1e-6)


def test_linear_scaling_goes_the_same_way_where_the_gradient_is_constant():
    source = np.random.default_rng(0)
    gradients = source.normal(size=(32, 5))  # of 32 items, the same wherever the parameters are
    small = sum(0.1 * gradients[i : i + 4].mean(axis=0) for i in range(0, 32, 4))
    large = linear_scaling(0.1, 4, 32) * gradients.mean(axis=0)
    np.testing.assert_allclose(small, large, rtol=1e-12)


def spread(lr, betas, eps, batch, items=4096, runs=400):
    """How far Adam walks on pure noise: the standard deviation of its end after so many items."""
    source = np.random.default_rng(0)
    p, m, v = np.zeros(runs), np.zeros(runs), np.full(runs, 1 / batch)
    for _ in range(items // batch):
        g = source.normal(size=runs) / math.sqrt(batch)  # a mean of `batch` items with variance 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p -= lr * m / (np.sqrt(v) + eps)
    return p.std()


def test_square_root_scaling_keeps_the_noise_of_adam():
    before = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 0.1}
    after = square_root_scaling(1e-3, 1, 4, before["betas"], before["eps"])
    same = spread(**before, batch=1)
    assert spread(**after._asdict(), batch=4) == pytest.approx(same, rel=0.15)
    linear = after._replace(lr=linear_scaling(1e-3, 1, 4))
    assert spread(**linear._asdict(), batch=4) > 1.6 * same  # what the rule for SGD would give


@pytest.mark.parametrize("rule", [linear_scaling, square_root_scaling])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1, 2), "lr must be above 0"),
        ((0.1, 0, 2), "batch_size must be above 0, got 0"),
        ((0.1, 1, -2), "new_batch_size must be above 0, got -2"),
        ((math.nan, 1, 2), "lr must be above 0, got nan"),
    ],
)
def test_numbers_that_make_no_sense(rule, arguments, message):
    with pytest.raises(ValueError, match=message):
        rule(*arguments)


def test_betas_have_an_end():
    end = "11 times as large would need 1 - beta of 1.1 for beta 0.9.* grow less than 10 times"
    with pytest.raises(ValueError, match=end):
        square_root_scaling(0.1, 10, 110)
    with pytest.raises(ValueError, match=r"1 - beta of 1 for beta 0\.75"):
        square_root_scaling(0.1, 1, 4, betas=(0.9, 0.75))
    assert square_root_scaling(0.1, 1, 4, betas=(0.8, 0.99)).betas == pytest.approx((0.2, 0.96))


def test_the_same_batch_changes_nothing():
    assert square_root_scaling(0.1, 3, 3, betas=(0.0, 0.9), eps=0.0) == (0.1, (0.0, 0.9), 0.0)


@pytest.mark.parametrize("beta", [1.0, -0.1, math.nan])
def test_betas_and_eps_in_their_ranges(beta):
    for betas in [(beta, 0.9), (0.9, beta)]:
        with pytest.raises(ValueError, match="betas must lie from 0 to below 1, got"):
            square_root_scaling(0.1, 2, 4, betas=betas)
    with pytest.raises(ValueError, match="eps must be 0 or above, got -1"):
        square_root_scaling(0.1, 2, 4, eps=-1.0)
