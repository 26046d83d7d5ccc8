"""The hot loops: equal to their plain formulas, for sizes on both sides of every block boundary."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.kernels import adamw, blocks, scatter
from tinytrain.kernels import cpu as kernels
from tinytrain.kernels.scatter import scatter_add_rows_simple
from tinytrain.kernels.special import erf

BLOCK = 64  # instead of 65536, so that small arrays cross boundaries
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for module in (blocks, adamw):
        monkeypatch.setattr(module, "BLOCK_ELEMENTS", BLOCK)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------- blocks


@given(st.integers(0, 400), st.integers(0, 200))
def test_blocks_cover_everything_once(count, row_size):
    array = np.zeros((count, row_size))
    slices = list(blocks.blocks(array, row_size))
    covered = [i for block in slices for i in range(block.start, block.stop)]
    assert covered == list(range(count))
    for block in slices:
        assert (block.stop - block.start) * row_size <= max(blocks.BLOCK_ELEMENTS, row_size)


def test_blocks_of_rows_larger_than_a_block():
    assert [b.start for b in blocks.blocks(np.zeros((3, 1000)), 1000)] == [0, 1, 2]


# ---------------------------------------------------------------- sums


def test_sums():
    x = normal(7, 5)
    np.testing.assert_allclose(kernels.column_sums(x), x.sum(0), rtol=1e-13)
    np.testing.assert_allclose(kernels.row_sums(x), x.sum(1), rtol=1e-13)
    assert kernels.column_sums(x[:0]).tolist() == [0] * 5
    assert kernels.row_sums(x.astype(np.float32)).dtype == np.float32


# ---------------------------------------------------------------- gelu


def gelu_formula(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("size", SIZES)
def test_gelu_tanh(size):
    x = normal(size) * 3
    kept = x.copy()
    y, slope = kernels.gelu_tanh(x, with_slope=True)
    np.testing.assert_allclose(y, gelu_formula(x), rtol=1e-13, atol=1e-15)
    h = 1e-6
    numeric = (gelu_formula(x + h) - gelu_formula(x - h)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(x, kept)
    same, nothing = kernels.gelu_tanh(x, with_slope=False)
    np.testing.assert_array_equal(same, y)
    assert nothing is None


def test_gelu_tanh_of_extremes_in_float32():
    x = np.array([-1e4, -20, -0.0, 20, 1e4], dtype=np.float32)
    y, slope = kernels.gelu_tanh(x, with_slope=True)
    assert y.dtype == slope.dtype == np.float32
    assert y.tolist() == [0, 0, 0, 20, 1e4]
    assert slope.tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_equals_the_c_library(dtype):
    x = np.concatenate([np.linspace(-7, 7, 1001), [0.46875, 4, -4, 1e-300, 30, -np.inf, np.inf]])
    x = x.astype(dtype)
    exact = np.array([math.erf(v) for v in x.tolist()])
    found = erf(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, exact, rtol=4 * np.finfo(dtype).eps, atol=0)
    assert np.isnan(erf(np.array([np.nan]))).all()


# ---------------------------------------------------------------- softmax


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17])  # blocks of 8 rows
def test_softmax_rows(count):
    x = normal(count, 8) * 5
    probabilities, maxima, sums = kernels.softmax_rows(x)
    expected = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    np.testing.assert_allclose(sums, expected.sum(1), rtol=1e-13)
    np.testing.assert_allclose(probabilities, expected / expected.sum(1, keepdims=True), rtol=1e-13)
    np.testing.assert_array_equal(maxima, x.max(axis=1, initial=-np.inf))


def test_softmax_rows_of_extremes():
    low, high = -np.inf, 1e300
    p, _, sums = kernels.softmax_rows(np.array([[low, low], [low, 0.0], [high, high], [-high, 0]]))
    assert p.tolist() == [[0, 0], [0, 1], [0.5, 0.5], [0, 1]]
    assert sums.tolist() == [0, 1, 2, 1]


# ---------------------------------------------------------------- layer norm


def layer_norm_formula(x, weight, bias, eps):
    unit = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)
    unit = unit if weight is None else unit * weight
    return unit if bias is None else unit + bias


AFFINE = [(True, True), (True, False), (False, True), (False, False)]


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 24, 25])  # blocks of 12 rows
@pytest.mark.parametrize(("weighted", "biased"), AFFINE)
def test_layer_norm(count, weighted, biased):
    x = normal(count, 5) * [[1, 2, 3, 4, 5]] + 7
    weight = normal(5, seed=1) if weighted else None
    bias = normal(5, seed=2) if biased else None
    y, unit, inverse_std = kernels.layer_norm(x, weight, bias, 0.1)
    np.testing.assert_allclose(y, layer_norm_formula(x, weight, bias, 0.1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(unit, layer_norm_formula(x, None, None, 0.1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(inverse_std, 1 / np.sqrt(x.var(1, keepdims=True) + 0.1), rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 25])
@pytest.mark.parametrize("weighted", [True, False])
def test_layer_norm_backward(count, weighted):
    x, g = normal(count, 5) + 3, normal(count, 5, seed=3)
    weight = normal(5, seed=1) if weighted else None
    _, unit, inverse_std = kernels.layer_norm(x, weight, None, 0.1)
    frozen = [g.copy(), unit.copy(), inverse_std.copy()]
    for array in frozen:
        array.flags.writeable = False
    dx, dweight, dbias = kernels.layer_norm_backward(*frozen, weight)
    np.testing.assert_allclose(dbias, g.sum(0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dweight, (g * unit).sum(0), rtol=1e-12, atol=1e-13)
    numeric = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        change = layer_norm_formula(up, weight, None, 0.1) - layer_norm_formula(
            down, weight, None, 0.1
        )
        numeric[i] = (g * change).sum() / 2e-5
    np.testing.assert_allclose(dx, numeric, rtol=1e-7, atol=1e-8)


def test_layer_norm_far_from_zero_in_float32():
    x = np.array([[10_000, 10_001, 10_002, 10_003]], dtype=np.float32)
    y, _, _ = kernels.layer_norm(x, None, None, 0.0)
    exact = (np.arange(4) - 1.5) / np.sqrt(1.25)
    np.testing.assert_allclose(y[0], exact, rtol=1e-5)


# ---------------------------------------------------------------- adding up rows by id


@given(st.data())
def test_scatter_add_rows_equals_its_simple_twin(data):
    count = data.draw(st.integers(1, 12))
    ids = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=30)), dtype=np.int64)
    width = data.draw(st.integers(0, 3))
    rows = normal(len(ids), width, seed=data.draw(st.integers(0, 9)))
    limit = data.draw(st.sampled_from([0, scatter.ONE_HOT_LIMIT]))  # both ways
    expected = scatter_add_rows_simple(ids, rows, count)
    before = scatter.ONE_HOT_LIMIT
    scatter.ONE_HOT_LIMIT = limit
    try:
        found = kernels.scatter_add_rows(ids, rows, count)
    finally:
        scatter.ONE_HOT_LIMIT = before
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_scatter_add_rows_of_any_integers_in_float32(monkeypatch, limit, dtype):
    monkeypatch.setattr(scatter, "ONE_HOT_LIMIT", limit)
    ids = np.array([3, 0, 0, 255, 3], dtype=dtype)
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = kernels.scatter_add_rows(ids, rows, 256)
    assert found.dtype == np.float32
    assert found[[0, 3, 255]].tolist() == [[6, 8], [8, 10], [6, 7]]
    assert found.sum() == rows.sum()


NOT_FINITE = np.array([[np.inf, 1.0], [np.nan, 2.0], [3.0, 4.0]])


def test_scatter_add_rows_by_sorting_keeps_infinities_in_their_rows(monkeypatch):
    monkeypatch.setattr(scatter, "ONE_HOT_LIMIT", 0)
    found = kernels.scatter_add_rows(np.array([0, 1, 2]), NOT_FINITE, 4)
    np.testing.assert_array_equal(found, [[np.inf, 1], [np.nan, 2], [3, 4], [0, 0]])


@pytest.mark.filterwarnings("ignore:invalid value")
def test_scatter_add_rows_by_a_product_loses_no_infinity():
    found = kernels.scatter_add_rows(np.array([0, 1, 2]), NOT_FINITE, 4)
    assert not np.isfinite(found[:2, 0]).any()
    assert found[:, 1].tolist() == [1, 2, 4, 0]


def test_scatter_add_rows_repeats_itself():
    ids = np.random.default_rng(0).integers(0, 50, 2000)
    rows = normal(2000, 16, dtype=np.float32)
    one, other = (kernels.scatter_add_rows(ids, rows, 50) for _ in range(2))
    np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- the AdamW step


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_step(size, decay):
    p, g, m = normal(size), normal(size, seed=1), normal(size, seed=2)
    v = np.abs(normal(size, seed=3))
    rate, beta1, beta2, eps, step = 0.01, 0.9, 0.99, 1e-8, 3
    expected_m = beta1 * m + (1 - beta1) * g
    expected_v = beta2 * v + (1 - beta2) * g * g
    corrected_m, corrected_v = expected_m / (1 - beta1**step), expected_v / (1 - beta2**step)
    expected = p * (1 - rate * decay) - rate * corrected_m / (np.sqrt(corrected_v) + eps)
    g.flags.writeable = False
    kernels.adamw(
        p,
        g,
        m,
        v,
        learning_rate=rate,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=decay,
        step=step,
    )
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    np.testing.assert_allclose(m, expected_m, rtol=1e-12)
    np.testing.assert_allclose(v, expected_v, rtol=1e-12)
