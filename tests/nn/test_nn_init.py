"""Initial values: their ranges, moments and seeds."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn
from tinytrain.nn import init

pytestmark = pytest.mark.usefixtures("device")


def test_uniform_fills_its_range_evenly():
    values = host(init.uniform_(tt.zeros(200, 100), -2.0, 3.0, tt.Generator(0)))
    assert -2 <= values.min() < -1.99
    assert 2.99 < values.max() <= 3
    assert abs(values.mean() - 0.5) < 0.05
    assert abs(values.std() - 5 / math.sqrt(12)) < 0.03


def test_normal_has_its_moments():
    values = host(init.normal_(tt.zeros(200, 100), 3.0, 0.5, tt.Generator(0)))
    assert abs(values.mean() - 3) < 0.02
    assert abs(values.std() - 0.5) < 0.01


@pytest.mark.parametrize("shape", [(50, 16), (50, 4, 4)])
@pytest.mark.parametrize("a", [0.0, 1.0, math.sqrt(5)])
def test_kaiming_bounds_by_the_fan_in(shape, a):
    values = host(init.kaiming_uniform_(tt.zeros(*shape), a, tt.Generator(0)))
    bound = math.sqrt(6 / ((1 + a * a) * 16))
    assert 0.98 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


def test_values_go_into_the_array_that_is_there_in_its_dtype():
    for fill in (
        init.uniform_,
        init.normal_,
        init.kaiming_uniform_,
        lambda tensor: init.constant_(tensor, 0.5),
    ):
        for dtype in ("float32", "float64"):
            tensor = tt.zeros(3, 4, dtype=dtype)
            array = tensor.data
            assert fill(tensor) is tensor
            assert tensor.data is array
            assert array.dtype == dtype
            assert np.all(host(tensor) != 0)
            assert tensor.is_leaf


def test_a_seed_gives_the_same_numbers_in_every_dtype():
    wide = host(init.normal_(tt.zeros(5, dtype="float64"), generator=tt.Generator(3)))
    narrow = host(init.normal_(tt.zeros(5), generator=tt.Generator(3)))
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))


def test_the_default_generator_makes_models_repeatable():
    def build():
        tt.manual_seed(5)
        return nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 2), nn.MultiheadAttention(4, 2))

    for one, other in zip(build().parameters(), build().parameters(), strict=True):
        np.testing.assert_array_equal(host(one), host(other))


def test_integers_and_vectors_are_refused():
    for fill in (init.uniform_, init.normal_, lambda tensor: init.constant_(tensor, 1)):
        with pytest.raises(TypeError, match="floating-point tensor, got int64"):
            fill(tt.zeros(3, dtype="int64"))
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
        init.kaiming_uniform_(tt.zeros(3))


def test_layers_start_in_pytorchs_ranges():
    tt.manual_seed(0)
    linear = nn.Linear(64, 300)
    for values in (host(linear.weight), host(linear.bias)):
        assert 0.97 / 8 < np.abs(values).max() <= 1 / 8
        assert abs(values.std() - 1 / 8 / math.sqrt(3)) < 0.005
    embedding = host(nn.Embedding(300, 64).weight)
    assert abs(embedding.mean()) < 0.02
    assert abs(embedding.std() - 1) < 0.02
    attention = nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / (64 + 3 * 64))
    assert 0.97 * bound < np.abs(host(attention.in_proj_weight)).max() <= bound
    assert not host(attention.in_proj_bias).any()
    assert not host(attention.out_proj.bias).any()
    assert 0.97 / 8 < np.abs(host(attention.out_proj.weight)).max() <= 1 / 8
    for layer in (nn.LayerNorm(64), nn.BatchNorm1d(64)):
        assert (host(layer.weight) == 1).all()
        assert (host(layer.bias) == 0).all()


def test_all_parameters_start_in_float32():
    model = nn.Sequential(
        nn.Linear(2, 2),
        nn.Embedding(2, 2),
        nn.LayerNorm(2),
        nn.BatchNorm1d(2),
        nn.MultiheadAttention(2, 1),
        nn.CausalSelfAttention(2, 1),
    )
    assert {str(p.dtype) for p in model.parameters()} == {"float32"}
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
