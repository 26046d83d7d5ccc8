"""The CUDA kernels, run on the CPU: equal to their NumPy twins at odd sizes."""

import numpy as np
import pytest

from tinytrain.kernels import cpu, cuda, philox
from tinytrain.testing import mock

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
WIDTHS = [1, 31, 33, 257, 1000]


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def normal(dtype, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def to_mock(value):
    return mock.asarray(value, dtype=value.dtype) if isinstance(value, np.ndarray) else value


def to_host(value):
    return value.get() if isinstance(value, mock.ndarray) else value


def assert_twins(name, *arguments, dtype, **settings):
    """Run a function on the CPU and on the device, and compare all that it returns or changes."""
    kept = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
    on_device = [to_mock(value) for value in kept]
    found = getattr(cuda, name)(*on_device, **settings)
    expected = getattr(cpu, name)(*kept, **settings)
    together = lambda results: results if isinstance(results, tuple) else (results,)  # noqa: E731
    for ours, twin in zip(
        (*together(found), *on_device), (*together(expected), *kept), strict=True
    ):
        ours = to_host(ours)
        if twin is None:
            assert ours is None
        elif isinstance(twin, np.ndarray):
            assert (ours.dtype, ours.shape) == (twin.dtype, twin.shape)
            tolerance = TOLERANCE[dtype]
            np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)
    return tuple(to_host(result) for result in together(found))


@pytest.mark.parametrize("with_slope", [True, False])
@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_exact"])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 257])
def test_gelu(compiled, dtype, name, size, with_slope):
    assert_twins(name, normal(dtype, size) * 3, with_slope, dtype=dtype)
    assert [kernel for _, kernel in compiled.started] == [name] * bool(size)


@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_exact"])
def test_gelu_of_extremes(compiled, dtype, name):
    x = np.array([-1e4, -20, -0.0, 20, 1e4, np.nan], dtype)
    y, _ = assert_twins(name, x, True, dtype=dtype)
    assert np.isnan(y[-1])


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("width", WIDTHS)
def test_softmax_rows(compiled, dtype, rows, width):
    assert_twins("softmax_rows", normal(dtype, rows, width) * 5, dtype=dtype)


LOW = -np.inf


def test_softmax_rows_of_extremes(compiled, dtype):
    x = np.array([[LOW, LOW], [LOW, 0], [3e38, 3e38], [np.nan, 0], [0, np.nan], [np.inf, 0]], dtype)
    p, maxima, sums = assert_twins("softmax_rows", x, dtype=dtype)
    assert p[:3].tolist() == [[0, 0], [0, 1], [0.5, 0.5]]
    assert sums[:3].tolist() == [0, 1, 2]
    assert np.isnan(maxima[3:5]).all()
    assert np.isnan(p[3:]).all()


IGNORED = -100


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("rows", [0, 1, 9])
@pytest.mark.parametrize("width", WIDTHS)
def test_cross_entropy(compiled, dtype, rows, width, smoothing):
    targets = np.random.default_rng(1).integers(0, width, rows)
    targets[4:6] = IGNORED
    logits = normal(dtype, rows, width) * 3
    assert_twins("cross_entropy", logits, targets, IGNORED, smoothing, dtype=dtype)


@pytest.mark.parametrize("targets_dtype", [np.uint8, np.int16, np.int32])
def test_cross_entropy_with_targets_of_any_integers(compiled, targets_dtype):
    targets = np.array([0, 2, 1], targets_dtype)
    logits = normal(np.float32, 3, 3)
    assert_twins("cross_entropy", logits, targets, 2, 0.0, dtype=np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_extremes(compiled, dtype, smoothing):
    logits = np.array([[LOW, LOW], [LOW, 0], [0, LOW], [np.nan, 0], [1e38, -1e38]], dtype)
    targets = np.array([0, 1, 1, 0, 1])
    losses, _ = assert_twins("cross_entropy", logits, targets, IGNORED, smoothing, dtype=dtype)
    assert np.isnan(losses[[0, 3]]).all()
    assert losses[2] == np.inf


def test_cross_entropy_of_ignored_rows_is_zero_whatever_the_logits(compiled, dtype):
    logits = np.array([[np.nan, 0], [LOW, LOW], [np.inf, 1]], dtype)
    targets = np.full(3, IGNORED)
    losses, slope = assert_twins("cross_entropy", logits, targets, IGNORED, 0.1, dtype=dtype)
    assert not losses.any()
    assert not slope.any()


def test_cross_entropy_marks_targets_that_do_not_exist(compiled, dtype):
    targets = np.array([0, 3, -1, 2, -100, 2**40])
    losses, slope = assert_twins(
        "cross_entropy", normal(dtype, 6, 3), targets, IGNORED, 0.0, dtype=dtype
    )
    assert np.isnan(losses).tolist() == [False, True, True, False, False, True]
    assert np.isnan(slope).all(axis=1).tolist() == np.isnan(losses).tolist()


AFFINE = [(True, True), (True, False), (False, True), (False, False)]


@pytest.mark.parametrize(("weighted", "biased"), AFFINE)
@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("width", WIDTHS)
def test_layer_norm(compiled, dtype, rows, width, weighted, biased):
    x = normal(dtype, rows, width) + 2
    weight = normal(dtype, width, seed=1) if weighted else None
    bias = normal(dtype, width, seed=2) if biased else None
    assert_twins("layer_norm", x, weight, bias, 0.01, dtype=dtype)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("rows", "width"), [(0, 3), (1, 1), (3, 31), (63, 9), (64, 1), (130, 17)])
