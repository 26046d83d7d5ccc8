"""Learning rates that change from step to step."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain.optim.optimizer import Optimizer


class Schedule:
    """The base of schedules: a factor on each group's first learning rate, by step.

    The rate of step 0 is set when the schedule is made; `step` sets that of the next.

    Parameters
    ----------
    optimizer : Optimizer
        The learning rates it has now count as the base rates.

    Attributes
    ----------
    last_epoch : int
        The number of the step whose learning rate is set.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def factor(self, step: int) -> float:
        """Return what the base learning rates are multiplied by at a step, from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define factor()")

    def step(self) -> None:
        """Set the learning rates of the next step."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"a schedule of {len(self.base_lrs)} base rates for {len(groups)} parameter "
                "groups: make the schedule after the last add_param_group"
            )
        factor = self.factor(self.last_epoch)
        for group, base in zip(groups, self.base_lrs, strict=True):
            group["lr"] = base * factor

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the position and the base rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position.

        Raises
        ------
        ValueError
            The state is of another number of parameter groups. Nothing is changed then.
        """
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise ValueError(
                f"the schedule's state is of {len(state_dict['base_lrs'])} parameter groups, "
                f"this one has {len(self.base_lrs)}"
            )
        self.last_epoch = int(state_dict["last_epoch"])
        self.base_lrs = [float(rate) for rate in state_dict["base_lrs"]]
        self._apply()


class ConstantSchedule(Schedule):
    """The learning rate as it is, at every step.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=0.5)
    >>> ConstantSchedule(optimizer).get_last_lr()
    [0.5]
    """

    def factor(self, step: int) -> float:
        """Return 1."""
        return 1.0


class WarmupCosine(Schedule):
    """A linear rise over the first steps, then half a cosine down to a floor, and the floor after.

    With w warm-up steps of n in all, at step t = 0, 1, ...: the factor is (t + 1) / (w + 1) for
    t < w; then floor + (1 - floor) (1 + cos(pi (t - w) / (n - w))) / 2 for t < n; then the floor.
    So step 0 already learns, the full rate comes at step w, every one of the n steps has a rate
    above 0, and after them the rate stays at the floor instead of rising again.

    Parameters
    ----------
    optimizer : Optimizer
    warmup_steps : int
        From 0 to `total_steps`.
    total_steps : int
        At least 1.
    floor : float
        The last rate as a share of the full one, in 0 to 1.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    arXiv 1608.03983, equation 5 (here without restarts).

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = WarmupCosine(optimizer, warmup_steps=2, total_steps=4, floor=0.1)
    >>> [round(schedule.factor(step), 3) for step in range(6)]
    [0.333, 0.667, 1.0, 0.55, 0.1, 0.1]
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, total_steps: int, floor: float = 0.0
    ) -> None:
        if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
            raise ValueError(
                f"warm-up of {warmup_steps} steps of {total_steps}: give 0 <= warm-up <= total, "
                "and a total of at least 1"
            )
        if not 0 <= floor <= 1:
            raise ValueError(f"the floor is a share of the full rate, 0 to 1, got {floor}")
        self.warmup_steps, self.total_steps, self.floor = warmup_steps, total_steps, floor
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Return the share of the full learning rate at a step, from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if step >= self.total_steps:
            return self.floor
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))

    def state_dict(self) -> dict[str, Any]:
        """Return the position, the base rates and the shape of the curve."""
        shape = {name: getattr(self, name) for name in ("warmup_steps", "total_steps", "floor")}
        return {**super().state_dict(), **shape}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position on the saved curve."""
        self.warmup_steps = int(state_dict["warmup_steps"])
        self.total_steps, self.floor = int(state_dict["total_steps"]), float(state_dict["floor"])
        super().load_state_dict(state_dict)
