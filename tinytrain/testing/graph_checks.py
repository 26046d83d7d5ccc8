"""Graphs around an operation in which faults of accumulation and ownership show.

A formula can be right and the gradient still wrong once a value is used twice: a contribution
overwritten, an array shared and then added to. So the operation is put into small graphs whose
gradients follow from the one of a single use.
"""

import gc
import weakref
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import as_array, is_array
from tinytrain.tensor import Tensor
from tinytrain.testing.errors import CheckError
from tinytrain.testing.passes import (
    Call,
    Host,
    Pass,
    backward_through,
    compare,
    gradients_of,
    is_float_array,
    leaves,
    outputs_of,
    run,
    upstream_of,
)

TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}
SMALL = 8
"""An array of fewer elements is no activation, unless it has the shape of one."""
OTHER = 0.875
"""What the inputs of another call are multiplied by: exactly, and never far from the samples."""


def nodes_below(outputs: Sequence[Tensor]) -> list[Function]:
    """Return all nodes of the graph that ends in the outputs, each once.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(2, requires_grad=True)
    >>> [node.name for node in nodes_below([(x * x).sum()])]
    ['Sum', 'Mul']
    """
    stack = [output.node for output in outputs if output.node is not None]
    found: dict[Function, None] = {}
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack += [edge for edge in node.edges or () if isinstance(edge, Function)]
    return list(found)


def check_used_twice(function: Call, inputs: Sequence[Any]) -> None:
    """The result used three times has three times the gradient: z + (z + z)."""
    remedy = (
        "the result was used three times: backward must be linear in the gradient that it is given"
    )
    expected = _times(3, run(function, inputs))
    tensors = leaves(inputs)
    outputs = [z + (z + z) if z.requires_grad else z for z in outputs_of(function(*tensors))]
    backward_through(outputs)
    compare(Pass([], gradients_of(tensors)), expected, remedy, **TOLERANCE)


def check_diamond(function: Call, inputs: Sequence[Any]) -> None:
    """Two calls on the same intermediate results add up, and so does a use beside them."""
    remedy = (
        "two calls shared their inputs, which other operations had made and used too: return "
        "arrays of your own, or views of the gradient, and keep no state between calls"
    )
    expected = _times(2, run(function, inputs))
    tensors = leaves(inputs)
    shared = [t * 1.0 if _is_wanted(t) else t for t in tensors]
    first, second = (outputs_of(function(*shared)) for _ in range(2))
    backward_through([a + b if a.requires_grad else a for a, b in zip(first, second, strict=True)])
    compare(Pass([], gradients_of(tensors)), expected, remedy, **TOLERANCE)
    expected = Pass([], {i: g + 1 for i, g in run(function, inputs).gradients.items()})
    tensors = leaves(inputs)
    shared = [t * 1.0 if _is_wanted(t) else t for t in tensors]
    outputs = [z for z in outputs_of(function(*shared)) if z.requires_grad]
    total = sum((z * upstream_of(z)).sum().cpu() for z in outputs)
    total = total + sum(t.sum().cpu() for t in shared if _is_wanted(t))
    if isinstance(total, Tensor):
        total.backward()
    compare(Pass([], gradients_of(tensors)), expected, remedy, **TOLERANCE)


def check_another_call(function: Call, inputs: Sequence[Any]) -> None:
    """A call with other inputs, between forward and backward of the first, changes neither."""
    others = [as_array(v * OTHER) if is_float_array(v) else v for v in inputs]
    with np.errstate(all="ignore"):
        expected = [run(function, given).gradients for given in (inputs, others)]
        calls = [leaves(given) for given in (inputs, others)]
        outputs = [outputs_of(function(*tensors)) for tensors in calls]
        for made in outputs:
            backward_through(made)
    remedy = (
        "there were two calls, with other inputs, before both backward passes: keep what backward "
        "needs with self.save(...), in the object, and nothing in the class or the module"
    )
    for tensors, wanted in zip(calls, expected, strict=True):
        compare(Pass([], gradients_of(tensors)), Pass([], wanted), remedy, **TOLERANCE)


