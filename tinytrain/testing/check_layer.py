"""All checks of one layer by one call."""

import pickle
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.autograd import is_grad_enabled, no_grad
from tinytrain.backend import to_host
from tinytrain.generator import default_generator
from tinytrain.nn import Module
from tinytrain.tensor import Tensor
from tinytrain.testing import mock
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import CheckError, Step, name_of, run_steps
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
)

REMEDY = "the layer must run on these inputs in both modes"
DEVICE = (
    "make tensors from the inputs, or keep them as parameters or buffers, which model.to(...) "
    "moves; operations that are refused are listed in docs/gpu.md"
)


def check_layer(
    layer: Module | Callable[[], Module],
    *inputs: Any,
    unused: Sequence[str] = (),
    may_wait: bool = False,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-5,
) -> list[str]:
    """Check everything that a layer has to get right, and say in words what it got wrong.

    Its parameters are found, always in one order, and a gradient reaches each; training and
    evaluation; a state dict brings another instance to the same output; gradients in float64 with
    respect to parameters and inputs; the mock GPU; `repr`; and nothing global is left changed.

    Parameters
    ----------
    layer : Module, or a callable that makes one
        With a callable more is found: two instances share nothing, and start from other weights.
        The layer itself is left alone; copies are checked.
    *inputs : Tensor, array, or anything else
        Of `forward`, as for `check_op`.
    unused : sequence of str
        Names of parameters that no gradient reaches with these inputs.
    may_wait : bool
        Whether it may make the host wait for a GPU.
    eps, atol, rtol : float
        Of the gradient check, which runs in evaluation mode; see `gradcheck`.

    Returns
    -------
    list of str
        The names of the checks made.

    Raises
    ------
    CheckError
        An objection: which parameter or input, what was found and expected, what to do.
    TypeError
        `layer` is no Module, and makes none.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_layer(lambda: tt.nn.Linear(3, 2), tt.randn(4, 3))
    ['parameters', 'modes', 'gradients reach', 'state dict', 'gradient', 'repr', 'global state',
    'mock GPU']
    """
    given = layer if isinstance(layer, Module) else None
    first = deepcopy(given) if given is not None else layer()
    second = _other(first) if given is not None else layer()
    if not (isinstance(first, Module) and isinstance(second, Module)):
        raise TypeError(f"check_layer takes an nn.Module or what makes one, got {layer!r:.80}")

    def differences() -> None:
        _check_gradient(deepcopy(first), inputs, eps, atol, rtol)

    steps: list[Step] = [
        ("parameters", lambda: _check_parameters(first, second), REMEDY),
        ("modes", lambda: _check_modes(deepcopy(first), inputs), REMEDY),
        ("gradients reach", lambda: _check_reached(deepcopy(first), inputs, unused), REMEDY),
        ("state dict", lambda: _check_state_dict(deepcopy(first), second, inputs), REMEDY),
        ("gradient", differences, REMEDY),
        ("repr", lambda: _check_repr(first), "define extra_repr to return a string"),
        ("global state", lambda: _check_global_state(deepcopy(first), inputs), REMEDY),
        ("mock GPU", lambda: _check_mock(deepcopy(first), inputs, may_wait), DEVICE),
    ]
    with device("cpu"), np.errstate(all="ignore"):
        return run_steps(name_of(type(first)), steps)


def _other(layer: Module) -> Module:
    """Copy a layer, with other values in its parameters."""
    other = deepcopy(layer)
    for parameter in other.parameters():
        parameter.data = parameter.data * 0.5 + 0.25
    return other


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


