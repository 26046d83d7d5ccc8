"""A mock GPU: the array library of the device ``"mock"``, for machines that have no GPU.

It stands where CuPy stands, computes with NumPy, and is as strict as CuPy where CuPy differs from
NumPy: no implicit conversion to host arrays, no mixing with them, results without axes stay on the
device, and only the functions and arguments that CuPy has. Where CuPy is silently wrong it raises:
an index out of range, a repeated index in an assignment, a float64 array that nobody asked for.
And it counts what a GPU would be asked to do; see `record` and `forbid_sync`.

What it cannot show is whether a GPU's own kernels compute right, and how fast.

Examples
--------
>>> import tinytrain as tt
>>> from tinytrain.testing import mock
>>> _ = tt.set_device("mock")
>>> x = tt.ones(2, 3)
>>> with mock.record() as ledger:
...     y = (x @ x.T).sum()
>>> sorted(ledger.launches)
[('Matmul.forward', 'matmul'), ('Sum.forward', 'sum')]
>>> with mock.forbid_sync():
...     float(y)
Traceback (most recent call last):
    ...
tinytrain.testing.mock.ledger.ImplicitSynchronization: x.item() makes the host wait for the GPU
>>> _ = tt.set_device("cpu")
"""

from typing import Any

from tinytrain.testing.mock.device_array import ndarray
from tinytrain.testing.mock.functions import function_named
from tinytrain.testing.mock.kernels import RawModule
from tinytrain.testing.mock.ledger import (
    ImplicitSynchronization,
    Ledger,
    forbid_sync,
    record,
)
from tinytrain.testing.mock.report import step_report
from tinytrain.testing.mock.streams import cuda
from tinytrain.testing.mock.widening import allow_float64

__all__ = [
    "ImplicitSynchronization",
    "Ledger",
    "RawModule",
    "allow_float64",
    "cuda",
    "forbid_sync",
    "ndarray",
    "record",
    "step_report",
]


def __getattr__(name: str) -> Any:
    """Return one of CuPy's functions; it is made at its first use."""
    if name.startswith("__"):
        raise AttributeError(name)
    found = function_named(name)
    globals()[name] = found
    return found
