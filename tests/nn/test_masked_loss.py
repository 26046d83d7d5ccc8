"""Masked losses: padding counts for nothing, whatever stands there."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

MASK = np.array([[True, True, False], [True, False, False]])


def losses_of(features=()):
    values = np.random.default_rng(0).random((2, 3, *features)) + 1
    return values, tt.tensor(values, requires_grad=True)


@pytest.mark.parametrize("features", [(), (4,), (2, 3)])
def test_sum_mean_and_their_gradients(features):
    values, losses = losses_of(features)
    mask = tt.tensor(MASK)
    chosen = np.zeros((2, 3, *features))
    chosen[MASK] = 1
    total = F.masked_sum(losses, mask)
    total.backward()
    np.testing.assert_allclose(total.item(), values[MASK].sum(), rtol=1e-14)
    np.testing.assert_array_equal(host(losses.grad), chosen)
    losses.grad = None
    mean = F.masked_mean(losses, mask)
    mean.backward()
    np.testing.assert_allclose(mean.item(), values[MASK].mean(), rtol=1e-14)
    np.testing.assert_allclose(host(losses.grad), chosen / chosen.sum(), rtol=1e-14)
    assert mean.dtype == total.dtype == np.float64


def test_the_mean_equals_its_simple_twin():
    _, losses = losses_of((4,))
    mask = tt.tensor(MASK)
    if tt.get_device() == "cpu":  # picking entries out needs their number, which a GPU has to tell
        simple = F.masked_mean_simple(losses, mask).item()
        assert F.masked_mean(losses, mask).item() == pytest.approx(simple, rel=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_stands_at_padding_does_not_matter(bad):
    values, _ = losses_of()
    values[~MASK] = bad
    losses = tt.tensor(values, requires_grad=True)
    total = F.masked_sum(losses, tt.tensor(MASK))
    total.backward()
    assert total.item() == pytest.approx(values[MASK].sum(), rel=1e-14)
    assert (host(losses.grad) == MASK).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_without_real_entries():
    _, losses = losses_of()
    nothing = tt.tensor(np.zeros((2, 3), bool))
    assert F.masked_sum(losses, nothing).item() == 0
    assert np.isnan(F.masked_mean(losses, nothing).item())


def test_arguments_are_checked():
    losses = tt.ones(2, 3)
    with pytest.raises(TypeError, match="needs a boolean mask, got int64: use mask != 0"):
        F.masked_sum(losses, tt.tensor([[1, 1, 0], [1, 0, 0]]))
    with pytest.raises(TypeError, match="needs floating-point losses, got int64"):
        F.masked_sum(tt.tensor([[1, 2, 3]]), tt.tensor([[True, True, False]]))
    for shape in [(2, 1), (3, 2), (2, 3, 1), (3,)]:
        with pytest.raises(ValueError, match=r"losses \(2, 3\) with a mask"):
            F.masked_sum(losses, tt.ones(*shape) > 0)
    with pytest.raises(TypeError, match="masked_sum: mask must be a tensor, got a bare ndarray"):
        F.masked_sum(losses, MASK)
