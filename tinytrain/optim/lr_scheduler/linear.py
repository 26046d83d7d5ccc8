"""Learning rates on a line, or a power of one: ConstantLR, LinearLR, PolynomialLR."""

import math

from tinytrain.optim.lr_scheduler.base import LRScheduler
from tinytrain.optim.lr_scheduler.checks import check_above_zero, check_count, check_range
from tinytrain.optim.optimizer import Optimizer


class ConstantLR(LRScheduler):
    """A share of the rate for the first steps, then the full rate.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float
        The share, above 0 and up to 1.
    total_iters : int
        The step of the full rate.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ConstantLR(optimizer, factor=0.5, total_iters=1)
    >>> before = schedule.get_last_lr()
    >>> schedule.step()
    >>> before, schedule.get_last_lr()
    ([0.5], [1.0])
    """

    state_names = ("factor", "total_iters")

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_count("ConstantLR", "total_iters", self.total_iters)
        check_above_zero("ConstantLR", "factor", self.factor, high=1)
        self.total_iters = int(self.total_iters)

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self.last_epoch == 0:
            return self.scaled(self.factor)
        return self.scaled(1 / self.factor if self.last_epoch == self.total_iters else 1)

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        factor = 1 if self.last_epoch >= self.total_iters else self.factor
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """From one share of the rate to another in equal steps, and then the latter.

    base (start + (end - start) min(t, n) / n), with n = `total_iters`.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        Above 0 and up to 1.
    end_factor : float
        From 0 to 1.
    total_iters : int
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    state_names = ("start_factor", "end_factor", "total_iters")

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_count("LinearLR", "total_iters", self.total_iters)
        check_above_zero("LinearLR", "start_factor", self.start_factor, high=1)
        check_range("LinearLR", "end_factor", self.end_factor, 0, 1)
        self.total_iters = int(self.total_iters)

    def _factor(self, step: int) -> float:
        share = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self.last_epoch == 0:
            return self.scaled(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self.present_lrs()
        return self.scaled(self._factor(self.last_epoch) / self._factor(self.last_epoch - 1))

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        return [base * self._factor(self.last_epoch) for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """Down to 0 as a power of the share of steps left: base (1 - min(t, n) / n)^power.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int
        n, the step at which the rate is 0.
    power : float
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> schedule.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    state_names = ("total_iters", "power")

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_count("PolynomialLR", "total_iters", self.total_iters)
        check_range("PolynomialLR", "power", self.power, 0, math.inf)
        self.total_iters = int(self.total_iters)

    def _left(self, step: int) -> float:
        return 1 - min(step, self.total_iters) / self.total_iters

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self.present_lrs()
        share = self._left(self.last_epoch) / self._left(self.last_epoch - 1)
        return self.scaled(share**self.power)

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        return [base * self._left(self.last_epoch) ** self.power for base in self.base_lrs]