def check_aliasing(function: Call, inputs: Sequence[Any]) -> None:
    """One tensor given in two places gets the sum of the two places' gradients."""
    floats = [i for i, value in enumerate(inputs) if is_float_array(value)]
    for i, j in combinations(floats, 2):
        if inputs[i].shape != inputs[j].shape:
            continue
        equal = [inputs[i].copy() if k == j else value for k, value in enumerate(inputs)]
        apart = run(function, equal).gradients
        tensors = leaves(equal)
        tensors[j] = tensors[i]
        backward_through(outputs_of(function(*tensors)))
        found = Pass([], {i: gradients_of(tensors)[i]})
        remedy = f"inputs {i} and {j} were one tensor: their two gradients must add up"
        compare(found, Pass([], {i: apart[i] + apart[j]}), remedy, **TOLERANCE)


def check_backward_twice(function: Call, inputs: Sequence[Any]) -> None:
    """A second backward pass through a graph that was kept adds the same again."""
    expected = _times(2, run(function, inputs))
    tensors = leaves(inputs)
    outputs = outputs_of(function(*tensors))
    backward_through(outputs, retain=True)
    backward_through(outputs)
    remedy = "the second pass, with retain_graph=True in the first, must not find `saved` changed"
    compare(Pass([], gradients_of(tensors)), expected, remedy, **TOLERANCE)


def check_memory(function: Call, inputs: Sequence[Any]) -> None:
    """No reference cycle: with the garbage collector off, dropping the result frees the graph.

    And backward frees what forward saved: no array of floats stays in an attribute that has the
    shape of the largest input, or as many elements and at least `SMALL`. Statistics may stay.
    Inputs of one element do not show that.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        for with_backward in (False, True):
            tensors = leaves(inputs)
            alive = _left_alive(function, tensors, with_backward)
            if alive:
                raise CheckError(
                    f"{alive[0]} stays in memory after the result is gone; something refers to "
                    "itself, or keeps the result: save arrays, not tensors or self"
                )
    finally:
        if collecting:
            gc.enable()


def _left_alive(function: Call, tensors: Sequence[Any], with_backward: bool) -> list[str]:
    """Run, drop the result, and name what is still there."""
    given = {id(tensor) for tensor in tensors}
    outputs = outputs_of(function(*tensors))
    nodes = nodes_below(outputs)
    references: list[tuple[str, weakref.ref[Any]]]
    references = [(f"the node of {node.name}", weakref.ref(node)) for node in nodes]
    references += [
        (f"output {k}", weakref.ref(z)) for k, z in enumerate(outputs) if id(z) not in given
    ]
    if with_backward:
        backward_through(outputs)
        largest = max((t for t in tensors if isinstance(t, Tensor)), key=Tensor.numel)
        _check_released(nodes, largest.shape, max(SMALL, largest.numel()))
    del outputs, nodes
    return [name for name, reference in references if reference() is not None]


def _check_released(nodes: Sequence[Function], shape: tuple[int, ...], least: int) -> None:
    """Object to an array that forward left in an attribute; smaller ones, as means, may stay."""
    for node in nodes:
        names = list(vars(node))
        settings = names.index("needs") if "needs" in names else 0  # set between init and forward
        for name in names[settings:]:
            for array in _arrays(vars(node)[name]):
                activation = array.size >= least or (array.size > 1 and array.shape == shape)
                if is_float_array(array) and activation:
                    raise CheckError(
                        f"{node.name}.{name} keeps an array of {array.dtype} {array.shape} after "
                        "backward; what only backward needs goes into self.save(...), which the "
                        "walk empties"
                    )


def _arrays(value: Any) -> Iterator[Any]:
    """Yield the arrays in a value, also in tuples, lists and dictionaries."""
    if is_array(value):
        yield value
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _arrays(item)


def _is_wanted(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _times(factor: int, done: Pass) -> Pass:
    gradients: dict[int, Host] = {i: factor * g for i, g in done.gradients.items()}
    return Pass([], gradients)
