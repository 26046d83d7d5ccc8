"""Every kernel gives on a device what its NumPy twin gives, and leaves the same arrays alone."""

import contextlib

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import backend
from tinytrain.kernels import cpu, cuda
from tinytrain.testing.mock import allow_float64

SHAPES = [(0, 7), (1, 1), (37, 33), (300, 7), (5, 1000)]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # relative to an array's largest value, or to 1
KEY = (2**63 + 5, 77)


def matrix(source, shape, dtype):
    return source.standard_normal(shape).astype(dtype)


def of_a_matrix(*others):
    """Arguments of a kernel that takes a matrix, and then what is given here."""
    return lambda source, shape, dtype: (matrix(source, shape, dtype), *others)


def of_a_vector(*others):
    """The same for a kernel that takes a vector."""
    return lambda source, shape, dtype: (matrix(source, shape, dtype).reshape(-1), *others)


def cross_entropy(source, shape, dtype):
    targets = source.integers(0, shape[1], shape[0])
    targets[::3] = -100
    return matrix(source, shape, dtype), targets, -100, 0.1


def layer_norm(source, shape, dtype):
    weight, bias = matrix(source, (2, shape[1]), dtype)
    return matrix(source, shape, dtype), weight, bias, 1e-5


def layer_norm_backward(source, shape, dtype):
    _, normalized, inverse_std = cpu.layer_norm(*layer_norm(source, shape, dtype))
    weight = matrix(source, shape[1:], dtype)
    return matrix(source, shape, dtype), normalized, inverse_std, weight


def scatter_add_rows(source, shape, dtype):
    ids = source.integers(0, 11, shape[0])
    return ids, matrix(source, shape, dtype), 11


def adamw(source, shape, dtype):
    parameter, gradient, first, second = matrix(source, (4, shape[0] * shape[1]), dtype)
    return parameter, gradient, first, second * second


ADAMW = {
    "learning_rate": 1e-2,
    "beta1": 0.9,
    "beta2": 0.99,
    "eps": 1e-6,
    "weight_decay": 0.1,
}

SAMPLES = {
    "adamw": [(adamw, {**ADAMW, "step": step}) for step in (1, 20)],
    "column_sums": [(of_a_matrix(), {})],
    "cross_entropy": [(cross_entropy, {})],
    "gelu_exact": [(of_a_vector(True), {}), (of_a_vector(False), {})],
    "gelu_tanh": [(of_a_vector(True), {}), (of_a_vector(False), {})],
    "keep_mask": [(of_a_matrix(p, KEY), {}) for p in (0.0, 0.3, 1.0)],
    "layer_norm": [(layer_norm, {})],
    "layer_norm_backward": [(layer_norm_backward, {})],
    "row_sums": [(of_a_matrix(), {})],
    "scatter_add_rows": [(scatter_add_rows, {})],
    "softmax_rows": [(of_a_matrix(), {})],
}
"""For each kernel, functions that draw its arguments, and keywords."""

CASES = [
    pytest.param(name, *sample, id=f"{name}-{number}")
    for name, samples in SAMPLES.items()
    for number, sample in enumerate(samples)
]


ATTENTION = {"attend", "attend_backward"}  # arrays in tuples, and written to: a test of their own


def test_every_kernel_has_a_sample():
    assert SAMPLES.keys() | ATTENTION == set(cuda.__all__)


def arrays_of(values):
    """The arrays among some values, in host memory."""
    listed = values if isinstance(values, tuple) else (values,)
    return [backend.to_host(value) for value in listed if hasattr(value, "shape")]


def run(module, name, arguments, keywords):
    """Call a kernel; return the arrays that it gave, and then those that it was given."""
    returned = getattr(module, name)(*arguments, **keywords)
    return [*arrays_of(returned), *arrays_of(arguments)]


def assert_close(found, expected, tolerance):
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind == "f":
        # Inputs are of size 1. A GPU fuses products and sums, and so differs even where 0 is right.
        largest = np.abs(expected).max(initial=1.0)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "draw", "keywords"), CASES)
def test_a_kernel_equals_its_numpy_twin(name, draw, keywords, dtype, device):
    tt.set_device(device)
    for shape in SHAPES:
        host = draw(np.random.default_rng(0), shape, dtype)
        with allow_float64() if device == "mock" else contextlib.nullcontext():
            moved = tuple(
                backend.to_device(value.copy()) if isinstance(value, np.ndarray) else value
                for value in host
            )
            found = run(cuda, name, moved, keywords)
        expected = run(cpu, name, host, keywords)
        assert len(found) == len(expected) > 1
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, TOLERANCE[dtype])


def attention(module, convert, dtype, is_causal):
    """Return the output of attention, and all gradients, that of the mask included, on the host."""
    source = np.random.default_rng(0)
    q, k, v = (convert(matrix(source, (2, 3, n, 8), dtype)) for n in (37, 45, 45))
    mask, gradient = (convert(matrix(source, (2, 3, 37, n), dtype)) for n in (45, 8))
    into = tuple(convert(np.zeros(x.shape, dtype)) for x in (q, k, v))
    out, scores = convert(np.zeros(q.shape, dtype)), convert(np.zeros(mask.shape, dtype))
    kept = module.attend((q, k, v), mask, is_causal, 0.3, out)
    module.attend_backward(gradient, (q, k, v), out, kept, 0.3, into, scores)
    return arrays_of((out, *into, scores))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_equals_its_numpy_twin(is_causal, dtype, device):
    tt.set_device(device)
    with allow_float64() if device == "mock" else contextlib.nullcontext():
        found = attention(cuda, backend.to_device, dtype, is_causal)
    expected = attention(cpu, lambda array: array, dtype, is_causal)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, TOLERANCE[dtype])
