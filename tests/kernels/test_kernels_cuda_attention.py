"""Attention's CUDA kernels, run on the CPU, against the NumPy loops that walk over blocks."""

import numpy as np
import pytest

from tinytrain.kernels import attention, cuda_attention
from tinytrain.testing import mock

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
LOW = -np.inf


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def normal(dtype, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def to_mock(value):
    return None if value is None else mock.asarray(value, dtype=value.dtype)


def run(module, convert, inputs, mask, is_causal, gradient):
    """Return output, the gradients of q, k and v, and that of the mask, as host arrays."""
    q, k, v = map(convert, inputs)
    shape = (*inputs[0].shape[:3], inputs[2].shape[-1])
    out = convert(np.empty(shape, inputs[0].dtype))
    kept = module.attend((q, k, v), convert(mask), is_causal, 0.3, out)
    into = [convert(np.zeros_like(array)) for array in inputs]
    scores = convert(np.zeros((*shape[:3], inputs[1].shape[2]), inputs[0].dtype))
    g = convert(gradient)
    module.attend_backward(g, (q, k, v), out, kept, 0.3, tuple(into), scores)
    return [x.get() if isinstance(x, mock.ndarray) else x for x in (out, *into, scores)]


def assert_twins(dtype, batch, heads, queries, keys, mask=None, is_causal=False):
    inputs = (
        normal(dtype, batch, heads, queries, 5),
        normal(dtype, batch, heads, keys, 5, seed=1),
        normal(dtype, batch, heads, keys, 3, seed=2),
    )
    gradient = normal(dtype, batch, heads, queries, 3, seed=3)
    expected = run(attention, lambda x: x, inputs, mask, is_causal, gradient)
    found = run(cuda_attention, to_mock, inputs, mask, is_causal, gradient)
    for ours, twin in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (twin.dtype, twin.shape)
        np.testing.assert_allclose(ours, twin, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    return found


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1, 1),
        (1, 2, 3, 33),
        (2, 3, 7, 7),
        pytest.param((1, 1, 5, 257), marks=pytest.mark.slow),
        (0, 2, 3, 4),
    ],
    ids=str,
)
def test_sizes(compiled, dtype, sizes, is_causal):
    assert_twins(dtype, *sizes, is_causal=is_causal)


@pytest.mark.parametrize("shape", [(1, 1, 6, 9), (2, 1, 6, 9), (1, 3, 1, 9), (2, 3, 6, 1)], ids=str)
def test_masks_that_are_repeated(compiled, dtype, shape):
    assert_twins(dtype, 2, 3, 6, 9, mask=normal(dtype, *shape, seed=7))


def test_a_mask_that_was_broadcast_before(compiled, dtype):
    q = normal(dtype, 2, 3, 4, 5)
    narrow = normal(dtype, 1, 1, 4, 4, seed=7)
    results = []
    for mask in (to_mock(narrow), mock.broadcast_to(to_mock(narrow), (2, 3, 4, 4))):
        out = to_mock(np.zeros_like(q))
        cuda_attention.attend((to_mock(q),) * 3, mask, False, 1.0, out)
        results.append(out.get())
    np.testing.assert_array_equal(*results)


def test_rows_in_which_everything_is_hidden(compiled, dtype):
    mask = np.zeros((1, 1, 3, 4), dtype)
    mask[0, 0, 1] = LOW
    mask[0, 0, 2, :3] = LOW
    out, *gradients = assert_twins(dtype, 1, 2, 3, 4, mask=mask)
    assert not out[:, :, 1].any()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_nothing_is_copied_to_or_from_the_device(compiled):
    q = to_mock(normal(np.float32, 1, 2, 3, 4))
    with mock.record() as ledger, mock.forbid_sync():
        kept = cuda_attention.attend((q, q, q), None, True, 0.5, q.copy())
        cuda_attention.attend_backward(q, (q, q, q), q, kept, 0.5, (q.copy(), q.copy(), q.copy()))
    assert (ledger.copies_to_device, ledger.copies_to_host) == (0, 0)
    assert sum(count for (_, kernel), count in ledger.launches.items() if "softmax" in kernel) == 2
