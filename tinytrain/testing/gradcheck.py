"""Holding a backward pass against the definition of the derivative.

For outputs y_k = f_k(x) and random weights v_k the check differentiates s = sum_k <v_k, y_k>, once
by `backward` with the gradients v_k, and once, for every single element x_i, by central differences
D(h) = (s(x_i + h) - s(x_i - h)) / (2 h). A wrong derivative of any output with respect to any
element changes the comparison, whatever the shapes.

The error of D(h) is c h^2 + O(h^4), so that of (4 D(h/2) - D(h)) / 3 is O(h^4): it leaves about ten
right digits, enough to see a backward that computed in float32, which has seven.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.autograd import enable_grad, no_grad
from tinytrain.backend import Array, to_host, xp_of
from tinytrain.tensor import Tensor
from tinytrain.testing.errors import CheckError

Host = NDArray[np.float64]

FINER = 0.1
"""By how much the step shrinks where a first comparison objects: a kink may lie within it."""
ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""How far an output may be off, relative to the largest, by rounding alone."""


class GradcheckError(CheckError):
    """What `gradcheck` raises where it objects: a gradient, or the way it came about, is wrong.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Wrong(tt.Function):
    ...     def forward(self, x):
    ...         return 2 * x
    ...
    ...     def backward(self, gradient):
    ...         return 3 * gradient
    >>> gradcheck(lambda x: tt.apply(Wrong(), x), [tt.ones(1, dtype="float64", requires_grad=True)])
    Traceback (most recent call last):
        ...
    tinytrain.testing.gradcheck.GradcheckError: input 0, element (0,): analytic 3..., numeric 2...
    """


def gradcheck(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-4,
    atol: float = 1e-9,
    rtol: float = 1e-8,
    seed: int = 0,
) -> bool:
    """Check the gradients of a function against central differences, element by element.

    Further checks come for free: gradients have the shape and dtype of their inputs; neither the
    inputs nor the gradient handed to `backward` are written to; two calls give the same outputs;
    and a second backward pass, over a fresh graph, adds to the first.

    Parameters
    ----------
    function : callable
        Takes the inputs and returns a Tensor, or a sequence of them. Outputs of integers and
        booleans are left out.
    inputs : sequence
        The arguments. Tensors that require a gradient must be leaves of float64, for rounding
        drowns the differences in float32; they are checked. All others are passed on as they are.
        The function may use the tensors in other ways than by its arguments, as a layer does that
        holds its own parameters.
    eps : float
        The step of the differences, for elements beyond 1 relative to them; steps of a half, a
        tenth and a twentieth are used, too.
    atol, rtol : float
        An element is right where |analytic - numeric| <= atol + rtol max|numeric|, the largest of
        all elements of the input, and some allowance for the rounding of large outputs.
    seed : int
        Of the weights v.

    Returns
    -------
    bool
        True, always.

    Raises
    ------
    GradcheckError
        An objection: which input, which element, both values.
    TypeError, ValueError
        There is nothing to check, all is empty, or it cannot be checked in float64.

    Notes
    -----
    The `grad` of the checked tensors is None afterwards.

    References
    ----------
    W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7, on the choice of eps, and on
    extrapolation (Ridders).

    Examples
    --------
    >>> x = Tensor(np.array([0.5, 2.0]), requires_grad=True)
    >>> gradcheck(lambda x: x * x, [x])
    True
    """
    if not (np.isfinite(eps) and eps > 0):
        raise ValueError(f"gradcheck: eps is the step of the differences, above 0, got {eps}")
    checked = _checked_inputs(inputs)
    before = [to_host(tensor.data).copy() for _, tensor in checked]
    random = np.random.default_rng(seed)
    outputs = _evaluate(function, inputs)
    _check_no_nan(outputs)
    weights = [_weights(output, random) for output in outputs]
    if not weights:
        raise GradcheckError("no output is floating point: there is nothing to differentiate")
    try:
        _clear(checked)
        _backward(function, inputs, weights)
        _check_unwritten(checked, before)
        analytic = [_analytic(position, tensor) for position, tensor in checked]
        _check_same_again(function, inputs, weights)
        for (position, tensor), gradient in zip(checked, analytic, strict=True):
            numeric, rounding = _numeric(function, inputs, tensor, weights, eps)
            right = _right(gradient, numeric, rounding, atol, rtol)
            if not right.all():
                finer, rounding = _numeric(function, inputs, tensor, weights, eps * FINER)
                right |= _right(gradient, finer, rounding, atol, rtol)
                numeric = np.where(right, numeric, finer)
            _compare(position, gradient, numeric, right)
        _backward(function, inputs, weights)
        _check_added(checked, analytic)
    finally:
        _clear(checked)
    return True


