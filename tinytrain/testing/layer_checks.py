"""What must hold for every layer. `check_layer` makes all of these checks.

Each takes a layer that it may change, or what makes one, and raises a `CheckError`.
"""

from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from tinytrain.autograd import no_grad
from tinytrain.backend import as_array, to_host
from tinytrain.generator import default_generator
from tinytrain.nn import Module
from tinytrain.tensor import Tensor
from tinytrain.testing import mock
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import CheckError
from tinytrain.testing.global_state import changes, restored
from tinytrain.testing.gradcheck import GradcheckError, gradcheck
from tinytrain.testing.passes import (
    Pass,
    backward_through,
    compare,
    compare_arrays,
    gradients_of,
    host_copies,
    in_dtype,
    leaves,
    outputs_of,
    shares_memory,
)
from tinytrain.testing.random_effects import random_effects

MODES = {True: "training", False: "evaluation"}


def _call(layer: Module, inputs: Sequence[Any]) -> list[Any]:
    return host_copies(outputs_of(layer(*leaves(in_dtype(inputs, _dtype_of(layer))))))


def _dtype_of(layer: Module) -> Any:
    """Return the dtype of the layer's first parameter of floats, else float32."""
    return next((p.dtype for p in layer.parameters() if p.dtype.kind == "f"), np.float32)


def _named_tensors(layer: Module) -> dict[str, Tensor]:
    return {**dict(layer.named_parameters()), **dict(layer.named_buffers())}


def _snapshot(layer: Module) -> dict[str, Any]:
    return {name: np.array(to_host(t.data)) for name, t in _named_tensors(layer).items()}


# ---------------------------------------------------------------- the checks


def check_parameters(first: Module, second: Module) -> None:
    """All tensors are parameters or buffers, the instance's own, in one order."""
    for path, module in first.named_modules():
        found = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        dot = f"{path}." if path else ""
        for name, value in vars(module).items():
            if any(id(tensor) not in found for tensor in _tensors_in(value)):
                where = "" if isinstance(value, Tensor) else f" in a {type(value).__name__}"
                raise CheckError(
                    f"{dot}{name} is a plain Tensor{where}, which is neither trained nor saved nor "
                    "moved to a GPU; make it an nn.Parameter(...), or register_buffer(...)"
                )
        for kind in type(module).__mro__:
            for name, value in vars(kind).items():
                if isinstance(value, Tensor) and name not in vars(module):
                    raise CheckError(
                        f"{dot}{name} is a {type(value).__name__} of the class {kind.__name__}, "
                        "shared by all instances, and not found; assign it to self in __init__"
                    )
    names, others = ([name for name, _ in layer.named_parameters()] for layer in (first, second))
    if names != others:
        raise CheckError(
            f"two instances have their parameters in other orders, {names} and {others}; assign "
            "them in one order (not from a set)"
        )
    for name, parameter in first.named_parameters():
        if not parameter.is_leaf:
            raise CheckError(f"parameter {name} is the result of an operation; wrap its values")


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value, also in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)


def check_instances(make: Callable[[], Module], first: Module, second: Module) -> None:
    """Two instances share no memory, and making one leaves the generators' seeds alone."""
    for name, tensor in _named_tensors(first).items():
        for other_name, other in _named_tensors(second).items():
            if shares_memory(tensor.data, other.data):
                raise CheckError(
                    f"{name} of one instance shares memory with {other_name} of another: training "
                    "one would change both; make a new array in __init__"
                )
    effects = random_effects(make)
    if effects.numpy:
        raise CheckError(
            "making a layer changed np.random's state, which belongs to the whole process; draw "
            "weights with tt.rand(...), tt.randn(...) or nn.init"
        )
    if effects.reseeded:
        raise CheckError(
            "making a layer reseeded tinytrain's default generator (tt.manual_seed): all layers "
            "would start from the same weights; leave seeding to the script"
        )


