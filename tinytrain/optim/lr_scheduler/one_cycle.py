"""OneCycleLR: the learning rate up and down once, the momentum down and up."""

import math
from typing import Any

from tinytrain.optim.lr_scheduler.base import LRScheduler, check_optimizer, one_per_group
from tinytrain.optim.lr_scheduler.checks import (
    check_above_zero,
    check_count,
    check_number,
    check_range,
)
from tinytrain.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to `max_lr`, and down to far below where it began.

    The last rate is max_lr / div_factor / final_div_factor. Meanwhile the momentum (`momentum`, or
    the first of `betas`) goes the other way, from `max_momentum` to `base_momentum` and back.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float or list of float
        The highest rate; one for all groups, or one for each.
    total_steps : int, optional
        The length of the cycle; else it is `epochs` times `steps_per_epoch`. One step more is
        allowed, and then `step` raises.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        The share of the steps that go up.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool
    base_momentum, max_momentum : float or list of float
    div_factor, final_div_factor : float
    three_phase : bool
        Down to the first rate as fast as up, and to the last rate in the steps that are left.
    last_epoch : int
        See `LRScheduler`.

    Raises
    ------
    ValueError
        A setting makes no sense, or the optimizer has no momentum to cycle.

    References
    ----------
    L. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates", arXiv 1708.07120, section 3 (there in three phases).

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=0.5)
    >>> rates = schedule.get_last_lr()
    >>> for _ in range(10):
    ...     schedule.step()
    ...     rates += schedule.get_last_lr()
    >>> [round(rate, 2) for rate in rates]
    [0.04, 0.15, 0.44, 0.76, 0.97, 0.98, 0.83, 0.57, 0.29, 0.08, 0.0]
    """

    state_names = ("total_steps", "_schedule_phases", "_anneal_func_type", "cycle_momentum")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        check_range("OneCycleLR", "pct_start", pct_start, 0, 1)
        check_above_zero("OneCycleLR", "div_factor", div_factor)
        check_above_zero("OneCycleLR", "final_div_factor", final_div_factor)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, cycle_momentum
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{type(optimizer).__name__} has no momentum: give cycle_momentum=False"
            )
        highest = one_per_group(optimizer, "max_lr", max_lr)
        lowest = one_per_group(optimizer, "base_momentum", base_momentum)
        momenta = one_per_group(optimizer, "max_momentum", max_momentum)
        for rate in highest:
            check_range("OneCycleLR", "max_lr", rate, 0, math.inf)
            check_number("OneCycleLR", "max_lr", rate)
        if cycle_momentum:
            _check_momenta("base_momentum", lowest, "betas" in optimizer.defaults)
            _check_momenta("max_momentum", momenta, "betas" in optimizer.defaults)
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                initial = highest[i] / div_factor
                group["max_lr"], group["initial_lr"] = highest[i], initial
                group["min_lr"] = initial / final_div_factor
                if cycle_momentum:
                    group["max_momentum"], group["base_momentum"] = momenta[i], lowest[i]
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where the length, the phases or the curve make no sense."""
        check_count("OneCycleLR", "total_steps", self.total_steps)
        self.total_steps = int(self.total_steps)
        if self._anneal_func_type not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy is 'cos' or 'linear', got {self._anneal_func_type!r}"
            )
        if not isinstance(self._schedule_phases, list) or not self._schedule_phases:
            raise ValueError(f"OneCycleLR: no phases in {self._schedule_phases!r:.60}")
        for phase in self._schedule_phases:
            if not isinstance(phase, dict) or set(phase) != set(_phase(0, "", "", "", "")):
                raise ValueError(f"OneCycleLR: {phase!r:.60} is no phase of a cycle")
            check_number("OneCycleLR", "end_step", phase["end_step"])

    def get_lr(self) -> list[float]:
        """Compute the rates, and set the momenta."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {self.last_epoch} of {self.total_steps}: the cycle is over, "
                "and the schedule is to be moved no further"
            )
        self._set_momenta()
        phase, share = self._place()
        return [
            self._between(group[phase["start_lr"]], group[phase["end_lr"]], share)
            for group in self.optimizer.param_groups
        ]

    def restore(self) -> None:
        """Set the rates and the momenta of the step it has reached."""
        if self.cycle_momentum and not all(
            "max_momentum" in g for g in self.optimizer.param_groups
        ):
            raise ValueError(
                "the state is of a OneCycleLR that cycles the momentum, and the optimizer's groups "
                "have no 'max_momentum': load the optimizer's state first, or make this schedule "
                "with cycle_momentum=True"
            )
        super().restore()
        self._set_momenta()

    def _place(self) -> tuple[dict[str, Any], float]:
        """Return the phase of the step it has reached, and how much of the phase is over."""
        step, start = max(self.last_epoch, 0), 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        return phase, (step - start) / (end - start) if end != start else 1.0

    def _set_momenta(self) -> None:
        if not self.cycle_momentum:
            return
        phase, share = self._place()
        for group in self.optimizer.param_groups:
            low, high = group[phase["start_momentum"]], group[phase["end_momentum"]]
            self._set_momentum(group, self._between(low, high, share))

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    @staticmethod
    def _set_momentum(group: dict[str, Any], momentum: float) -> None:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


def _check_momenta(name: str, momenta: list[float], are_betas: bool) -> None:
    """Raise where a momentum is none: of Adam's kind, it lies below 1."""
    for momentum in momenta:
        check_range("OneCycleLR", name, momentum, 0, math.inf)
        if math.isinf(momentum) or (are_betas and momentum >= 1):
            raise ValueError(f"OneCycleLR: {name} must be below 1, got {momentum!r}")


def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """Return the number of steps, which is given in one of two ways."""
    if total_steps is not None:
        check_count("OneCycleLR", "total_steps", total_steps)
        return int(total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
    check_count("OneCycleLR", "epochs", epochs)
    check_count("OneCycleLR", "steps_per_epoch", steps_per_epoch)
    return int(epochs) * int(steps_per_epoch)


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """Return the parts of the cycle: where each ends, and between which values it moves."""
    up = pct_start * total_steps - 1
    rising = _phase(up, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    last = total_steps - 1
    if not three_phase:
        return [rising, _phase(last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    down = 2 * pct_start * total_steps - 2
    return [
        rising,
        _phase(down, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
        _phase(last, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
    ]


def _phase(
    end: float, start_lr: str, end_lr: str, start_momentum: str, end_momentum: str
) -> dict[str, Any]:
    return {
        "end_step": end,
        "start_lr": start_lr,
        "end_lr": end_lr,
        "start_momentum": start_momentum,
        "end_momentum": end_momentum,
    }