def _checked_inputs(inputs: Sequence[Any]) -> list[tuple[int, Tensor]]:
    """Pick the tensors that require a gradient, with their positions."""
    if not isinstance(inputs, Sequence):
        raise TypeError(
            f"gradcheck takes a list of inputs, got a {type(inputs).__name__}; write [x]"
        )
    checked = [
        (position, value)
        for position, value in enumerate(inputs)
        if isinstance(value, Tensor) and value.requires_grad
    ]
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient; set requires_grad=True")
    for position, tensor in checked:
        if not tensor.is_leaf:
            raise ValueError(f"gradcheck: input {position} is no leaf; use detach()")
        if tensor.dtype != np.float64:
            raise TypeError(f"gradcheck: input {position} is {tensor.dtype}, and must be float64")
    if not any(tensor.numel() for _, tensor in checked):
        raise ValueError(
            "gradcheck: all inputs that require a gradient are empty, so there is no element to "
            "compare; give some"
        )
    return checked


def _evaluate(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Host]:
    """Return copies of the floating-point outputs, in host memory."""
    with no_grad():
        return [np.array(to_host(output.data)) for output in _float_outputs(function(*inputs))]


def _float_outputs(result: Any) -> list[Tensor]:
    outputs = [result] if isinstance(result, Tensor) else result
    if not isinstance(outputs, list | tuple):
        raise TypeError(
            f"gradcheck: the function returned a {type(result).__name__}; return a Tensor, or a "
            "tuple of them (is there a return?)"
        )
    for k, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            raise TypeError(
                f"gradcheck: the function returned a {type(output).__name__} as output {k}; "
                "return Tensors"
            )
    return [output for output in outputs if output.dtype.kind == "f"]


def _check_no_nan(outputs: Sequence[Host]) -> None:
    for k, output in enumerate(outputs):
        if np.isnan(output).any():
            index = tuple(int(i) for i in np.argwhere(np.isnan(output))[0])
            raise GradcheckError(
                f"output {k} is NaN at element {index}, so there is no derivative to compare; mend "
                "forward, or give inputs for which the function is defined"
            )


def _weights(output: Host, random: np.random.Generator) -> Host:
    """Draw weights of both signs, none of them near zero."""
    size = random.uniform(0.5, 1.5, output.shape)
    return np.asarray(size * random.choice([-1.0, 1.0], output.shape))


def _backward(function: Callable[..., Any], inputs: Sequence[Any], weights: list[Host]) -> None:
    """Run forward and backward once, with the weights as the outputs' gradients."""
    with enable_grad():
        outputs = _float_outputs(function(*inputs))
    for k, (output, weight) in enumerate(zip(outputs, weights, strict=True)):
        if not output.requires_grad:
            continue  # its derivative is claimed to be 0, which the differences will test
        given: Array = xp_of(output.data).asarray(weight, dtype=output.dtype).copy()
        output.backward(Tensor(given), retain_graph=k + 1 < len(outputs))
        if not np.array_equal(to_host(given), weight.astype(output.dtype)):
            raise GradcheckError(
                f"the backward pass wrote to the gradient that it was given for output {k}"
            )


def _analytic(position: int, tensor: Tensor) -> Host:
    """Return the gradient that `backward` left; one that is missing stands for zeros."""
    gradient = tensor.grad
    if gradient is None:
        return np.zeros(tensor.shape)
    if gradient.shape != tensor.shape or gradient.dtype != tensor.dtype:
        raise GradcheckError(
            f"input {position} is {tensor.dtype} {tensor.shape}, "
            f"but its gradient is {gradient.dtype} {gradient.shape}"
        )
    return np.array(to_host(gradient.data))