def check_copies(layer: Module) -> None:
    """No attribute is a function that holds on to a layer or a tensor: a copy would use them."""
    for path, module in layer.named_modules():
        for name, value in vars(module).items():
            if not isinstance(value, FunctionType):
                continue
            held = [_content(cell) for cell in value.__closure__ or ()]
            if any(isinstance(item, Module | Tensor) for item in held):
                raise CheckError(
                    f"{path + '.' if path else ''}{name} is a function that holds a layer or a "
                    "tensor from where it was written; copies of the layer, as made here, would "
                    "use the original's: make it a method, or give check_layer a function that "
                    "makes the layer"
                )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty: never assigned
        return None


def check_modes(layer: Module, inputs: Sequence[Any]) -> None:
    """train() and eval() decide alone, inputs are left alone, and evaluation changes nothing."""
    for mode, word in MODES.items():
        layer.train(mode)
        copies = in_dtype(inputs, _dtype_of(layer))
        outputs_of(layer(*leaves(copies)))
        for path, module in layer.named_modules():
            if module.training is not mode:
                raise CheckError(
                    f"{path or 'the layer'} has training={module.training} after "
                    f"train({mode}) and a call; let train() and eval() alone decide"
                )
        unchanged = in_dtype(inputs, _dtype_of(layer))
        for i, (one, other) in enumerate(zip(copies, unchanged, strict=True)):
            if isinstance(one, np.ndarray):
                remedy = f"forward must not write into it (in {word})"
                compare_arrays(f"input {i}", one, other, remedy, 0, 0)
    before = _snapshot(layer)
    first = _call(layer, inputs)
    for name, value in _snapshot(layer).items():
        remedy = "a call in evaluation mode must change no parameter and no buffer"
        compare_arrays(name, value, before[name], remedy, 0, 0)
    remedy = (
        "two calls in evaluation mode must give the same: draw random numbers in training only, "
        "and count no calls"
    )
    compare(Pass(_call(layer, inputs), {}), Pass(first, {}), remedy)


def check_dtype(layer: Module, inputs: Sequence[Any]) -> None:
    """The layer as it was made gives float32 for float32; unless the samples say float64."""
    if any(isinstance(value, Tensor) and value.dtype == np.float64 for value in inputs):
        return
    wide = [name for name, tensor in _named_tensors(layer).items() if tensor.dtype == np.float64]
    for mode, word in MODES.items():
        layer.train(mode)
        for k, output in enumerate(outputs_of(layer(*leaves(in_dtype(inputs, np.float32))))):
            if output.dtype == np.float64:
                raise CheckError(
                    f"output {k} is float64 for inputs of float32 (in {word}); "
                    + (f"{', '.join(wide)} is float64, " if wide else "")
                    + "make parameters and constants float32, or give samples that are tensors of "
                    "float64 if that is meant"
                )


def check_reached(make: Callable[[], Module], inputs: Sequence[Any], unused: Sequence[str]) -> None:
    """A gradient reaches each parameter, and in one of the two modes it is not all 0."""
    nothing: dict[str, int] = {}
    for mode in MODES:
        layer = make().train(mode)
        layer.zero_grad()
        for parameter in layer.parameters():
            if not parameter.data.any():  # as a gate that starts closed, behind which all is 0
                parameter.data = as_array(parameter.data + 0.1)
        backward_through(outputs_of(layer(*leaves(in_dtype(inputs, _dtype_of(layer))))))
        for name, parameter in layer.named_parameters():
            if not parameter.requires_grad or name in unused:
                continue
            if parameter.grad is None and mode:
                raise CheckError(
                    f"no gradient reaches parameter {name}; use it in forward as a tensor (not its "
                    ".data, and not under no_grad), or name it in unused=[...]"
                )
            if parameter.numel() and (parameter.grad is None or not parameter.grad.data.any()):
                nothing[name] = nothing.get(name, 0) + 1
    for name, times in nothing.items():
        if times == len(MODES):
            raise CheckError(
                f"the gradient of parameter {name} is 0 everywhere, in training and in evaluation: "
                "it does not learn; is it multiplied by 0? If so it is meant, name it in "
                "unused=[...]"
            )


