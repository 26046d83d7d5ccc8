"""One forward and backward pass of a function under test, and the comparison of two of them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytrain.autograd import describe
from tinytrain.backend import is_array, to_device, to_host, xp_of
from tinytrain.creation import from_numpy
from tinytrain.tensor import Tensor
from tinytrain.testing.errors import CheckError

Host: TypeAlias = NDArray[Any]
Call: TypeAlias = Callable[..., Any]
"""Takes tensors, and returns a Tensor or a sequence of them."""


@dataclass(frozen=True, eq=False)
class Pass:
    """What came out of one forward and backward pass, in host memory.

    Attributes
    ----------
    outputs : list of array
    gradients : dict of int to array
        By the position of the input; those that no backward pass reached are zeros.
    """

    outputs: list[Host]
    gradients: dict[int, Host]


def array_of(value: Any) -> Any:
    """Return a tensor's array, and anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def is_float_array(value: Any) -> bool:
    """Whether a value is an array or a tensor of floating-point numbers.

    Examples
    --------
    >>> is_float_array(np.ones(2)), is_float_array(np.arange(2)), is_float_array(1.0)
    (True, False, False)
    """
    array = array_of(value)
    return is_array(array) and bool(array.dtype.kind == "f")


def in_dtype(inputs: Sequence[Any], dtype: Any) -> list[Any]:
    """Return host copies of the inputs, the floating-point ones in a dtype; other values as is.

    Examples
    --------
    >>> in_dtype([np.ones(1), np.arange(1), 2.5], np.float32)
    [array([1.], dtype=float32), array([0]), 2.5]
    """
    copies = []
    for value in inputs:
        array = array_of(value)
        if is_array(array):
            array = np.array(to_host(array), dtype=dtype if is_float_array(array) else None)
        copies.append(array)
    return copies


def leaves(inputs: Sequence[Any], wanted: Collection[int] | None = None) -> list[Any]:
    """Make a leaf of every array, on the chosen device where it comes from the host.

    Parameters
    ----------
    inputs : sequence
        Arrays, tensors, and other values, which are passed on. On the CPU memory is shared.
    wanted : collection of int, optional
        The positions that shall require a gradient; all floating-point ones by default.
    """
    made: list[Any] = []
    for position, value in enumerate(inputs):
        array = array_of(value)
        if is_array(array):
            leaf = from_numpy(array) if isinstance(array, np.ndarray) else Tensor(array)
            asked = wanted is None or position in wanted
            array = leaf.requires_grad_(asked and is_float_array(leaf))
        made.append(array)
    return made


def outputs_of(result: Any) -> list[Tensor]:
    """List the tensors that a function returned.

    Raises
    ------
    CheckError
        It returned something else.
    """
    outputs = [result] if isinstance(result, Tensor) else result
    if not isinstance(outputs, list | tuple):
        raise CheckError(
            f"the function returned a {type(result).__name__}; return a Tensor, or a tuple of them"
        )
    for k, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            raise CheckError(f"output {k} is a {type(output).__name__}; return Tensors")
    return list(outputs)


def upstream_of(output: Tensor) -> Tensor:
    """Make a gradient for an output, where the output is: without symmetry."""
    values = np.linspace(-1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)
    return from_numpy(values).to(output.device)


def backward_through(
    outputs: Sequence[Tensor], upstreams: Sequence[Tensor] | None = None, retain: bool = False
) -> None:
    """Run backward from all outputs that require a gradient.

    Parameters
    ----------
    outputs : sequence of Tensor
    upstreams : sequence of Tensor, optional
        One for each of those outputs; `upstream_of` by default.
    retain : bool
        Keep the graph for another pass.
    """
    roots = [output for output in outputs if output.requires_grad]
    upstreams = [upstream_of(root) for root in roots] if upstreams is None else upstreams
    for k, (root, upstream) in enumerate(zip(roots, upstreams, strict=True), start=1):
        root.backward(upstream, retain_graph=retain or k < len(roots))


