"""The one fixture that runs a test on every device."""

import gc
import sys
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import pytest

import tinytrain as tt
from tinytrain import backend
from tinytrain.testing import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

DEVICES = ["cpu", "mock"]
if backend.cuda_problem() is None:
    DEVICES.append(pytest.param("cuda", marks=pytest.mark.gpu))


@pytest.fixture(params=DEVICES)
def device(request):
    """Choose a device for the test: the CPU, the mock GPU, and a real one where there is one.

    Tensors come from `tt.tensor`, `tt.from_numpy` and the like, and are read through the host.
    float64, in which formulas are checked, is allowed on the mock.
    """
    name = request.param
    with ExitStack() as stack:
        if name == "mock":
            stack.enter_context(mock.allow_float64())
        tt.set_device(name)
        stack.callback(tt.set_device, "cpu")
        yield name


# ---------------------------------------------------------------- what the default run leaves out

DEFAULT_SHARE = 4
"""Of the tests that repeat a check on the mock GPU, one in so many belongs to the default run."""

REPEATED_ON_DEVICES = (
    "benchmarks/*",
    "functions/test_contraction.py::*",
    "lessons/*",
    "models/*",
    "nn/functional/*",
    "nn/test_*_oracle.py::*",
    "nn/test_pooling.py::*",
    "ops/test_ops_samples.py::*",
    "optim/*_oracle.py::*",
    "optim/test_clip.py::*",
    "optim/test_optim_*.py::*",
    "test_autograd_graphs.py::*",
    "train/test_accumulation.py::*",
    "train/test_evaluation.py::*",
    "train/test_resume.py::*",
    "train/test_trainer*.py::*",
)
"""The CPU takes every case of these; operations, layers and steps have tests of their own there:
tests/ops/test_ops_devices.py, nn/test_layers_on_gpu.py, train/test_device_*.py and tests/gpu.
"""


def _is_repeated(item):
    name = item.nodeid.partition("tests/")[2].partition("[")[0]
    return "mock" in item.name and any(fnmatch(name, pattern) for pattern in REPEATED_ON_DEVICES)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave most repetitions on the mock GPU to the slow run."""
    for number, item in enumerate(filter(_is_repeated, items)):
        if number % DEFAULT_SHARE:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Spare the tests what would only cost them time.

    A garbage collection would look at all that was collected, thousands of test items; and on
    arrays as small as the tests', PyTorch's threads wait for each other.
    """
    gc.collect()
    gc.freeze()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
