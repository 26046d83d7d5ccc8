"""All checks of one optimizer by one call."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytrain.backend import to_host
from tinytrain.creation import from_numpy
from tinytrain.tensor import Tensor
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import CheckError, Step, name_of, run_steps
from tinytrain.testing.passes import compare_arrays

Host: TypeAlias = NDArray[Any]
Make: TypeAlias = Callable[[list[Tensor]], Any]
Simple: TypeAlias = Callable[[Host, Host, dict[str, Any], int], Host]

SHAPES = [(3, 2), (4,), (2, 2)]
REMEDY = "make(parameters) must return an Optimizer; see tinytrain/optim/sgd.py"


def check_optimizer(
    make: Make, *, simple: Simple | None = None, steps: int = 100, fraction: float = 0.5
) -> list[str]:
    """Check everything that an optimizer has to get right, and say in words what it got wrong.

    It descends; many parameters in one buffer move as each would alone; one without a gradient
    stays, with its state; a run that is saved and loaded in the middle goes on bit for bit; changed
    settings count; float32 stays float32; a parameter given twice is refused; and the mock GPU
    gives what the CPU does.

    Parameters
    ----------
    make : callable
        Takes a list of parameters and returns a new optimizer of them.
    simple : callable, optional
        The update of one parameter by the formula, on NumPy arrays: takes the parameter, its
        gradient, a dictionary that it may keep things in, and the number of the step from 1, and
        returns the new parameter.
    steps : int
        How many steps to descend on a quadratic bowl.
    fraction : float
        How much of the loss may be left after them.

    Returns
    -------
    list of str
        The names of the checks made.

    Raises
    ------
    CheckError
        An objection: which parameter, what was found and expected, what to do.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_optimizer(lambda parameters: tt.optim.SGD(parameters, lr=0.1, momentum=0.5))
    ['descent', 'one by one', 'no gradient', 'zero_grad', 'state', 'settings', 'given twice',
    'float32', 'mock GPU']
    """
    checks: list[Step] = [
        ("descent", lambda: _check_descent(make, steps, fraction), REMEDY),
        ("one by one", lambda: _check_one_by_one(make), REMEDY),
    ]
    if simple is not None:
        checks.append(("simple loop", lambda: _check_simple(make, simple), REMEDY))
    checks += [
        ("no gradient", lambda: _check_skipping(make), REMEDY),
        ("zero_grad", lambda: _check_zero_grad(make), REMEDY),
        ("state", lambda: _check_state(make), REMEDY),
        ("settings", lambda: _check_settings(make), REMEDY),
        ("given twice", lambda: _check_given_twice(make), REMEDY),
        ("float32", lambda: _check_float32(make), REMEDY),
        ("mock GPU", lambda: _check_mock(make), "write xp_of(parameter) instead of np"),
    ]
    with device("cpu"):
        return run_steps(name_of(type(make(_parameters()))), checks)


# ---------------------------------------------------------------- the problem


def _parameters(dtype: Any = np.float64, seed: int = 0) -> list[Tensor]:
    random = np.random.default_rng(seed)
    return [
        from_numpy(random.uniform(0.5, 1.5, shape).astype(dtype)).requires_grad_()
        for shape in SHAPES
    ]


def _give_gradients(parameters: Sequence[Tensor], step: int, skipped: Sequence[int] = ()) -> None:
    """Set gradients that depend on the step alone, of every parameter that is not skipped."""
    for number, parameter in enumerate(parameters):
        random = np.random.default_rng((number, step))
        values = random.uniform(-1.0, 1.0, parameter.shape).astype(parameter.dtype)
        parameter.grad = None if number in skipped else from_numpy(values)


def _run(
    optimizer: Any, parameters: Sequence[Tensor], steps: range, skipped: Sequence[int] = ()
) -> list[Host]:
    for step in steps:
        _give_gradients(parameters, step, skipped)
        optimizer.step()
    return _values(parameters)


def _values(parameters: Sequence[Tensor]) -> list[Host]:
    return [np.array(to_host(parameter.data)) for parameter in parameters]


def _compare(
    found: Sequence[Host], expected: Sequence[Host], remedy: str, rtol: float = 0, atol: float = 0
) -> None:
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        compare_arrays(f"parameter {number}", one, other, remedy, rtol, atol)


# ---------------------------------------------------------------- the checks


def _check_descent(make: Make, steps: int, fraction: float) -> None:
    parameters = _parameters()
    optimizer = make(parameters)
    losses = []
    for _ in range(steps + 1):
        optimizer.zero_grad()
        loss = sum((scale * p * p).sum() for scale, p in enumerate(parameters, start=1))
        assert isinstance(loss, Tensor)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    if not losses[-1] <= fraction * losses[0]:
        raise CheckError(
            f"after {steps} steps on a quadratic bowl the loss is {losses[-1]:.4g}, from "
            f"{losses[0]:.4g}; expected at most {fraction:g} of it: look at the sign of the "
            "update, or give make() a learning rate that suits, or more steps"
        )


def _check_one_by_one(make: Make) -> None:
    together, alone = _parameters(), _parameters()
    found = _run(make(together), together, range(5))
    optimizers = [make([parameter]) for parameter in alone]
    for step in range(5):
        _give_gradients(alone, step)
        for optimizer in optimizers:
            optimizer.step()
    remedy = (
        "that is what an optimizer of this parameter alone gives: parameters lie side by side in "
        "one buffer, and an update must not mix them"
    )
    _compare(found, _values(alone), remedy, rtol=1e-10, atol=1e-12)


def _check_simple(make: Make, simple: Simple) -> None:
    parameters = _parameters()
    values = _values(parameters)
    keeps: list[dict[str, Any]] = [{} for _ in values]
    optimizer = make(parameters)
    for step in range(5):
        found = _run(optimizer, parameters, range(step, step + 1))
        gradients = [to_host(p.grad.data) for p in parameters if p.grad is not None]
        values = [
            simple(value, gradient, keep, step + 1)
            for value, gradient, keep in zip(values, gradients, keeps, strict=True)
        ]
        remedy = f"that is what {name_of(simple)} gives after step {step + 1}"
        _compare(found, values, remedy, rtol=1e-10, atol=1e-12)


def _check_skipping(make: Make) -> None:
    parameters = _parameters()
    before = _values(parameters)
    optimizer = make(parameters)
    after = _run(optimizer, parameters, range(3), skipped=[1])
    remedy = "it had no gradient, so it must stay: no weight decay, no momentum"
    compare_arrays("parameter 1", after[1], before[1], remedy, 0, 0)
    found = _run(optimizer, parameters, range(3, 5))[1]
    fresh = _parameters()
    expected = _run(make(fresh), fresh, range(3, 5))[1]
    remedy = "its state must not move either while it has no gradient (moments, counts of steps)"
    compare_arrays("parameter 1", found, expected, remedy, 1e-10, 1e-12)


def _check_zero_grad(make: Make) -> None:
    parameters = _parameters()
    optimizer = make(parameters)
    _run(optimizer, parameters, range(1))
    optimizer.zero_grad()
    for number, parameter in enumerate(parameters):
        if parameter.grad is not None:
            raise CheckError(
                f"parameter {number} has a gradient after zero_grad(); leave that to Optimizer"
            )


def _check_state(make: Make) -> None:
    straight = _parameters()
    expected = _run(make(straight), straight, range(6))
    first = _parameters()
    optimizer = make(first)
    middle = _run(optimizer, first, range(3))
    state = optimizer.state_dict()
    kept = deepcopy(state)
    _run(optimizer, first, range(3, 6))
    if not _same(state, kept):
        raise CheckError("state_dict() changed with further steps; return copies of the arrays")
    second = [from_numpy(value).requires_grad_() for value in middle]
    resumed = make(second)
    resumed.load_state_dict(kept)
    found = _run(resumed, second, range(3, 6))
    remedy = (
        "saved after 3 steps, loaded into a new optimizer and run on, it must be what a straight "
        "run gives, bit for bit: name every array in state_names, and keep nothing elsewhere"
    )
    _compare(found, expected, remedy)


def _same(one: Any, other: Any) -> bool:
    """Whether two state dicts are equal, arrays by their values."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    one, other = (v.data if isinstance(v, Tensor) else v for v in (one, other))
    return bool(np.array_equal(one, other))


