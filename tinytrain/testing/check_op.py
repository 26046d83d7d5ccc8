"""All checks of one operation by one call."""

import inspect
from typing import Any

import numpy as np

from tinytrain.autograd import Function
from tinytrain.tensor import apply
from tinytrain.testing import device_checks, graph_checks, op_checks
from tinytrain.testing.errors import CheckError, Step, name_of, run_steps
from tinytrain.testing.gradcheck import GradcheckError, gradcheck
from tinytrain.testing.passes import Call, in_dtype, is_float_array, leaves, outputs_of

BACKWARD = "forward and backward must run on the samples, which come in float64"
SHAPE = "look at the shapes and dtypes in the message"
DERIVE = "derive backward anew: the gradient it is given, times d(output)/d(input)"
DEVICE = (
    "xp = xp_of(x) and xp. where you would write np.; xp.where instead of a mask as an index; no "
    "if, float() or .item() on values; a dtype wherever an array is made; and give every tensor as "
    "an input, for the check brings those to the device"
)


def check_op(
    function: Any,
    *inputs: Any,
    simple: Call | None = None,
    broadcasts: bool | None = None,
    differentiable: bool | None = None,
    empty_axis: int | None = None,
    may_wait: bool = False,
    eps: float = 1e-4,
    atol: float = 1e-9,
    rtol: float = 1e-8,
    float32_rtol: float | None = 1e-4,
) -> list[str]:
    """Check everything that an operation has to get right, and say in words what it got wrong.

    The gradient against central differences in float64; graphs in which the result or an input is
    used several times; another call in between; a second backward pass; float32 in, float32 out;
    inputs that are not contiguous or read-only, or have no axes; which gradients were asked for;
    memory that is not freed (which samples of a single element cannot show); a run on the mock GPU,
    which refuses what a GPU refuses, and the source, read for the same. It runs on the CPU and on
    the mock GPU whatever the chosen device, and leaves that as it was.

    Parameters
    ----------
    function : callable, or a subclass of Function
        Takes the inputs as tensors and returns a Tensor or a tuple of them. A class is applied as
        ``tt.apply(function(), *inputs)``; where it takes settings, write the function.
    *inputs : Tensor, array, or anything else
        Samples, far from points where the derivative jumps. Those of floats are differentiated,
        each in float64 and in float32, whatever their own dtype; other values are passed on. At
        least one is of floats and not empty, unless you say ``differentiable=False``.
    simple : callable, optional
        The same, composed of basic operations.
    broadcasts : bool, optional
        Whether inputs may be broadcast; by default what the class says. Needs two inputs of one
        shape.
    differentiable : bool, optional
        Whether outputs of floats must require gradients; by default what the class says, else True.
    empty_axis : int, optional
        An axis along which all inputs may be empty.
    may_wait : bool
        Whether it may make the host wait for the GPU, as one whose result's shape depends on
        values.
    eps, atol, rtol : float
        Of the gradient check; see `gradcheck`.
    float32_rtol : float or None
        How near float32 must be to float64; None for an operation that magnifies rounding.

    Returns
    -------
    list of str
        The names of the checks made.

    Raises
    ------
    CheckError
        An objection: which check, which input, what was found and expected, what to do.
    TypeError
        `function` is neither a class of operations nor another callable.
    ValueError
        There are no arrays among the inputs, or none that could be differentiated.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Cube(tt.Function):
    ...     def forward(self, x):
    ...         self.save(x)
    ...         return x * x * x
    ...     def backward(self, gradient):
    ...         (x,) = self.saved
    ...         return 2 * x * x * gradient
    >>> check_op(Cube, tt.tensor([[1.0, -2.0]]))
    Traceback (most recent call last):
        ...
    tinytrain.testing.errors.CheckError: Cube: gradient: input 0, element (0, 1): analytic ...,
    numeric ...; 2 of 2 elements are wrong, this one the most; derive backward anew: ...
    """
    _refuse_what_is_none(function)
    if device_checks.is_operation(function):
        kind = function
        call: Call = lambda *tensors: apply(kind(), *tensors)  # noqa: E731
        broadcasts = kind.broadcasts if broadcasts is None else broadcasts
        differentiable = kind.differentiable if differentiable is None else differentiable
    else:
        call = function
    exact = in_dtype(inputs, np.float64)
    if not any(isinstance(value, np.ndarray) for value in exact):
        raise ValueError("check_op needs sample inputs: give at least one tensor or array")
    claimed = differentiable is not False
    if claimed and not any(is_float_array(value) and value.size for value in exact):
        raise ValueError(
            "check_op differentiates samples of floats, and was given none with elements: give "
            "some, or say differentiable=False"
        )
    result: list[Step] = [("result", lambda: op_checks.check_result(call, exact, claimed), SHAPE)]
    with device_checks.device("cpu"), np.errstate(all="ignore"):
        passed = run_steps(name_of(function), result)
        outputs = outputs_of(call(*leaves(exact)))
        steps: list[Step] = [("backward", lambda: op_checks.check_backward(call, exact), BACKWARD)]
        steps += _value_steps(call, exact, float32_rtol)
        if any(output.requires_grad for output in outputs):
            steps += _gradient_steps(call, exact, eps, atol, rtol)
        del outputs
        if broadcasts:
            steps.append(("broadcasting", lambda: op_checks.check_broadcasting(call, exact), SHAPE))
        if empty_axis is not None:
            steps.append(
                ("empty axis", lambda: op_checks.check_empty(call, exact, empty_axis), SHAPE)
            )
        if simple is not None:
            steps.append(("simple twin", lambda: op_checks.check_twin(call, simple, exact), SHAPE))
        steps += _device_steps(call, exact, may_wait, float32_rtol)
        return passed + run_steps(name_of(function), steps)


