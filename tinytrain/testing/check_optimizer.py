"""All checks of one optimizer by one call."""

from tinytrain.testing import optimizer_checks
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import Step, name_of, run_steps
from tinytrain.testing.optimizer_checks import Make, Simple

REMEDY = "the optimizer must do this step; see tinytrain/optim/sgd.py for one that does"


def check_optimizer(
    make: Make, *, simple: Simple | None = None, steps: int = 100, fraction: float = 0.5
) -> list[str]:
    """Check everything that an optimizer has to get right, and say in words what it got wrong.

    It moves parameters, and descends; many parameters in one buffer move as each would alone; one
    without a gradient stays, with its state; gradients are read only, and may be 0; a run that is
    saved and loaded in the middle goes on bit for bit; settings are left alone, and changed ones
    count, each group's own; `maximize`, where there is such a setting or argument; `step(closure)`;
    float32 stays float32; a parameter given twice is refused; and the mock GPU gives what the CPU
    does.

    Parameters
    ----------
    make : callable
        Takes a list of parameters and returns a new optimizer of them.
    simple : callable, optional
        The update of one parameter by the formula, on NumPy arrays: takes the parameter, its
        gradient, a dictionary that it may keep things in, and the number of the step from 1, and
        returns the new parameter.
    steps : int
        How many steps to descend on a quadratic bowl, and to compare with `simple`.
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
    TypeError
        `make` is no function, or makes no optimizer.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_optimizer(lambda parameters: tt.optim.SGD(parameters, lr=0.1, momentum=0.5))
    ['zero_grad', 'update', 'gradients', 'one by one', 'descent', 'no gradient', 'state',
    'settings', 'groups', 'maximize', 'closure', 'given twice', 'float32', 'mock GPU']
    """
    if not callable(make):
        raise TypeError(
            f"check_optimizer takes a function from a list of parameters to an optimizer, got "
            f"{make!r:.80}; write lambda parameters: ..."
        )
    made = make(optimizer_checks.sample_parameters())
    if not (hasattr(made, "step") and hasattr(made, "param_groups")):
        raise TypeError(f"check_optimizer: make(parameters) returned {made!r:.80}, no optimizer")
    checks: list[Step] = [
        ("zero_grad", lambda: optimizer_checks.check_zero_grad(make), REMEDY),
        ("update", lambda: optimizer_checks.check_update(make), REMEDY),
        ("gradients", lambda: optimizer_checks.check_gradients(make), REMEDY),
        ("one by one", lambda: optimizer_checks.check_one_by_one(make), REMEDY),
    ]
    if simple is not None:
        checks.append(
            ("simple loop", lambda: optimizer_checks.check_simple(make, simple, steps), REMEDY)
        )
    checks += [
        ("descent", lambda: optimizer_checks.check_descent(make, steps, fraction), REMEDY),
        ("no gradient", lambda: optimizer_checks.check_skipping(make), REMEDY),
        ("state", lambda: optimizer_checks.check_state(make), REMEDY),
        ("settings", lambda: optimizer_checks.check_settings(make), REMEDY),
        ("groups", lambda: optimizer_checks.check_groups(make), REMEDY),
        ("maximize", lambda: optimizer_checks.check_maximize(make), REMEDY),
        ("closure", lambda: optimizer_checks.check_closure(make), REMEDY),
        ("given twice", lambda: optimizer_checks.check_given_twice(make), REMEDY),
        ("float32", lambda: optimizer_checks.check_float32(make), REMEDY),
        (
            "mock GPU",
            lambda: optimizer_checks.check_mock(make),
            "write xp_of(parameter) instead of np",
        ),
    ]
    with device("cpu"):
        return run_steps(name_of(type(made)), checks)
