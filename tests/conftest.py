"""The one fixture that runs a test on every device."""

import sys
from contextlib import ExitStack
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