def _refuse_what_is_none(function: Any) -> None:
    if isinstance(function, Function):
        raise TypeError(
            f"check_op got an object of {function.name}, which would run forward alone: give the "
            f"class, or a function that makes a new one, lambda *x: tt.apply({function.name}(...), "
            "*x)"
        )
    if not callable(function):
        raise TypeError(
            f"check_op takes a subclass of tt.Function or a function of tensors, got {function!r}"
        )
    if not device_checks.is_operation(function):
        return
    needed = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        name = function.__name__
        raise TypeError(
            f"check_op makes {name}(), but its __init__ needs {', '.join(needed)}: give a function "
            f"that does, lambda *x: tt.apply({name}(...), *x)"
        )


def _value_steps(call: Call, exact: list[Any], float32_rtol: float | None) -> list[Step]:
    return [
        ("read-only arrays", lambda: op_checks.check_frozen(call, exact), SHAPE),
        ("float32", lambda: op_checks.check_float32(call, exact, float32_rtol), SHAPE),
        ("memory layouts", lambda: op_checks.check_layouts(call, exact), SHAPE),
        ("no axes", lambda: op_checks.check_no_axes(call, exact), SHAPE),
        ("no graph under no_grad", lambda: op_checks.check_no_graph(call, exact), SHAPE),
    ]


def _gradient_steps(
    call: Call, exact: list[Any], eps: float, atol: float, rtol: float
) -> list[Step]:
    def differences() -> None:
        try:
            gradcheck(call, leaves(exact), eps=eps, atol=atol, rtol=rtol)
        except GradcheckError as error:
            raise CheckError(f"{error}; {DERIVE}") from error

    return [
        ("gradient", differences, SHAPE),
        ("gradients asked for", lambda: op_checks.check_needs(call, exact), SHAPE),
        ("gradients of their own", lambda: op_checks.check_owned_gradients(call, exact), BACKWARD),
        ("result used twice", lambda: graph_checks.check_used_twice(call, exact), BACKWARD),
        ("diamond", lambda: graph_checks.check_diamond(call, exact), BACKWARD),
        ("another call", lambda: graph_checks.check_another_call(call, exact), BACKWARD),
        ("one tensor in two places", lambda: graph_checks.check_aliasing(call, exact), BACKWARD),
        ("backward twice", lambda: graph_checks.check_backward_twice(call, exact), BACKWARD),
        ("memory", lambda: graph_checks.check_memory(call, exact), SHAPE),
    ]


def _device_steps(
    call: Call, exact: list[Any], may_wait: bool, float32_rtol: float | None
) -> list[Step]:
    def run_on_mock() -> None:
        device_checks.check_mock(call, exact, may_wait, float32_rtol)

    return [
        ("source for a GPU", lambda: device_checks.check_device_source(call, exact), DEVICE),
        ("mock GPU", run_on_mock, DEVICE),
    ]
