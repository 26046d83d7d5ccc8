"""Sums over many rows must not lose digits in float32."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.kernels import cpu


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 5000, 70_000])
def test_column_and_row_sums(rows):
    x = np.random.default_rng(rows).normal(size=(rows, 7))
    np.testing.assert_allclose(cpu.column_sums(x), x.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cpu.row_sums(x.T), x.sum(0), rtol=1e-12, atol=1e-12)


def test_a_million_equal_rows_are_counted():
    """One product with ones was off by a part in a thousand."""
    total = cpu.column_sums(np.full((1_000_000, 16), 0.1, np.float32))
    np.testing.assert_allclose(total, 100_000.0, rtol=2e-6)


def test_bias_gradient_of_many_rows_equals_that_of_the_pieces():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(65_536, n)).astype(np.float32) for n in (8, 16))
    layer = tt.nn.Linear(8, 16)

    def gradients(pieces):
        layer.zero_grad()
        for rows in np.array_split(np.arange(len(x)), pieces):
            prediction = layer(tt.from_numpy(x[rows]))
            target = tt.from_numpy(y[rows])
            tt.nn.functional.mse_loss(prediction, target, reduction="sum").backward()
        return np.concatenate([p.grad.data.ravel() for p in layer.parameters()])

    whole, split = gradients(1), gradients(16)
    assert np.linalg.norm(whole - split) <= 1e-6 * np.linalg.norm(whole)
