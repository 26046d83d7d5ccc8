"""Keeping the checkpoint with the lowest validation loss."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.checkpoint_folder import BEST


class BestCheckpoint(Callback):
    """Saves ``best.npz`` in the run's folder at each evaluation whose loss is the lowest so far.

    It is a whole checkpoint, which a run can be resumed from, besides the newest ones.

    Attributes
    ----------
    best : float
        The loss of the saved one, infinity before the first.

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

    def on_run_start(self, trainer: Any) -> None:
        """Make sure that there will be something to save, and a place for it."""
        if trainer.out is None or trainer.validation_loader is None:
            raise ValueError("BestCheckpoint needs out=... and validation_loader=...")

    def on_evaluation(self, trainer: Any, loss: float) -> None:
        """Save, if the loss is the lowest so far; NaN never is."""
        if loss < self.best:
            self.best = loss
            trainer.save_as(trainer.out / BEST)

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest loss so far."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved one."""
        self.best = float(state["best"])
