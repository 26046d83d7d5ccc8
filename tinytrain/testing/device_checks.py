"""Whether code that is right on the CPU would run on a GPU, without having one."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.autograd import Function
from tinytrain.testing import mock
from tinytrain.testing.device_lint import check_source
from tinytrain.testing.errors import CheckError
from tinytrain.testing.graph_checks import nodes_below
from tinytrain.testing.passes import (
    Call,
    Pass,
    backward_through,
    compare,
    gradients_of,
    host_copies,
    in_dtype,
    leaves,
    outputs_of,
    run,
    upstream_of,
)


@contextmanager
def device(name: str) -> Iterator[None]:
    """Choose a device for a block, with float64 allowed on the mock GPU.

    Examples
    --------
    >>> with device("mock"):
    ...     backend.get_device()
    'mock'
    >>> backend.get_device()
    'cpu'
    """
    before = backend.get_device()
    backend.set_device(name)
    try:
        with mock.allow_float64():
            yield
    finally:
        backend.set_device(before)


def check_mock(
    function: Call,
    inputs: Sequence[Any],
    may_wait: bool = False,
    rtol: float | None = 1e-4,
    atol: float = 1e-5,
) -> None:
    """Run in float32 on the mock GPU, which refuses what CuPy refuses, and compare with the CPU.

    Parameters
    ----------
    may_wait : bool
        Whether the operation may make the host wait for the GPU.
    rtol, atol : float
        How near to the CPU; with ``rtol=None`` values are not compared.
    """
    narrow = in_dtype(inputs, np.float32)
    with device("cpu"):
        expected = run(function, narrow)
    with device("mock"), mock.allow_float64(False):
        tensors = leaves(narrow)
        upstreams = [upstream_of(z) for z in outputs_of(function(*tensors)) if z.requires_grad]
        with mock.forbid_sync(not may_wait):
            outputs = outputs_of(function(*tensors))
            backward_through(outputs, upstreams)
        found = Pass(host_copies(outputs), gradients_of(tensors))
    remedy = "that is what the CPU gives"
    compare(found, expected, remedy, rtol, atol)


def check_device_source(function: Call, inputs: Sequence[Any]) -> None:
    """Read the sources of the operations that the function runs; see `testing.device_lint`.

    Operations of tinytrain itself are left out, and those whose source cannot be had, as in an
    interactive session.
    """
    nodes = nodes_below(outputs_of(function(*leaves(inputs))))
    for kind in dict.fromkeys(type(node) for node in nodes):
        if not kind.__module__.startswith("tinytrain."):
            lint(kind)


def lint(kind: type) -> None:
    """Object to what the source of a class would do on a GPU; without a source, do nothing."""
    try:
        lines, start = inspect.getsourcelines(kind)
        source = inspect.getsource(sys.modules[kind.__module__])
    except (OSError, TypeError, KeyError):
        return
    for problem in check_source(source, inspect.getsourcefile(kind) or kind.__name__):
        if start <= problem.line < start + len(lines):
            raise CheckError(
                f"{kind.__name__}, {problem.filename}, line {problem.line}: {problem.message}; a "
                "comment '# host: why' excuses a line that is meant so"
            )


def is_operation(value: object) -> bool:
    """Whether a value is a class of operations, rather than a function that applies one."""
    return isinstance(value, type) and issubclass(value, Function)
