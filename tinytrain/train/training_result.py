"""What a training run ended with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingResult:
    """What a run ended with.

    Attributes
    ----------
    step : int
        Optimizer steps made, earlier parts of a resumed run included.
    epoch : int
        Epochs finished.
    training_loss : float or None
        The loss per item over the steps that the last log record covers, which an earlier part of
        the run may have written; None if there is no record yet.
    validation_loss : float or None
        The loss per item over the validation data, at the end.
    checkpoint : Path or None
        The last checkpoint written.
    stopped : str or None
        Why the run ended before its last step, if a callback stopped it.

    Examples
    --------
    >>> TrainingResult(300, 5, 0.25, 0.5, None, "early stopping").validation_loss
    0.5
    """

    step: int
    epoch: int
    training_loss: float | None
    validation_loss: float | None
    checkpoint: Path | None
    stopped: str | None = None
