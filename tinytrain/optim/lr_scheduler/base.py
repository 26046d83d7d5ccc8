"""What all learning-rate schedules share: where they are, and how they reach the optimizer."""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

from tinytrain.optim.lr_scheduler.checks import check_count, check_state, check_values
from tinytrain.optim.optimizer import Optimizer

FLAGS_OF_TORCH = {
    "_step_count",
    "_is_initial",
    "_get_lr_called_within_step",
    "use_beta1",
    "verbose",
}
"""What PyTorch saves beside a schedule's state, and what is known without it here."""


class LRScheduler:
    """The base of schedules: it sets the groups' learning rates, at each `step` anew.

    The rates of step 0 are set when the schedule is made. A subclass computes the rates in
    `get_lr`, from the groups' present rates, or from `base_lrs` and `last_epoch`. Schedules that
    compute from the present rates can be chained: several may move one optimizer in turn, and
    their factors multiply.

    Parameters
    ----------
    optimizer : Optimizer
        A group's ``"initial_lr"`` is its base rate. It is the rate the group has when the first
        schedule is made for it, unless it was given.
    last_epoch : int
        The step before the first; above -1 the groups must have an ``"initial_lr"``, and their
        present rates must be those of that step. To go on with a run, `load_state_dict` is safer.

    Attributes
    ----------
    last_epoch : int
        The number of the step whose learning rates are set.
    base_lrs : list of float

    Raises
    ------
    TypeError
        `optimizer` is none.
    ValueError
        A setting makes no sense, or a learning rate comes out that is no finite number.
    KeyError
        `last_epoch` is above -1 and a group has no ``"initial_lr"``.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Halving(LRScheduler):
    ...     def get_lr(self):
    ...         return [rate / 2**self.last_epoch for rate in self.base_lrs]
    >>> schedule = Halving(tt.optim.SGD([tt.nn.Parameter(tt.ones(1))], lr=1.0))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    """The attributes of a subclass that belong to its state."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        check_count(type(self).__name__, "last_epoch", last_epoch, low=-1)
        self.check_settings()
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"parameter group {number} has no 'initial_lr', which a schedule needs to "
                    f"start after step {last_epoch}: load the optimizer's state first"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._start()

    def _start(self) -> None:
        """Make the first step, which sets the rates that a run starts with."""
        self._is_initial = True
        self._advance()
        self._is_initial = False

    def check_settings(self) -> None:
        """Raise where an attribute named in `state_names` makes no sense; by default never.

        Called when the schedule is made, and for a state that is loaded.
        """

    def get_lr(self) -> list[float]:
        """Compute the learning rate of each group at the step `last_epoch`, just reached."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def closed_form_lr(self) -> list[float]:
        """Compute the same without the groups' present rates: what `get_lr` does by default."""
        return self.get_lr()

    def step(self) -> None:
        """Set the learning rates of the next step; to be called after the optimizer's."""
        self._advance()

    def _advance(self) -> None:
        self._check_groups()
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Set the learning rates of step 0, whatever they are now."""
        self._check_groups()
        self.last_epoch = 0
        self._set(self.closed_form_lr())

    def _check_groups(self) -> None:
        count = len(self.optimizer.param_groups)
        if count != len(self.base_lrs):
            raise ValueError(
                f"a schedule of {len(self.base_lrs)} base rates for {count} parameter groups: make "
                "the schedule after the last add_param_group"
            )

    def _set(self, rates: list[float]) -> None:
        for number, rate in enumerate(rates):
            if not math.isfinite(rate):
                raise ValueError(
                    f"{type(self).__name__}: at step {self.last_epoch} the learning rate of group "
                    f"{number} would be {rate}; no rate was changed"
                )
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    def present_lrs(self) -> list[float]:
        """Return the groups' learning rates as they are now, somebody else's changes included."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def scaled(self, factor: float) -> list[float]:
        """Return the groups' present learning rates times a factor."""
        return [rate * factor for rate in self.present_lrs()]

    def get_last_lr(self) -> list[float]:
        """Return the learning rate that this schedule gave each parameter group last."""
        return list(self._last_lr)

    # ---------------------------------------------------------------- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return copies of position, base rates, last rates and settings, by PyTorch's names."""
        return {name: deepcopy(getattr(self, name)) for name in self._saved_names()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position; the optimizer's groups get the saved rates.

        A state of PyTorch's schedule of the same name is taken too. Load the optimizer's state
        first, and the states of chained schedules in the order in which they step.

        Raises
        ------
        ValueError, TypeError
            The state is of another schedule, or of another number of parameter groups, or a value
            makes no sense. Nothing is changed then.
        """
        check_state(state_dict)
        names = self._saved_names()
        missing = sorted(set(names) - set(state_dict))
        extra = sorted(set(state_dict) - set(names) - FLAGS_OF_TORCH)
        if missing or extra:
            raise ValueError(
                f"the state is not of {type(self).__name__}: missing {missing}, unexpected {extra}"
            )
        check_values(type(self).__name__, state_dict, names)
        for name in {"base_lrs", "_last_lr"} & set(names):
            if len(state_dict[name]) != len(self.optimizer.param_groups):
                raise ValueError(
                    f"the schedule's state is of {len(state_dict[name])} parameter groups, "
                    f"this one has {len(self.optimizer.param_groups)}"
                )
        before = {name: getattr(self, name) for name in names}
        vars(self).update({name: deepcopy(state_dict[name]) for name in names})
        try:
            self.check_settings()
            self.restore()
        except (TypeError, ValueError):
            vars(self).update(before)
            raise

    def restore(self) -> None:
        """Set again what the schedule set at the step it has reached: its state was loaded."""
        self._set(self._last_lr)

    def _saved_names(self) -> tuple[str, ...]:
        return ("last_epoch", "base_lrs", "_last_lr", *self.state_names)


def check_optimizer(optimizer: Any) -> None:
    """Raise where something is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule moves an Optimizer's learning rates, got {optimizer!r:.60}")


def one_per_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """Return a list of one value per parameter group: the given list, or the value repeated.

    Raises
    ------
    ValueError
        A list of another length was given.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: {len(value)} values for {count} parameter groups")
    return list(value)
