"""What the tests of the CUDA kernels share."""

import pytest

from tests.kernels.cuda_on_cpu import THREADS, CompiledKernels, compiler_problem
from tinytrain.backend import get_device, set_device
from tinytrain.kernels import launch
from tinytrain.testing import mock
from tinytrain.testing.mock import kernels as mock_kernels


@pytest.fixture
def on_mock(monkeypatch):
    """Make the mock GPU known, with small blocks; its kernels are their NumPy references."""
    before = get_device()
    set_device("mock")
    monkeypatch.setattr(launch, "THREADS", THREADS)
    with mock.allow_float64():
        yield mock
    mock_kernels.set_runner(None)
    set_device(before)


@pytest.fixture(scope="session")
def compiled_kernels(tmp_path_factory):
    """All kernels, compiled for the CPU once for the whole run."""
    folder = tmp_path_factory.mktemp("kernels")
    problem = compiler_problem(folder)
    if problem:
        pytest.skip(problem)
    return CompiledKernels(folder)


@pytest.fixture
def compiled(on_mock, compiled_kernels):
    """The mock GPU, running the kernels themselves."""
    compiled_kernels.started.clear()
    mock_kernels.set_runner(compiled_kernels)
    return compiled_kernels