def _numeric(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    tensor: Tensor,
    weights: list[Host],
    eps: float,
) -> tuple[Host, Host]:
    """Differentiate by central differences, moving one element of the tensor at a time.

    The element is moved in host memory, and the function runs on the tensor's own device.

    Returns
    -------
    gradient, rounding : array
        The extrapolated differences, and how far each may be off by the rounding of outputs.
    """
    original = tensor.data
    # The original may be read-only, or hold one element in many places.
    moved = to_host(original).copy()
    gradient, rounding = np.empty(tensor.shape), np.empty(tensor.shape)

    def difference(index: tuple[int, ...], value: float, step: float) -> tuple[float, float]:
        above = _evaluate_at(function, inputs, tensor, moved, index, value + step)
        below = _evaluate_at(function, inputs, tensor, moved, index, value - step)
        width = (value + step) - (value - step)
        total = largest = 0.0
        for weight, up, down in zip(weights, above, below, strict=True):
            # Outputs are subtracted before they are summed: fewer digits cancel.
            change = weight * _difference(up, down)
            total += float(change.sum())
            largest = max(largest, float(np.abs(weight * up)[change != 0].max(initial=0)))
        return total / width, ROUNDING * largest / width

    try:
        for index in np.ndindex(moved.shape):
            value = float(moved[index])
            step = eps * max(1.0, abs(value))
            coarse, _ = difference(index, value, step)
            fine, rounding[index] = difference(index, value, step / 2)
            gradient[index] = (4 * fine - coarse) / 3
            moved[index] = value
    finally:
        tensor.data = original
    return gradient, rounding


def _evaluate_at(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    tensor: Tensor,
    values: Host,
    index: tuple[int, ...],
    element: float,
) -> list[Host]:
    """Evaluate where the tensor holds the values, with another element at one place."""
    values[index] = element
    tensor.data = xp_of(tensor.data).asarray(values, dtype=values.dtype)  # no copy on the CPU
    return _evaluate(function, inputs)


def _difference(up: Host, down: Host) -> Host:
    """Subtract; a constant infinity, as a mask leaves it, has the difference 0."""
    with np.errstate(invalid="ignore"):
        return np.where(up == down, 0.0, up - down)


def _right(
    analytic: Host, numeric: Host, rounding: Host, atol: float, rtol: float
) -> NDArray[np.bool_]:
    """Compare; what is NaN is wrong."""
    with np.errstate(invalid="ignore"):
        scale = np.abs(numeric[np.isfinite(numeric)]).max(initial=0)
        return np.asarray(np.abs(analytic - numeric) <= atol + rtol * scale + rounding)


def _compare(position: int, analytic: Host, numeric: Host, right: NDArray[np.bool_]) -> None:
    if right.all():
        return
    with np.errstate(invalid="ignore"):
        difference = np.where(right, 0.0, np.abs(analytic - numeric))
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    index = tuple(int(i) for i in np.unravel_index(worst, difference.shape))
    raise GradcheckError(
        f"input {position}, element {index}: analytic {analytic[index]:.10g}, "
        f"numeric {numeric[index]:.10g}, difference {difference[index]:.3g}; "
        f"{int((~right).sum())} of {right.size} elements are wrong, this one the most"
        + _digits(analytic, numeric)
    )


def _digits(analytic: Host, numeric: Host) -> str:
    """Name the usual cause of a gradient that is right to seven digits and no further."""
    scale = float(np.abs(numeric).max(initial=0))
    if not np.abs(analytic - numeric).max() <= 2e-6 * scale:
        return ""
    return " (right to six digits: is something computed in float32?)"


def _check_unwritten(checked: list[tuple[int, Tensor]], before: list[Host]) -> None:
    for (position, tensor), values in zip(checked, before, strict=True):
        if not np.array_equal(to_host(tensor.data), values, equal_nan=True):
            raise GradcheckError(f"input {position} was written to")


def _check_same_again(
    function: Callable[..., Any], inputs: Sequence[Any], weights: list[Host]
) -> None:
    first, second = _evaluate(function, inputs), _evaluate(function, inputs)
    for k, (one, other) in enumerate(zip(first, second, strict=True)):
        if not np.array_equal(one, other, equal_nan=True):
            raise GradcheckError(f"output {k} differs between two calls: fix the random seed")


def _check_added(checked: list[tuple[int, Tensor]], analytic: list[Host]) -> None:
    """Compare the gradients after the second backward pass with twice those of the first."""
    for (position, tensor), once in zip(checked, analytic, strict=True):
        if not np.allclose(_analytic(position, tensor), 2 * once, rtol=1e-9, atol=1e-12):
            raise GradcheckError(
                f"input {position}: a second backward pass over a fresh graph did not add the same"
            )


def _clear(checked: list[tuple[int, Tensor]]) -> None:
    for _, tensor in checked:
        tensor.grad = None
