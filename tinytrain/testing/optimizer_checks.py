"""What must hold for every optimizer. `check_optimizer` makes all of these checks."""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytrain.backend import to_host
from tinytrain.creation import from_numpy
from tinytrain.tensor import Tensor
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import CheckError, name_of
from tinytrain.testing.passes import compare_arrays

Host: TypeAlias = NDArray[Any]
Make: TypeAlias = Callable[[list[Tensor]], Any]
Simple: TypeAlias = Callable[[Host, Host, dict[str, Any], int], Host]

SHAPES = [(3, 2), (4,), (2, 2)]


# ---------------------------------------------------------------- the problem


def sample_parameters(dtype: Any = np.float64, seed: int = 0) -> list[Tensor]:
    """Make leaves of several shapes."""
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


def check_descent(make: Make, steps: int, fraction: float) -> None:
    """The loss falls on a quadratic bowl."""
    parameters = sample_parameters()
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
            f"{losses[0]:.4g}; expected at most {fraction:g} of it: "
            + (
                "it went up: look at the sign of the update, or give make() a smaller learning rate"
                if not losses[-1] <= losses[0]
                else "it fell too little: give make() a learning rate that suits, or more steps"
            )
        )


def check_one_by_one(make: Make) -> None:
    """Many parameters in one buffer move as each would alone."""
    together, alone = sample_parameters(), sample_parameters()
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


def check_simple(make: Make, simple: Simple, steps: int = 5) -> None:
    """Each step is that of the formula."""
    parameters = sample_parameters()
    values = _values(parameters)
    keeps: list[dict[str, Any]] = [{} for _ in values]
    optimizer = make(parameters)
    for step in range(max(5, steps)):
        found = _run(optimizer, parameters, range(step, step + 1))
        gradients = [to_host(p.grad.data) for p in parameters if p.grad is not None]
        values = [
            simple(value, gradient, keep, step + 1)
            for value, gradient, keep in zip(values, gradients, keeps, strict=True)
        ]
        remedy = f"that is what {name_of(simple)} gives after step {step + 1}"
        _compare(found, values, remedy, rtol=1e-10, atol=1e-12)


def check_gradients(make: Make) -> None:
    """Gradients are left alone, and may be 0."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    for step in range(2):
        _give_gradients(parameters, step)
        before = _gradients(parameters)
        optimizer.step()
        remedy = "step() must leave gradients alone: others read them, such as a log of their norm"
        for number, (one, other) in enumerate(zip(_gradients(parameters), before, strict=True)):
            compare_arrays(f"the gradient of parameter {number}", one, other, remedy, 0, 0)
    parameters = sample_parameters()
    optimizer = make(parameters)
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = from_numpy(np.zeros(parameter.shape))
        with np.errstate(all="ignore"):
            optimizer.step()
    for number, value in enumerate(_values(parameters)):
        if not np.isfinite(value).all():
            raise CheckError(
                f"parameter {number} is not finite after steps with gradients of 0; 0 / 0 is NaN: "
                "add a small eps to what you divide by"
            )


def _gradients(parameters: Sequence[Tensor]) -> list[Host]:
    return [np.array(to_host(p.grad.data)) for p in parameters if p.grad is not None]


def check_skipping(make: Make) -> None:
    """A parameter without a gradient stays, with its state."""
    parameters = sample_parameters()
    before = _values(parameters)
    optimizer = make(parameters)
    after = _run(optimizer, parameters, range(3), skipped=[1])
    remedy = "it had no gradient, so it must stay: no weight decay, no momentum"
    compare_arrays("parameter 1", after[1], before[1], remedy, 0, 0)
    found = _run(optimizer, parameters, range(3, 5))[1]
    fresh = sample_parameters()
    expected = _run(make(fresh), fresh, range(3, 5))[1]
    remedy = "its state must not move either while it has no gradient (moments, counts of steps)"
    compare_arrays("parameter 1", found, expected, remedy, 1e-10, 1e-12)


def check_zero_grad(make: Make) -> None:
    """`zero_grad` forgets gradients, or makes them zeros."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    _run(optimizer, parameters, range(1))
    optimizer.zero_grad()
    for number, parameter in enumerate(parameters):
        if parameter.grad is not None:
            raise CheckError(
                f"parameter {number} has a gradient after zero_grad(); leave that to Optimizer"
            )
    _give_gradients(parameters, 0)
    try:
        optimizer.zero_grad(set_to_none=False)
    except TypeError as error:
        raise CheckError(
            f"zero_grad(set_to_none=False) raised {error}; take the argument, or leave zero_grad "
            "to Optimizer"
        ) from error
    found = _gradients(parameters)
    if len(found) != len(parameters) or any(gradient.any() for gradient in found):
        raise CheckError(
            "after zero_grad(set_to_none=False) the gradients are not zeros; leave it to Optimizer"
        )


