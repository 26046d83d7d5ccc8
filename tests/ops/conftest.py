"""The tests of this folder share one table of samples, in modules that stand beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

DEFAULT_SHARE = 4
"""Of the tests that repeat a check on the mock GPU, one in so many belongs to the default run."""

REPEATED_ON_DEVICES = (
    "test_what_holds_for_every_differentiable_operation",
    "test_what_holds_for_every_operation",
    "test_float32_stays_float32",
    "test_gradcheck_objects_to_a_fault_of_one_percent",
    "test_gradcheck_runs_on_the_device",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave most repetitions on the mock GPU to the slow run: its own tests take every sample."""
    repeated = [
        item
        for item in items
        if item.name.partition("[")[0] in REPEATED_ON_DEVICES and "mock" in item.name
    ]
    for number, item in enumerate(repeated):
        if number % DEFAULT_SHARE:
            item.add_marker(pytest.mark.slow)