def _train_a_little(layer: Module, inputs: Sequence[Any]) -> None:
    """Take three steps, on inputs that change, so that what is learnt is no longer as it began."""
    layer.train()
    for step in range(3):
        given = [
            value * (1 + 0.125 * step)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f"
            else value
            for value in in_dtype(inputs, _dtype_of(layer))
        ]
        layer.zero_grad()
        backward_through(outputs_of(layer(*leaves(in_dtype(given, _dtype_of(layer))))))
        for parameter in layer.parameters():
            if parameter.grad is not None:
                parameter.data = as_array(parameter.data - 0.01 * parameter.grad.data)
    layer.zero_grad()


def check_state_dict(first: Module, second: Module, inputs: Sequence[Any]) -> None:
    """After some training, a state dict brings a fresh instance to the same output."""
    _train_a_little(first, inputs)
    first.eval()
    second.eval()
    state = first.state_dict()
    second.load_state_dict(state)
    for name, tensor in _named_tensors(second).items():
        for other in (*state.values(), *_named_tensors(first).values()):
            if isinstance(other, Tensor) and shares_memory(tensor.data, other.data):
                raise CheckError(
                    f"{name} shares memory with the state dict that was loaded; copy the values, "
                    "for somebody else may load it too"
                )
    remedy = (
        "another instance loaded the state dict, saved after some training, and must give the "
        "same: whatever decides the output is a parameter, a buffer (as a running mean), or an "
        "argument of __init__"
    )
    expected = _call(first, inputs)
    compare(Pass(_call(second, inputs), {}), Pass(expected, {}), remedy, rtol=1e-6, atol=1e-7)
    for name, value in first.state_dict().items():
        found = second.state_dict()[name]
        compare_arrays(f"state {name}", found.numpy(), value.numpy(), remedy, 0, 0)


def check_gradient(
    layer: Module, inputs: Sequence[Any], training: bool, eps: float, atol: float, rtol: float
) -> None:
    """Gradients in float64 with respect to inputs and parameters.

    In training every call draws the same random numbers, and starts from the same buffers. A layer
    that still gives something else each time, from a generator of its own, is left out then.
    """
    layer.to("float64").train(training)
    tensors = leaves(in_dtype(inputs, np.float64))
    named = {n: p for n, p in layer.named_parameters() if p.requires_grad}
    count = len(tensors)
    checked = [*(t for t in tensors if isinstance(t, Tensor) and t.requires_grad), *named.values()]
    if not any(tensor.numel() for tensor in checked):
        return
    buffers = [(buffer, buffer.data.copy()) for buffer in layer.buffers()]
    generator = default_generator()
    state = generator.get_state()

    def call(*values: Any) -> Any:
        generator.set_state(state)
        for buffer, start in buffers:
            buffer.data = start.copy()
        return layer(*values[:count])

    with no_grad():
        one, other = (host_copies(outputs_of(call(*tensors))) for _ in range(2))
    if training and not all(map(np.array_equal, one, other)):
        return
    try:
        gradcheck(call, [*tensors, *named.values()], eps=eps, atol=atol, rtol=rtol)
    except GradcheckError as error:
        listed = ", ".join(f"{count + i} is {name}" for i, name in enumerate(named))
        raise CheckError(f"{error}; of the inputs, {listed or 'none is a parameter'}") from error


def check_repr(layer: Module) -> None:
    """`repr` is that of a module."""
    text = repr(layer)
    if not text.startswith(f"{type(layer).__name__}("):
        raise CheckError(
            f"repr is {text!r:.60}, expected {type(layer).__name__}(...); define extra_repr "
            "rather than __repr__"
        )


def check_global_state(layer: Module, inputs: Sequence[Any]) -> None:
    """A call changes nothing global, but for random numbers that training draws."""
    for mode, word in MODES.items():
        layer.train(mode)
        changed = changes(lambda: _call(layer, inputs))
        with restored():
            effects = random_effects(lambda: _call(layer, inputs))
        changed += ["np.random's state"] if effects.numpy else []
        changed += ["the default generator's state"] if effects.drawn and not mode else []
        if changed:
            raise CheckError(
                f"train({mode}) and a call in {word} mode changed {changed[0]}; restore what you "
                "change (with a block), and draw random numbers in training only, from tinytrain"
            )
        if effects.reseeded:
            raise CheckError(
                f"a call in {word} mode reseeded tinytrain's default generator (tt.manual_seed); "
                "draw from it, or from a tt.Generator of your own"
            )