def check_state(make: Make) -> None:
    """A run that is saved and loaded in the middle goes on bit for bit."""
    straight = sample_parameters()
    expected = _run(make(straight), straight, range(6))
    first = sample_parameters()
    optimizer = make(first)
    middle = _run(optimizer, first, range(3))
    state = optimizer.state_dict()
    kept = deepcopy(state)
    _run(optimizer, first, range(3, 6))
    if not _same(state, kept):
        raise CheckError("state_dict() changed with further steps; return copies of the arrays")
    second = [from_numpy(value).requires_grad_() for value in middle]
    resumed = make(second)
    given = deepcopy(kept)
    resumed.load_state_dict(given)
    found = _run(resumed, second, range(3, 6))
    if not _same(given, kept):
        raise CheckError(
            "the dictionary given to load_state_dict changed, by it or by further steps; copy what "
            "is in it, for somebody else may load it too"
        )
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


def check_update(make: Make) -> None:
    """Steps move parameters, and leave settings alone."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    start, given = _values(parameters), _settings(optimizer)
    if all(map(np.array_equal, start, _run(optimizer, parameters, range(2)))):
        raise CheckError(
            "no parameter moved in steps with gradients: update() must write into its argument, "
            "parameter -= ... and not parameter = parameter - ..."
        )
    for group, settings in zip(_settings(optimizer), given, strict=True):
        for name, value in settings.items():
            if group.get(name) != value:
                raise CheckError(
                    f"a step changed the setting {name!r} from {value} to {group.get(name)}; "
                    "settings are the user's and the schedules': work with the argument step, or "
                    "keep an array of state_names"
                )


def check_settings(make: Make) -> None:
    """Settings that change between steps count."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    before = _run(optimizer, parameters, range(2))
    if not any("lr" in group for group in optimizer.param_groups):
        return
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    after = _run(optimizer, parameters, range(2, 3))
    remedy = 'param_groups[...]["lr"] was set to 0 between steps: read settings in every update'
    _compare(after, before, remedy)
    whole, half = (_first_step(make, factor) for factor in (1.0, 0.5))
    if all(np.array_equal(one, other) for one, other in zip(whole, half, strict=True)):
        raise CheckError(
            'half of param_groups[...]["lr"] gave the same first step; the step is to scale with it'
        )


def _settings(optimizer: Any) -> list[dict[str, Any]]:
    """Copy the settings of each group."""
    return [
        deepcopy({name: value for name, value in group.items() if name != "params"})
        for group in optimizer.param_groups
    ]