def _check_parameters(first: Module, second: Module) -> None:
    for path, module in first.named_modules():
        found = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and id(value) not in found:
                raise CheckError(
                    f"{path + '.' if path else ''}{name} is a plain Tensor, which is neither "
                    "trained nor saved; make it an nn.Parameter(...), or register_buffer(...)"
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


def _check_modes(layer: Module, inputs: Sequence[Any]) -> None:
    for mode in (True, False):
        layer.train(mode)
        outputs_of(layer(*leaves(in_dtype(inputs, _dtype_of(layer)))))
        for path, module in layer.named_modules():
            if module.training is not mode:
                raise CheckError(
                    f"{path or 'the layer'} has training={module.training} after "
                    f"train({mode}) and a call; let train() and eval() alone decide"
                )
    before = _snapshot(layer)
    copies = in_dtype(inputs, _dtype_of(layer))
    first = host_copies(outputs_of(layer(*leaves(copies))))
    for name, value in _snapshot(layer).items():
        remedy = "a call in evaluation mode must change no parameter and no buffer"
        compare_arrays(name, value, before[name], remedy, 0, 0)
    for i, (one, other) in enumerate(zip(copies, in_dtype(inputs, _dtype_of(layer)), strict=True)):
        if isinstance(one, np.ndarray):
            compare_arrays(f"input {i}", one, other, "forward must not write into it", 0, 0)
    remedy = "two calls in evaluation mode must give the same: draw random numbers in training only"
    compare(Pass(_call(layer, inputs), {}), Pass(first, {}), remedy)


def _check_reached(layer: Module, inputs: Sequence[Any], unused: Sequence[str]) -> None:
    layer.train()
    layer.zero_grad()
    outputs = outputs_of(layer(*leaves(in_dtype(inputs, _dtype_of(layer)))))
    backward_through(outputs)
    for name, parameter in layer.named_parameters():
        if parameter.requires_grad and parameter.grad is None and name not in unused:
            raise CheckError(
                f"no gradient reaches parameter {name}; use it in forward as a tensor (not its "
                ".data, and not under no_grad), or name it in unused=[...]"
            )


def _check_state_dict(first: Module, second: Module, inputs: Sequence[Any]) -> None:
    first.eval()
    second.eval()
    state = first.state_dict()
    second.load_state_dict(state)
    remedy = (
        "another instance loaded the state dict and must give the same: whatever decides the "
        "output is a parameter, a buffer, or an argument of __init__"
    )
    expected = _call(first, inputs)
    compare(Pass(_call(second, inputs), {}), Pass(expected, {}), remedy, rtol=1e-6, atol=1e-7)
    for name, value in first.state_dict().items():
        found = second.state_dict()[name]
        compare_arrays(f"state {name}", found.numpy(), value.numpy(), remedy, 0, 0)


def _check_gradient(
    layer: Module, inputs: Sequence[Any], eps: float, atol: float, rtol: float
) -> None:
    layer.to("float64").eval()
    tensors = leaves(in_dtype(inputs, np.float64))
    named = {n: p for n, p in layer.named_parameters() if p.requires_grad}
    count = len(tensors)
    if not named and not any(isinstance(t, Tensor) and t.requires_grad for t in tensors):
        return
    try:
        gradcheck(
            lambda *values: layer(*values[:count]),
            [*tensors, *named.values()],
            eps=eps,
            atol=atol,
            rtol=rtol,
        )
    except GradcheckError as error:
        listed = ", ".join(f"{count + i} is {name}" for i, name in enumerate(named))
        raise CheckError(f"{error}; of the inputs, {listed or 'none is a parameter'}") from error


def _check_repr(layer: Module) -> None:
    text = repr(layer)
    if not text.startswith(f"{type(layer).__name__}("):
        raise CheckError(
            f"repr is {text!r:.60}, expected {type(layer).__name__}(...); define extra_repr "
            "rather than __repr__"
        )


def _global_state() -> dict[str, Any]:
    return {
        "the gradient mode (no_grad)": is_grad_enabled(),
        "the device (set_device)": backend.get_device(),
        "np.random's state": pickle.dumps(np.random.get_state()),  # noqa: NPY002 (not ours)
        "the default generator's state": default_generator().get_state(),
        "np.errstate": np.geterr(),
    }


def _check_global_state(layer: Module, inputs: Sequence[Any]) -> None:
    before = _global_state()
    with ExitStack() as stack:
        stack.callback(backend.set_device, backend.get_device())
        layer.eval()
        layer.train(False)
        _call(layer, inputs)
        after = _global_state()
    for what, value in before.items():
        if after[what] != value:
            raise CheckError(
                f"eval() and a call in evaluation mode changed {what}; restore what you change "
                "(with a block), and draw random numbers in training only"
            )


def _check_mock(layer: Module, inputs: Sequence[Any], may_wait: bool) -> None:
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