def gradients_of(tensors: Sequence[Any]) -> dict[int, Host]:
    """Copy the gradients of the leaves that require one, by position."""
    return {
        position: np.zeros(tensor.shape, tensor.dtype)
        if tensor.grad is None
        else np.array(to_host(tensor.grad.data))
        for position, tensor in enumerate(tensors)
        if isinstance(tensor, Tensor) and tensor.requires_grad
    }


def host_copies(outputs: Sequence[Tensor]) -> list[Host]:
    """Copy outputs to host memory."""
    return [np.array(to_host(output.data)) for output in outputs]


def run(function: Call, inputs: Sequence[Any], wanted: Collection[int] | None = None) -> Pass:
    """Run forward and backward on fresh leaves, with a gradient without symmetry.

    Examples
    --------
    >>> done = run(lambda x: x * x, [np.array([3.0])])
    >>> done.outputs, done.gradients
    ([array([9.])], {0: array([-6.])})
    """
    tensors = leaves(inputs, wanted)
    outputs = outputs_of(function(*tensors))
    backward_through(outputs)
    return Pass(host_copies(outputs), gradients_of(tensors))


def compare(
    found: Pass, expected: Pass, remedy: str, rtol: float | None = 1e-12, atol: float = 1e-12
) -> None:
    """Object where two passes differ in a value, a shape or a dtype.

    With ``rtol=None`` values are not compared.

    Raises
    ------
    CheckError
        Which output or gradient, what was found and expected, and the `remedy`.
    """
    if len(found.outputs) != len(expected.outputs):
        raise CheckError(
            f"{len(found.outputs)} outputs, expected {len(expected.outputs)}; {remedy}"
        )
    for k, (one, other) in enumerate(zip(found.outputs, expected.outputs, strict=True)):
        compare_arrays(f"output {k}", one, other, remedy, rtol, atol)
    for position, wanted in expected.gradients.items():
        if position in found.gradients:
            gradient = found.gradients[position]
            compare_arrays(
                f"the gradient of input {position}", gradient, wanted, remedy, rtol, atol
            )


def compare_arrays(
    what: str, found: Host, expected: Host, remedy: str, rtol: float | None, atol: float
) -> None:
    """Object where two arrays differ, and name the element that differs most.

    Examples
    --------
    >>> compare_arrays("output 0", np.array([1.0, 2.5]), np.array([1.0, 2.0]), "look", 0, 0.1)
    Traceback (most recent call last):
        ...
    tinytrain.testing.errors.CheckError: output 0, element (1,) is 2.5, expected 2.0; 1 of 2
    elements differ; look
    """
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise CheckError(
            f"{what} is {found.dtype} {found.shape}, expected {expected.dtype} {expected.shape}; "
            f"{remedy}"
        )
    if rtol is None:
        return
    right = np.isclose(found, expected, rtol=rtol, atol=atol, equal_nan=True)
    if right.all():
        return
    with np.errstate(all="ignore"):
        if found.dtype == np.bool_:
            distance = found != expected
        else:
            distance = np.where(right, 0, np.nan_to_num(np.abs(found - expected), nan=np.inf))
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(distance), found.shape))
    raise CheckError(
        f"{what}, element {worst} is {found[worst]}, expected {expected[worst]}; "
        f"{int((~right).sum())} of {right.size} elements differ; {remedy}"
    )


def shares_memory(first: Any, second: Any) -> bool:
    """Whether two arrays of one device lie in the same memory, wholly or in part."""
    return type(first) is type(second) and bool(xp_of(first).shares_memory(first, second))


def on_device(inputs: Sequence[Any]) -> list[Any]:
    """Bring host arrays to the chosen device; other values as they are."""
    return [to_device(value) if isinstance(value, np.ndarray) else value for value in inputs]


def describe_output(k: int, output: Tensor) -> str:
    """Name an output in a message."""
    return f"output {k} is {describe(output.data)}"