def _first_step(make: Make, factor: float) -> list[Host]:
    """Move once, with the learning rates multiplied."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    _scale_rates(optimizer, factor)
    return _run(optimizer, parameters, range(1))


def _scale_rates(optimizer: Any, factor: float) -> None:
    for group in optimizer.param_groups:
        if "lr" in group:
            group["lr"] *= factor


def check_groups(make: Make) -> None:
    """Two groups with rates of their own move as two optimizers would."""
    together, alone = sample_parameters(), sample_parameters()
    optimizer = make(together[:1])
    other = {"params": together[1:]}
    if "lr" in optimizer.param_groups[0]:
        other["lr"] = optimizer.param_groups[0]["lr"] * 0.25
    optimizer.add_param_group(other)
    found = _run(optimizer, together, range(3))
    first, second = make(alone[:1]), make(alone[1:])
    _scale_rates(second, 0.25)
    for step in range(3):
        _give_gradients(alone, step)
        first.step()
        second.step()
    remedy = (
        "there were two groups, the second with a quarter of the learning rate, and each must move "
        "as with an optimizer of its own: read settings from the argument of update"
    )
    _compare(found, _values(alone), remedy, rtol=1e-10, atol=1e-12)


def check_maximize(make: Make) -> None:
    """Where there is `maximize`, it climbs as the negated gradients would descend."""
    up = sample_parameters()
    climbing = make(up)
    if "maximize" not in climbing.param_groups[0]:
        if "maximize" in inspect.signature(type(climbing)).parameters:
            raise CheckError(
                "__init__ takes maximize, and param_groups have no such setting; put it among the "
                "defaults, and negate the gradient where it is set"
            )
        return
    down = sample_parameters()
    descending = make(down)
    for optimizer, value in ((climbing, True), (descending, False)):
        for group in optimizer.param_groups:
            group["maximize"] = value
    for step in range(3):
        _give_gradients(up, step)
        for parameter, other in zip(up, down, strict=True):
            other.grad = None if parameter.grad is None else -parameter.grad
        climbing.step()
        descending.step()
    remedy = "maximize=True must be what maximize=False is with -gradient (before weight decay)"
    _compare(_values(up), _values(down), remedy, rtol=1e-12, atol=1e-12)


def check_closure(make: Make) -> None:
    """`step(closure)` calls it first, and returns its loss."""
    parameters = sample_parameters()
    optimizer = make(parameters)
    calls: list[None] = []

    def closure() -> float:
        calls.append(None)
        _give_gradients(parameters, 0)
        return 1.5

    try:
        loss = optimizer.step(closure)
    except TypeError as error:
        raise CheckError(
            f"step(closure) raised {error}; take step(self, closure=None) and pass it on to "
            "super().step(closure)"
        ) from error
    if not calls:
        raise CheckError(
            "step(closure) did not call the closure, which computes loss and gradients; pass it on "
            "to super().step(closure)"
        )
    if loss != 1.5:
        raise CheckError(f"step(closure) returned {loss!r}, expected what the closure did, 1.5")
    expected = _first_step(make, 1.0)
    if len(calls) == 1:
        remedy = "the gradients were those of the closure: call it before the update"
        _compare(_values(parameters), expected, remedy)


def check_given_twice(make: Make) -> None:
    """A parameter that is given twice is refused."""
    parameter = sample_parameters()[0]
    try:
        make([parameter, parameter])
    except (TypeError, ValueError):
        return
    raise CheckError(
        "a parameter that was given twice was taken: it would move twice in a step; raise a "
        "ValueError, as Optimizer does"
    )


def check_float32(make: Make) -> None:
    """float32 stays float32, and near float64."""
    narrow, wide = sample_parameters(np.float32), sample_parameters()
    found, expected = _run(make(narrow), narrow, range(5)), _run(make(wide), wide, range(5))
    remedy = "a step must leave dtypes alone, and be near the one in float64"
    _compare(found, [v.astype(np.float32) for v in expected], remedy, rtol=1e-3, atol=1e-4)


def check_mock(make: Make) -> None:
    """The mock GPU gives what the CPU does."""
    host = sample_parameters(np.float32)
    expected = _run(make(host), host, range(3))
    with device("mock"):
        parameters = sample_parameters(np.float32)
        found = _run(make(parameters), parameters, range(3))
    _compare(found, expected, "that is what the CPU gives", rtol=1e-4, atol=1e-5)
