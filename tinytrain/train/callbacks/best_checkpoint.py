"""Keeping the checkpoint with the lowest validation loss."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain.checks import whole_number
from tinytrain.train.callback import Callback
from tinytrain.train.callbacks.early_stopping import checked_loss
from tinytrain.train.checkpoint import CheckpointError, read_manifest
from tinytrain.train.checkpoint_folder import BEST
from tinytrain.train.say import say


class BestCheckpoint(Callback):
    """Saves ``best.npz`` in the run's folder at each evaluation whose loss is the lowest so far.

    It is a whole checkpoint, which a run can be resumed from, besides the newest ones, and is saved
    when all callbacks have seen the evaluation. The model's weights in it are those that were
    evaluated: the average, where an `ExponentialMovingAverage` evaluates with it; `load_weights`
    gives them to a model. (The weights that are trained are in it then as well, for resuming.)

    A run that goes on from a checkpoint at which another file was the best, or in another folder,
    looks for the best anew: what it saves is the best from there on.

    Attributes
    ----------
    best : float
        The loss of the saved one, infinity before the first.
    best_step : int or None
        The step of it.

    Raises
    ------
    ValueError
        At the start of a run: it has no folder, or no validation data.

    Examples
    --------
    >>> BestCheckpoint().best
    inf
    """

    def __init__(self) -> None:
        self.best = math.inf
        self.best_step: int | None = None

    def on_run_start(self, trainer: Any) -> None:
        """Make sure that there will be something to save, and a place for it."""
        if trainer.out is None or trainer.validation_loader is None:
            raise ValueError("BestCheckpoint needs out=... and validation_loader=...")
        path = trainer.out / BEST
        if self.best_step is not None and _step_of(path) != self.best_step:
            say(
                f"{path} is not that of step {self.best_step} (validation loss {self.best:.6g}) "
                "any more: the best is looked for anew"
            )
            self.best, self.best_step = math.inf, None

    def on_evaluation_end(self, trainer: Any, loss: float) -> None:
        """Save, if the loss is the lowest so far; NaN never is."""
        if loss < self.best:
            self.best, self.best_step = loss, trainer.step
            trainer.save_as(trainer.out / BEST, evaluated=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest loss so far, and its step."""
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved one."""
        step = state.get("best_step")
        step = None if step is None else whole_number("best_step", step, least=0)
        best = checked_loss(state["best"])
        # What does not know its step is of an earlier version: its file cannot be told.
        self.best, self.best_step = (math.inf, None) if step is None else (best, step)


def _step_of(path: Path) -> int | None:
    """Return the step of a checkpoint, None if it cannot be read."""
    try:
        step = read_manifest(path)["state"].get("step")
    except (CheckpointError, FileNotFoundError):
        return None
    return step if isinstance(step, int) else None
