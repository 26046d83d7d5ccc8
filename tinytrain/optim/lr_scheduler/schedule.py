"""Schedules that are a factor on the base rates, by step: the simplest to write."""

from tinytrain.optim.lr_scheduler.base import LRScheduler


class Schedule(LRScheduler):
    """The base of schedules that are a factor on each group's base rate, by step.

    A subclass defines `factor`, and names in `state_names` the attributes that it depends on.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Halving(Schedule):
    ...     def factor(self, step):
    ...         return 0.5**step
    >>> schedule = Halving(tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=8.0))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [4.0]
    """

    def factor(self, step: int) -> float:
        """Return what the base learning rates are multiplied by at a step, from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define factor()")

    def get_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        factor = self.factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]


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
