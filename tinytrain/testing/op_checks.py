"""What must hold for every operation: dtypes, memory layouts, ownership, broadcasting, empty axes.

Each check takes a function of tensors and its inputs, runs on the chosen device, and raises a
`CheckError`. `check_op` makes them all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.autograd import Function, no_grad, unbroadcast
from tinytrain.backend import Array, is_array, to_host, xp_of
from tinytrain.tensor import Tensor
from tinytrain.testing.errors import CheckError
from tinytrain.testing.graph_checks import nodes_below
from tinytrain.testing.passes import (
    Call,
    Host,
    Pass,
    backward_through,
    compare,
    describe_output,
    gradients_of,
    host_copies,
    in_dtype,
    is_float_array,
    leaves,
    on_device,
    outputs_of,
    run,
    shares_memory,
    upstream_of,
)

# ---------------------------------------------------------------- the result


def check_result(function: Call, inputs: Sequence[Any], differentiable: bool = True) -> None:
    """The outputs are tensors, those of floats require a gradient, and two calls agree."""
    copies = on_device([a.copy() if is_array(a) else a for a in inputs])
    outputs = outputs_of(function(*leaves(copies)))
    for i, (one, other) in enumerate(zip(in_dtype(copies, None), inputs, strict=True)):
        if is_array(one) and not np.array_equal(one, to_host(other), equal_nan=is_float_array(one)):
            raise CheckError(f"input {i} was written to by forward; work on a copy of it")
    claimed = differentiable and any(map(is_float_array, inputs))
    for k, output in enumerate(outputs):
        wanted = claimed and is_float_array(output)
        if wanted and not output.requires_grad:
            raise CheckError(
                f"{describe_output(k, output)} and requires no gradient, though an input does; "
                "compute with tt.apply(...) and tensors, not with .data or detach(), or say "
                "differentiable=False"
            )
        if output.requires_grad and not wanted:
            raise CheckError(
                f"{describe_output(k, output)} and requires a gradient, though nothing here is "
                "differentiable; set the class attribute differentiable = False"
            )
    first = host_copies(outputs)
    if not any(is_float_array(a) and np.isnan(to_host(a)).any() for a in inputs):
        _check_no_nan(first)
    again = host_copies(outputs_of(function(*leaves(copies))))
    compare(
        Pass(again, {}),
        Pass(first, {}),
        "two calls with the same inputs differ: fix the random seed, and keep no state",
    )


def _check_no_nan(outputs: Sequence[Host]) -> None:
    for k, output in enumerate(outputs):
        if output.dtype.kind == "f" and np.isnan(output).any():
            index = tuple(int(i) for i in np.argwhere(np.isnan(output))[0])
            raise CheckError(
                f"output {k} is NaN at element {index}; mend forward, or give samples for which "
                "the function is defined"
            )


def check_backward(function: Call, inputs: Sequence[Any]) -> None:
    """Every node's backward returns one array, or None, for each input, in the input's dtype."""
    outputs = outputs_of(function(*leaves(inputs)))
    for node in nodes_below(outputs):
        _look_at_results(node)
    backward_through(outputs)


def _look_at_results(node: Function) -> None:
    """Let one node object to what its backward returns, before the base class mends it."""
    original = getattr(node, "backward", None)
    if original is None:
        raise CheckError(
            f"{node.name} defines no backward; define it, or set the class attribute "
            "differentiable = False"
        )

    def looking(gradient: Array) -> Any:
        results = original(gradient)
        _check_results(node, gradient, results)
        return results

    vars(node)["backward"] = looking


def _check_results(node: Function, gradient: Array, results: Any) -> None:
    several = results if isinstance(results, tuple) else (results,)
    for result in several:
        if isinstance(result, Tensor) or not (result is None or hasattr(result, "dtype")):
            raise CheckError(
                f"{node.name}.backward returned a {type(result).__name__}; return an array, or a "
                "tuple with an array or None for each input"
            )
    if len(several) != len(node.inputs):
        raise CheckError(
            f"{node.name}.backward returned {len(several)} gradients for {len(node.inputs)} "
            "inputs; return one for each, None where there is none"
        )
    for position, result in enumerate(several):
        if result is None or not node.needs[position]:
            continue
        _, dtype = node.inputs[position]
        if dtype == gradient.dtype != result.dtype:
            raise CheckError(
                f"{node.name}.backward was given {gradient.dtype} and returned {result.dtype} for "
                f"input {position}, which is {dtype}; keep to the dtype, constants are Python "
                "floats (math.sqrt(2), not np.sqrt(2))"
            )


def check_no_graph(function: Call, inputs: Sequence[Any]) -> None:
    """Under `no_grad` no node is recorded, and the outputs are the same."""
    try:
        with no_grad():
            outputs = outputs_of(function(*leaves(inputs)))
    except CheckError:
        raise
    except Exception as error:
        raise CheckError(
            f"it raised {type(error).__name__}: {error}, and does not while gradients are on; "
            "forward must run without them too: self.needs is empty then, so ask any(self.needs)"
        ) from error
    for k, output in enumerate(outputs):
        if not output.is_leaf or output.requires_grad:
            raise CheckError(
                f"{describe_output(k, output)} and has a node under no_grad; leave recording to "
                "tt.apply(...)"
            )
    expected = host_copies(outputs_of(function(*leaves(inputs))))
    remedy = "the result must not depend on whether gradients are on"
    compare(Pass(host_copies(outputs), {}), Pass(expected, {}), remedy)


# ---------------------------------------------------------------- dtypes


def check_float32(
    function: Call, inputs: Sequence[Any], rtol: float | None = 1e-4, atol: float = 1e-5
) -> None:
    """float32 in, float32 out: outputs and gradients, near those of float64.

    Parameters
    ----------
    rtol, atol : float
        How near; with ``rtol=None`` values are not compared.
    """
    exact = run(function, in_dtype(inputs, np.float64))
    narrow = run(function, in_dtype(inputs, np.float32))
    if rtol is not None:
        _check_overflow(narrow.outputs, exact.outputs)
    remedy = (
        "constants are Python floats (math.sqrt(2), not np.sqrt(2)), and whatever makes an array "
        "says which dtype"
    )
    expected = Pass(
        [o.astype(np.float32) if o.dtype.kind == "f" else o for o in exact.outputs],
        {i: g.astype(np.float32) for i, g in exact.gradients.items()},
    )
    compare(narrow, expected, remedy, None)
    if rtol is not None:
        again = "two calls with the same inputs differ: keep no state, and count no calls"
        compare(run(function, in_dtype(inputs, np.float32)), narrow, again)
        remedy = (
            "that is what float64 gives: compute in both dtypes alike, so that rounding stays "
            "small (or say float32_rtol=...), and keep no state between calls"
        )
        compare(narrow, expected, remedy, rtol, atol)
    check_backward(function, in_dtype(inputs, np.float32))


def _check_overflow(narrow: Sequence[Host], exact: Sequence[Host]) -> None:
    for k, (one, other) in enumerate(zip(narrow, exact, strict=True)):
        if one.shape != other.shape or one.dtype.kind != "f":
            continue
        wrong = np.isfinite(other) & ~np.isfinite(one)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise CheckError(
                f"output {k}, element {index} is {one[index]} in float32, and {other[index]:.6g} "
                "in float64: a result or one on the way to it is beyond 3.4e38; compute it in "
                "another way (subtract the largest before exp), or give smaller samples"
            )


# ---------------------------------------------------------------- memory


def strided(array: Array) -> Array:
    """Hold the same values in every second element of a larger array in column order."""
    if array.ndim == 0:
        return array
    xp = xp_of(array)
    return xp.asfortranarray(xp.repeat(array, 2, axis=-1))[..., ::2]


def reversed_view(array: Array) -> Array:
    """Hold the same values, walked from the end of their memory."""
    return array if array.ndim == 0 else array[::-1].copy()[::-1]


def broadcast_view(array: Array) -> Array:
    """Show the first row as often as there are rows, without a copy."""
    return xp_of(array).broadcast_to(array[:1], array.shape) if array.ndim and len(array) else array


def check_layouts(function: Call, inputs: Sequence[Any]) -> None:
    """Inputs that are not contiguous, or walk backwards, or repeat a row, change nothing."""
    arrays = on_device(inputs)
    expected = run(function, arrays)
    for layout in (strided, reversed_view):
        remedy = f"the inputs were {layout.__name__}: do not rely on the order of memory"
        views = [layout(a) if is_array(a) else a for a in arrays]
        compare(run(function, views), expected, remedy, rtol=1e-9)
    views = [broadcast_view(a) if is_array(a) else a for a in arrays]
    copies = [v.copy() if is_array(v) else v for v in views]
    remedy = "the inputs were broadcast views: one element of memory stands in many places"
    compare(run(function, views), run(function, copies), remedy, rtol=1e-9)


def check_no_axes(function: Call, inputs: Sequence[Any]) -> None:
    """Of inputs without axes it makes what it makes of (1,), where the shape does not matter to it.

    That is told by (1,) and (1, 1), where all inputs are of floats and of one shape. An operation
    that raises needs axes, and is let go.
    """
    arrays = [value for value in inputs if is_array(value)]
    if not all(is_float_array(a) and a.size and a.shape == arrays[0].shape for a in arrays):
        return
    try:
        none, one, two = (
            run(function, [a.reshape(-1)[-1:].reshape(s) if is_array(a) else a for a in inputs])
            for s in ((), (1,), (1, 1))
        )
    except Exception:
        return
    shapes = [[output.shape for output in found.outputs] for found in (one, two)]
    if shapes not in ([[(1,)] * len(one.outputs), [(1, 1)] * len(one.outputs)], _no_axes(one)):
        return
    expected = Pass(
        [output.reshape(()) for output in one.outputs],
        {i: gradient.reshape(()) for i, gradient in one.gradients.items()},
    )
    remedy = (
        "the inputs had no axes, and with the same number in the shape (1,) that is what comes out"
    )
    compare(none, expected, remedy, rtol=1e-9)


def _no_axes(found: Pass) -> list[list[tuple[int, ...]]]:
    return [[()] * len(found.outputs)] * 2


def check_frozen(function: Call, inputs: Sequence[Any]) -> None:
    """Nobody writes into an array of others: all that the operation gets or gives is read-only.

    The outputs, too, which backward may have kept: they are the user's.

    For host memory: the arrays of a GPU cannot be frozen.
    """
    if backend.get_device() != "cpu":
        return
    expected = run(function, [a.copy() if is_array(a) else a for a in inputs])
    copies = [a.copy() if is_array(a) else a for a in inputs]
    tensors = leaves([_freeze(a) for a in copies])
    outputs = outputs_of(function(*tensors))
    upstreams = [upstream_of(output) for output in outputs if output.requires_grad]
    for upstream in upstreams:
        _freeze(upstream.data)
    for output in outputs:
        _freeze(output.data)
    for node in nodes_below(outputs):
        _freeze_gradients(node)
    backward_through(outputs, upstreams)
    remedy = "all arrays were read-only, and yet an output or a gradient changed: work on copies"
    compare(Pass(host_copies(outputs), gradients_of(tensors)), expected, remedy)


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


def _freeze_gradients(node: Function) -> None:
    """Let one node see and return read-only gradients."""
    original = node.input_gradients

    def freezing(gradient: Array) -> list[Array | None]:
        return [_freeze(result) for result in original(_freeze(gradient))]

    vars(node)["input_gradients"] = freezing


def check_owned_gradients(function: Call, inputs: Sequence[Any]) -> None:
    """The gradients that arrive at the leaves share memory with nothing, and may be written to."""
    tensors = leaves(inputs)
    outputs = outputs_of(function(*tensors))
    upstreams = [upstream_of(output) for output in outputs if output.requires_grad]
    backward_through(outputs, upstreams)
    others = {f"output {k}": output.data for k, output in enumerate(outputs)}
    others |= {f"the gradient of output {k}": u.data for k, u in enumerate(upstreams)}
    others |= {f"input {i}": t.data for i, t in enumerate(tensors) if isinstance(t, Tensor)}
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor) or tensor.grad is None:
            continue
        gradient = tensor.grad.data
        for name, other in others.items():
            if shares_memory(gradient, other):
                raise CheckError(
                    f"the gradient of input {position} shares memory with {name}; return what "
                    "backward computed, and do not set .grad yourself"
                )
        gradient += 1  # raises where the library has marked a view as read-only
        others[f"the gradient of input {position}"] = gradient


# ---------------------------------------------------------------- which gradients


def check_needs(function: Call, inputs: Sequence[Any]) -> None:
    """With one input at a time that requires a gradient, that gradient is the same, and alone."""
    everything = run(function, inputs)
    places = list(everything.gradients)
    for place in places if len(places) > 1 else []:
        remedy = f"only input {place} required a gradient: needs[{place}] alone is True then"
        alone = run(function, inputs, wanted=[place])
        compare(alone, everything, remedy)


def check_broadcasting(function: Call, inputs: Sequence[Any]) -> None:
    """An input of which an axis has length 1, or is missing, acts as if it were repeated.

    Raises
    ------
    ValueError
        No two of the inputs have one shape: there is nothing to broadcast.
    """
    places = [i for i, value in enumerate(inputs) if is_float_array(value) and _has_peer(inputs, i)]
    if not places:
        raise ValueError("to check broadcasting, give at least two inputs of one shape")
    for place in places:
        for small in _shrunk(inputs[place]):
            narrow = [small if i == place else v for i, v in enumerate(inputs)]
            wide = np.broadcast_to(small, inputs[place].shape).copy()
            found = run(function, narrow)
            expected = run(function, [wide if i == place else v for i, v in enumerate(inputs)])
            expected.gradients[place] = np.asarray(
                unbroadcast(expected.gradients[place], small.shape)
            )
            remedy = (
                f"input {place} had the shape {small.shape}, the others {inputs[place].shape}; "
                "set the class attribute broadcasts = True, and broadcast in forward"
            )
            compare(found, expected, remedy, rtol=1e-9, atol=1e-9)


def _has_peer(inputs: Sequence[Any], place: int) -> bool:
    shape = inputs[place].shape
    return bool(shape) and any(
        i != place and is_array(v) and v.shape == shape for i, v in enumerate(inputs)
    )


def _shrunk(array: Array) -> list[Array]:
    """Cut every axis to length 1, one after the other, and leave out the first axis."""
    cuts = [array.take([0], axis=axis) for axis in range(array.ndim) if array.shape[axis] > 1]
    return [*cuts, np.array(array[0])] if len(array) else cuts


def check_empty(function: Call, inputs: Sequence[Any], axis: int) -> None:
    """Inputs cut to length 0 along an axis give outputs and gradients of the right shapes.

    An axis of an output follows the inputs' if its length changes when they are cut to 1 or to 2.
    """
    lengths = (0, 1, 2)
    none, one, two = (
        host_copies(outputs_of(function(*leaves(_cut(inputs, axis, length))))) for length in lengths
    )
    for k, (found, short, longer) in enumerate(zip(none, one, two, strict=True)):
        expected = tuple(
            2 * s - l
            for s, l in zip(short.shape, longer.shape, strict=True)  # noqa: E741
        )
        if found.shape != expected or found.dtype != short.dtype:
            raise CheckError(
                f"output {k} is {found.dtype} {found.shape} where axis {axis} of the inputs is "
                f"empty, expected {short.dtype} {expected}; let shapes follow the inputs'"
            )
    for position, gradient in run(function, _cut(inputs, axis, 0)).gradients.items():
        if not np.isfinite(gradient).all():
            raise CheckError(
                f"the gradient of input {position} is not finite where axis {axis} is empty; a sum "
                "of nothing is 0"
            )


def _cut(inputs: Sequence[Any], axis: int, length: int) -> list[Any]:
    """Keep the first elements of an axis; an axis that is shorter is repeated."""
    cut = []
    for value in inputs:
        if is_array(value) and value.ndim:
            value = np.take(value, np.zeros(length, dtype=np.int64), axis=axis)
        cut.append(value)
    return cut


def check_twin(
    function: Call, simple: Call, inputs: Sequence[Any], rtol: float = 1e-9, atol: float = 1e-10
) -> None:
    """The composed twin gives the same outputs and gradients."""
    remedy = f"that is what {getattr(simple, '__name__', 'the simple twin')} gives"
    compare(run(function, inputs), run(simple, inputs), remedy, rtol, atol)