def check_batch_sizes(layer: Module, inputs: Sequence[Any], axis: int | None) -> None:
    """In evaluation, other batch sizes work, and rows that do not mix stay what they were."""
    arrays = [value for value in in_dtype(inputs, _dtype_of(layer)) if _has_rows(value, axis)]
    if axis is None or not arrays or not arrays[0].shape[axis]:
        return
    layer.eval()
    count = arrays[0].shape[axis]
    whole = _with_rows(layer, inputs, axis, np.arange(count))
    other_first = np.array([min(1, count - 1), *range(1, count)])
    mixed = _with_rows(layer, inputs, axis, other_first)
    for size in (count + 1, 1):
        rows = np.arange(size) % count
        try:
            found = _with_rows(layer, inputs, axis, rows)
        except Exception as error:
            raise CheckError(
                f"with {size} instead of {count} rows along axis {axis} of the inputs it raised "
                f"{type(error).__name__}: {error}; write no batch size into the layer, or say "
                "batch_axis=None if that axis is not the batch's"
            ) from error
        for k, (one, other, moved) in enumerate(zip(found, whole, mixed, strict=True)):
            # Rows mix where one of them changes the others: then there is nothing to compare.
            apart = _has_rows(other, axis) and other.shape[axis] == count > 1
            if not apart or not np.allclose(
                _rest(moved, axis), _rest(other, axis), 1e-6, 1e-7, equal_nan=True
            ):
                continue
            remedy = (
                f"there were {size} instead of {count} rows along axis {axis} of the inputs, and "
                "the rows do not mix: do not let the layer depend on the batch's size"
            )
            expected = other.take(rows, axis)
            compare_arrays(f"output {k}", one, expected, remedy, rtol=1e-4, atol=1e-5)


def _has_rows(value: Any, axis: int | None) -> bool:
    """Whether a value is an array of two axes or more, one of which is the batch's."""
    return isinstance(value, np.ndarray) and axis is not None and value.ndim > max(axis, 1)


def _rest(array: Any, axis: int) -> Any:
    return array.take(range(1, array.shape[axis]), axis)


def _with_rows(layer: Module, inputs: Sequence[Any], axis: int, rows: Any) -> list[Any]:
    """Call the layer on some rows of those inputs that have as many as the first one has."""
    arrays = in_dtype(inputs, _dtype_of(layer))
    count = next(value.shape[axis] for value in arrays if _has_rows(value, axis))
    chosen = [
        value.take(rows, axis)
        if isinstance(value, np.ndarray) and value.ndim > axis and value.shape[axis] == count
        else value
        for value in arrays
    ]
    return host_copies(outputs_of(layer(*leaves(chosen))))


def check_mock(layer: Module, inputs: Sequence[Any], may_wait: bool) -> None:
    """The mock GPU, in evaluation mode, gives what the CPU does."""
    layer.to("float32").eval()
    narrow = in_dtype(inputs, np.float32)
    expected = _pass(layer, leaves(narrow))
    with device("mock"), mock.allow_float64(False):
        layer.to("mock")
        with no_grad():
            layer(*leaves(narrow))  # what is made at the first call is made
        tensors = leaves(narrow)
        with mock.forbid_sync(not may_wait):
            outputs = outputs_of(layer(*tensors))
        backward_through(outputs)
        found = Pass(host_copies(outputs), gradients_of(tensors))
    compare(found, expected, "that is what the CPU gives", rtol=1e-3, atol=1e-4)


def _pass(layer: Module, tensors: list[Any]) -> Pass:
    outputs = outputs_of(layer(*tensors))
    backward_through(outputs)
    return Pass(host_copies(outputs), gradients_of(tensors))
