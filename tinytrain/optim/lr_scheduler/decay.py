"""Learning rates that fall in steps or at a steady pace: StepLR, MultiStepLR, ExponentialLR."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from tinytrain.optim.lr_scheduler.base import LRScheduler
from tinytrain.optim.lr_scheduler.checks import (
    check_count,
    check_range,
    check_state,
    list_of_milestones,
)
from tinytrain.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """Multiply the rate by gamma every `step_size` steps: base gamma^floor(t / step_size).

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    state_names = ("step_size", "gamma")

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_count("StepLR", "step_size", self.step_size)
        check_range("StepLR", "gamma", self.gamma, 0, math.inf)
        self.step_size = int(self.step_size)

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self.present_lrs()
        return self.scaled(self.gamma)

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [base * factor for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiply the rate by gamma at each milestone.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Numbers of steps, in any order; one given twice counts twice.
    gamma : float
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    state_names = ("milestones", "gamma")

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = list_of_milestones("MultiStepLR", milestones), gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        self.milestones = sorted(list_of_milestones("MultiStepLR", self.milestones))
        check_range("MultiStepLR", "gamma", self.gamma, 0, math.inf)

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        return self.scaled(self.gamma ** self.milestones.count(self.last_epoch))

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        factor = self.gamma ** bisect_right(self.milestones, self.last_epoch)
        return [base * factor for base in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position; PyTorch saves how often each milestone counts."""
        check_state(state_dict)
        saved = state_dict.get("milestones")
        if isinstance(saved, Mapping):
            listed = sorted(step for step, times in saved.items() for _ in range(times))
            state_dict = {**state_dict, "milestones": listed}
        super().load_state_dict(state_dict)


class ExponentialLR(LRScheduler):
    """Multiply the rate by gamma at every step: base gamma^t.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    state_names = ("gamma",)

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_range("ExponentialLR", "gamma", self.gamma, 0, math.inf)

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        return self.present_lrs() if self._is_initial else self.scaled(self.gamma)

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]
