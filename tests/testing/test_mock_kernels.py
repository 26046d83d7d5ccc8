"""The mock GPU's kernels: references in place of CUDA C, counted, and replaceable."""

import numpy as np
import pytest

from tinytrain.backend import get_device, set_device
from tinytrain.kernels import cpu, cuda
from tinytrain.testing import mock
from tinytrain.testing.mock.kernels import REFERENCES, RawModule, set_runner

X = np.linspace(-3, 3, 12).astype(np.float32).reshape(4, 3)


@pytest.fixture(autouse=True)
def _mock_device():
    before = get_device()
    set_device("mock")
    yield
    set_runner(None)
    set_device(before)


def on_both(name, *arguments, **settings):
    """Return what the CPU's function and the mock GPU's return, flattened."""
    device = [mock.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    found = getattr(cuda, name)(*device, **settings)
    expected = getattr(cpu, name)(*arguments, **settings)
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    return [a.get() for a in found if a is not None], [a for a in expected if a is not None]


CALLS = {
    "gelu_tanh": (X.reshape(-1), True),
    "gelu_exact": (X.reshape(-1), False),
    "softmax_rows": (X,),
    "cross_entropy": (X, np.array([0, 2, -100, 1]), -100, 0.1),
    "layer_norm": (X, X[0], X[1], 0.1),
    "layer_norm_backward": (X, X, X[:, :1].copy(), None),
    "scatter_add_rows": (np.array([2, 0, 2, 2]), X, 3),
    "keep_mask": (X, 0.3, (5, 6)),
    "column_sums": (X,),
    "row_sums": (X,),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_computes_what_the_cpu_computes(name):
    found, expected = on_both(name, *CALLS[name])
    for ours, twin in zip(found, expected, strict=True):
        assert ours.dtype == twin.dtype
        np.testing.assert_allclose(ours, twin, rtol=1e-6, atol=1e-6)


def test_the_adamw_step():
    settings = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1}
    here = [np.abs(X.reshape(-1)) + i for i in range(4)]
    there = [mock.asarray(array) for array in here]
    cpu.adamw(*here, step=20, **settings)
    cuda.adamw(*there, step=20, **settings)
    for ours, twin in zip(there, here, strict=True):
        np.testing.assert_allclose(ours.get(), twin, rtol=1e-6)


LAUNCHES = {
    "gelu_tanh": {"gelu_tanh": 1},
    "cross_entropy": {"cross_entropy": 1},
    "layer_norm": {"layer_norm": 1},
    "layer_norm_backward": {"layer_norm_backward": 1, "layer_norm_columns": 1, "sum": 1},
    "scatter_add_rows": {"zeros": 1, "argsort": 1, "take": 1, "scatter_add_rows": 1},
    "keep_mask": {"keep_mask": 1},
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_are_counted_and_nothing_waits_or_copies(name):
    device = [mock.asarray(a) if isinstance(a, np.ndarray) else a for a in CALLS[name]]
    with mock.record() as ledger, mock.forbid_sync():
        getattr(cuda, name)(*device)
    found = {}
    for (_, kernel), count in ledger.launches.items():
        found[kernel] = found.get(kernel, 0) + count
    assert found == LAUNCHES[name]
    assert not ledger.waits
    assert ledger.copies_to_device == ledger.copies_to_host == 0


def test_a_runner_replaces_the_references():
    seen = []
    set_runner(lambda *call: seen.append(call))
    cuda.softmax_rows(mock.asarray(X))
    ((code, kernel, blocks, threads, arguments),) = seen
    assert "void softmax_rows(" in code
    assert (kernel, blocks, threads) == ("softmax_rows", 4, 256)
    np.testing.assert_array_equal(arguments[0], X)
    assert arguments[-1] == 3
    set_runner(None)
    found, expected = on_both("softmax_rows", X)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    assert len(seen) == 1


def test_kernels_that_do_not_exist():
    module = RawModule('extern "C" __global__ void unheard_of(int n) {}', options=("--std=c++17",))
    with pytest.raises(NotImplementedError, match="no reference for the kernel 'unheard_of'"):
        module.get_function("unheard_of")
    with pytest.raises(KeyError, match="declares no kernel 'gelu_tanh'"):
        module.get_function("gelu_tanh")
    assert "unheard_of" not in REFERENCES
