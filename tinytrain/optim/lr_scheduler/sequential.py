"""Schedules made of schedules: SequentialLR one after the other, ChainedScheduler all at once."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinytrain.optim.lr_scheduler.base import LRScheduler, check_optimizer
from tinytrain.optim.lr_scheduler.checks import check_count, check_state, list_of_milestones
from tinytrain.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinytrain.optim.optimizer import Optimizer


class _Composed(LRScheduler):
    """What both share: a list of schedules of one optimizer, whose states are saved together."""

    def _take(self, optimizer: Any, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        _check_sequence(name, schedulers)
        check_optimizer(optimizer)
        if not schedulers:
            raise ValueError(f"{name} got no schedules")
        for number, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler):
                raise TypeError(f"{name}: number {number} is no schedule: {schedule!r:.60}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: number {number} is a ReduceLROnPlateau, whose step needs a metric"
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{name}: number {number} was made for another optimizer")
        self.optimizer, self._schedulers = optimizer, list(schedulers)

    def _check_different(self) -> None:
        """Raise where one schedule stands twice: it would move at both places' steps."""
        places = [id(schedule) for schedule in self._schedulers]
        for number, place in enumerate(places):
            if place in places[:number]:
                raise ValueError(
                    f"{type(self).__name__}: numbers {places.index(place)} and {number} are one "
                    "schedule: make one for each place"
                )

    def state_dict(self) -> dict[str, Any]:
        """Return the own state, with the states of all schedules."""
        own = super().state_dict()
        return {**own, "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position.

        Raises
        ------
        ValueError
            The state is of other schedules. Nothing is changed then.
        """
        check_state(state_dict)
        states = state_dict.get("_schedulers")
        if not isinstance(states, list) or len(states) != len(self._schedulers):
            raise ValueError(f"the state is not of {len(self._schedulers)} schedules")
        before = [schedule.state_dict() for schedule in self._schedulers]
        rates = self.present_lrs()
        try:
            for schedule, state in zip(self._schedulers, states, strict=True):
                schedule.load_state_dict(state)
            super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        except (LookupError, TypeError, ValueError):
            for schedule, state in zip(self._schedulers, before, strict=True):
                schedule.load_state_dict(state)
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            raise


def _check_sequence(name: str, schedulers: Any) -> None:
    if not isinstance(schedulers, Sequence) or isinstance(schedulers, str):
        raise TypeError(f"{name} takes a list of schedules, got {schedulers!r:.60}")


class SequentialLR(_Composed):
    """One schedule after the other: the next begins, at its step 0, at each milestone.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
        All made for this optimizer.
    milestones : list of int
        One less than schedules, rising.
    last_epoch : int
        The step before the first.

    Examples
    --------
    >>> import tinytrain as tt
    >>> from tinytrain.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> first = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> second = ExponentialLR(optimizer, gamma=0.25)
    >>> schedule = SequentialLR(optimizer, [first, second], milestones=[2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.25]
    """

    state_names = ("_milestones",)
    _is_initial = False

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(optimizer, schedulers)
        self._milestones = list_of_milestones("SequentialLR", milestones)
        self.check_settings()
        check_count("SequentialLR", "last_epoch", last_epoch, low=-1)
        self._check_different()
        for schedule in schedulers[1:]:
            if isinstance(schedule, SequentialLR):
                raise ValueError("SequentialLR: give the inner one's schedules to the outer one")
        self.last_epoch = last_epoch + 1
        # Each schedule has set the rates of its own start: undo that, and start the first anew.
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self._set(self.base_lrs)
        self._undo()
        self._schedulers[bisect_right(self._milestones, 0)]._start()
        self._last_lr = self.present_lrs()

    def check_settings(self) -> None:
        """Raise where the milestones are not one less than schedules, and rising."""
        milestones = list_of_milestones("SequentialLR", self._milestones)
        count = len(self._schedulers)
        if len(milestones) != count - 1 or sorted(set(milestones)) != milestones:
            raise ValueError(
                f"SequentialLR: {count} schedules take {count - 1} milestones, in rising order; "
                f"got {milestones}"
            )
        self._milestones = milestones

    def _undo(self) -> None:
        """Take the schedules back to before their first step, which each made when it was made."""
        for schedule in self._schedulers:
            if isinstance(schedule, SequentialLR):
                schedule._undo()
                schedule.last_epoch = -1
            else:
                schedule.last_epoch -= 1

    def _advance(self) -> None:
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[number]
        if number and self._milestones[number - 1] == self.last_epoch:
            schedule.restart()
        elif self._is_initial:
            schedule._start()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def restore(self) -> None:
        """Set again what the schedule that is running had set: it may be more than the rates."""
        self._schedulers[bisect_right(self._milestones, self.last_epoch)].restore()
        super().restore()


class ChainedScheduler(_Composed):
    """Several schedules at once: each steps in turn, and the factors multiply.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        The one that the schedules were made for.

    Examples
    --------
    >>> import tinytrain as tt
    >>> from tinytrain.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> first = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> second = ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = ChainedScheduler([first, second])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        _check_sequence("ChainedScheduler", schedulers)
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None) if schedulers else None
            if optimizer is None:
                raise ValueError("ChainedScheduler got no schedules")
        self._take(optimizer, schedulers)
        self._check_different()
        self._last_lr = self.present_lrs()

    def _saved_names(self) -> tuple[str, ...]:
        return ("_last_lr",)  # the place is that of its schedules

    def _advance(self) -> None:
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self.present_lrs()
