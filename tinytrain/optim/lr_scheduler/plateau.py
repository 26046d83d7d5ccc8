"""ReduceLROnPlateau: a lower learning rate where a metric stops improving."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain.optim.lr_scheduler.base import LRScheduler, check_optimizer, one_per_group
from tinytrain.optim.lr_scheduler.checks import (
    check_count,
    check_number,
    check_range,
    check_state,
)
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by a factor when a metric has not improved for a while.

    The trainer gives it the validation loss, at each evaluation.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    factor : float
        From 0 to below 1.
    patience : int
        How many steps in a row without improvement are allowed; the next one lowers the rate.
    threshold : float
        How much an improvement is, at least.
    threshold_mode : {"rel", "abs"}
        Whether the threshold is a share of the best metric so far.
    cooldown : int
        How many steps after a reduction do not count.
    min_lr : float or list of float
        No rate is set below; one for all groups, or one for each.
    eps : float
        A change of at most this is left out.

    Raises
    ------
    ValueError
        A setting makes no sense.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.5, 2.1]:
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    state_names = (
        "mode",
        "factor",
        "patience",
        "threshold",
        "threshold_mode",
        "cooldown",
        "default_min_lr",
        "min_lrs",
        "eps",
        "best",
        "cooldown_counter",
        "num_bad_epochs",
        "mode_worse",
    )

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer, self.mode, self.factor = optimizer, mode, factor
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs: list[float] = one_per_group(optimizer, "min_lr", min_lr)
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.best = self.mode_worse
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self.check_settings()
        self._last_lr = self.present_lrs()

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        name = "ReduceLROnPlateau"
        if self.mode not in ("min", "max") or self.threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{name}: mode is 'min' or 'max' and threshold_mode 'rel' or 'abs', "
                f"got {self.mode!r} and {self.threshold_mode!r}"
            )
        check_range(name, "factor", self.factor, -math.inf, math.inf)
        if not 0 <= self.factor < 1:
            raise ValueError(f"{name}: factor must be from 0 to below 1, got {self.factor}")
        for count in ("patience", "cooldown", "cooldown_counter", "num_bad_epochs"):
            check_count(name, count, getattr(self, count), low=0)
            setattr(self, count, int(getattr(self, count)))
        check_range(name, "eps", self.eps, 0, math.inf)
        check_number(name, "threshold", self.threshold)
        check_range(name, "best", self.best, -math.inf, math.inf)
        if not isinstance(self.min_lrs, list):
            raise TypeError(f"{name}: min_lrs must be a list of numbers, got {self.min_lrs!r:.60}")
        for lowest in self.min_lrs:
            check_range(name, "min_lr", lowest, 0, math.inf)

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # this one needs the metric
        """Take the metric of one more epoch, and lower the learning rates if that is due.

        Parameters
        ----------
        metrics : float or Tensor of one element
        """
        metric = metrics.cpu().item() if isinstance(metrics, Tensor) else float(metrics)
        self.last_epoch += 1
        if self._improves(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self.present_lrs()

    def _improves(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            needed = self.best * (1 + sign * self.threshold)
        else:
            needed = self.best + sign * self.threshold
        return metric < needed if self.mode == "min" else metric > needed

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"{len(groups)} parameter groups, but min_lr is of {len(self.min_lrs)}: "
                    "set min_lrs to a list of one per group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                group["lr"] = new

    def state_dict(self) -> dict[str, Any]:
        """Return the state; a best metric that there is not yet is None, as JSON has no infinity.

        `mode` tells the rest.
        """
        state = super().state_dict()
        del state["mode_worse"]
        return {**state, "best": None if math.isinf(self.best) else self.best}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position; the optimizer's groups get the saved rates."""
        check_state(state_dict)
        worst = math.inf if state_dict.get("mode") == "min" else -math.inf
        best = state_dict.get("best", worst)
        found = {"best": worst if best is None else best, "mode_worse": worst}
        super().load_state_dict({**state_dict, **found})

    def _saved_names(self) -> tuple[str, ...]:
        return ("last_epoch", "_last_lr", *self.state_names)
