"""Ending a run that does not get better any more."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain.checks import whole_number
from tinytrain.train.callback import Callback


class EarlyStopping(Callback):
    """Stops when the validation loss was not better than the best so far several times in a row.

    Parameters
    ----------
    patience : int
        How many evaluations in a row may pass without a better loss, at least 1.
    min_delta : float
        A loss is better if it is lower than the best one by more than this.

    Attributes
    ----------
    best : float
        The best loss so far, infinity before the first one.
    best_step : int or None
        The step of it.

    Raises
    ------
    ValueError
        A setting makes no sense; or, at the start of a run, it has no ``eval_every``.

    Examples
    --------
    >>> class Run:
    ...     step, stop = 10, print
    >>> stopping = EarlyStopping(patience=2)
    >>> for loss in (1.0, 0.5, 0.7, 0.6):
    ...     stopping.on_evaluation(Run, loss)
    the validation loss was not below 0.5 (of step 10) for 2 evaluations
    """

    def __init__(self, patience: int = 3, min_delta: float = 0.0) -> None:
        patience = whole_number("patience", patience)
        if not (min_delta >= 0 and math.isfinite(min_delta)):
            raise ValueError(f"min_delta must be at least 0 and finite, got {min_delta}")
        self.patience, self.min_delta = patience, min_delta
        self.best, self.waited = math.inf, 0
        self.best_step: int | None = None

    def on_run_start(self, trainer: Any) -> None:
        """Stop again a run that had stopped."""
        if trainer.eval_every is None:
            raise ValueError("EarlyStopping looks at the validation loss: give eval_every")
        self._stop_if_due(trainer)

    def on_evaluation(self, trainer: Any, loss: float) -> None:
        """Compare the loss with the best one; NaN is never better."""
        if loss < self.best - self.min_delta:
            self.best, self.best_step, self.waited = loss, trainer.step, 0
        else:
            self.waited += 1
        self._stop_if_due(trainer)

    def _stop_if_due(self, trainer: Any) -> None:
        if self.waited < self.patience:
            return
        if self.best_step is None:
            trainer.stop(f"the validation loss was NaN or infinite in {self.waited} evaluations")
        else:
            trainer.stop(
                f"the validation loss was not below {self.best - self.min_delta:.6g} (of step "
                f"{self.best_step}) for {self.waited} evaluations"
            )

    def settings(self) -> dict[str, Any]:
        """Return patience and smallest difference."""
        return {"patience": self.patience, "min_delta": self.min_delta}

    def state_dict(self) -> dict[str, Any]:
        """Return the best loss, its step, and how many evaluations have passed since."""
        return {"best": self.best, "best_step": self.best_step, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved state; the settings stay those given."""
        step = state["best_step"]
        waited = whole_number("waited", state["waited"], least=0)
        step = None if step is None else whole_number("best_step", step, least=0)
        self.best, self.best_step, self.waited = checked_loss(state["best"]), step, waited


def checked_loss(value: Any) -> float:
    """Return a saved loss; raise a ValueError where it is no number, or NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"a saved loss is {value!r:.40}")
    return float(value)