def _check_settings(make: Make) -> None:
    parameters = _parameters()
    optimizer = make(parameters)
    before = _run(optimizer, parameters, range(2))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    after = _run(optimizer, parameters, range(2, 3))
    remedy = 'param_groups[...]["lr"] was set to 0 between steps: read settings in every update'
    _compare(after, before, remedy)


def _check_given_twice(make: Make) -> None:
    parameter = _parameters()[0]
    try:
        make([parameter, parameter])
    except (TypeError, ValueError):
        return
    raise CheckError(
        "a parameter that was given twice was taken: it would move twice in a step; raise a "
        "ValueError, as Optimizer does"
    )


def _check_float32(make: Make) -> None:
    narrow, wide = _parameters(np.float32), _parameters()
    found, expected = _run(make(narrow), narrow, range(5)), _run(make(wide), wide, range(5))
    remedy = "a step must leave dtypes alone, and be near the one in float64"
    _compare(found, [v.astype(np.float32) for v in expected], remedy, rtol=1e-3, atol=1e-4)


def _check_mock(make: Make) -> None:
    host = _parameters(np.float32)
    expected = _run(make(host), host, range(3))
    with device("mock"):
        parameters = _parameters(np.float32)
        found = _run(make(parameters), parameters, range(3))
    _compare(found, expected, "that is what the CPU gives", rtol=1e-4, atol=1e-5)