def test_layer_norm_backward(compiled, dtype, rows, width, weighted):
    gradient, x = normal(dtype, rows, width), normal(dtype, rows, width, seed=1)
    weight = normal(dtype, width, seed=2) if weighted else None
    _, unit, inverse_std = cpu.layer_norm(x, None, None, 0.01)
    assert_twins("layer_norm_backward", gradient, unit, inverse_std, weight, dtype=dtype)


def test_views_with_gaps_are_copied_first(compiled, on_mock):
    x = normal(np.float32, 6, 10)
    wide = to_mock(x)
    y, _, _ = cuda.layer_norm(wide[:, ::2], None, None, 0.01)
    np.testing.assert_allclose(
        y.get(), cpu.layer_norm(x[:, ::2], None, None, 0.01)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("size", [0, 1, 8, 31, 1000])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("step", [1, 20])
def test_adamw(compiled, dtype, size, decay, step):
    p, g, m, v = (normal(dtype, size, seed=seed) for seed in range(4))
    m[:3], v[1:4] = 1e-37, 0.0  # in float32 nearly denormal
    settings = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    settings |= {"weight_decay": decay, "step": step}
    g[:3] = 0
    assert_twins("adamw", p, g, m, np.abs(v), dtype=dtype, **settings)
    assert len(compiled.started) == bool(size)


def test_adamw_cuts_off_what_is_nearly_denormal_and_keeps_nan(compiled):
    p, g, v = np.zeros((3, 3), np.float32)
    m = np.array([1e-37, np.nan, 1e-20], np.float32)
    arrays = [to_mock(array) for array in (p, g, m, v)]
    settings = {"learning_rate": 0.0, "beta1": 0.9, "beta2": 0.9, "eps": 1.0, "weight_decay": 0.0}
    cuda.adamw(*arrays, step=19, **settings)
    assert (arrays[2].get()[[0, 2]] > 0).all()
    cuda.adamw(*arrays, step=20, **settings)
    moment = arrays[2].get()
    assert moment[0] == 0
    assert np.isnan(moment[1])
    assert moment[2] > 0


@pytest.mark.parametrize(
    "ids",
    [[], [4], [3] * 20, [0, 4, 0, 4, 1], list(range(5)) * 50, [2, 2, 1, 1, 0]],
    ids=["none", "one", "one id", "repeated", "many", "falling"],
)
@pytest.mark.parametrize("width", [1, 8, 33])
@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_scatter_add_rows(compiled, dtype, ids, width, ids_dtype):
    ids = np.array(ids, ids_dtype)
    assert_twins("scatter_add_rows", ids, normal(dtype, len(ids), width), 5, dtype=dtype)


def test_scatter_add_rows_writes_nowhere_for_an_id_that_does_not_exist(compiled):
    rows = to_mock(np.ones((3, 2), np.float32))
    found = cuda.scatter_add_rows(to_mock(np.array([-1, 1, 2])), rows, 2)
    assert found.get().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (8,), (9,), (13, 5), (257,)])
@pytest.mark.parametrize("probability", [0.0, 1e-12, 0.1, 0.5, 1.0])
def test_keep_mask_is_the_same_bit_for_bit(compiled, shape, probability):
    like = np.zeros(shape, np.float32)
    for key in [(0, 0), (2**64 - 1, 2**63 + 5), (12345, 1)]:
        found = cuda.keep_mask(to_mock(like), probability, key).get()
        np.testing.assert_array_equal(found, philox.keep_mask(like, probability, key))
        assert found.shape == shape


def test_sums(on_mock, dtype):
    for rows in (0, 1, 300):
        assert_twins("column_sums", normal(dtype, rows, 7), dtype=dtype)
        assert_twins("row_sums", normal(dtype, rows, 7), dtype=dtype)
