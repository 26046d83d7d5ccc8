"""What a training run consists of."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinytrain.nn.module import Module
from tinytrain.optim.lr_scheduler import LRScheduler
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.accumulation import LossFunction
from tinytrain.train.callback_list import CallbackList
from tinytrain.train.checkpoint_folder import CheckpointFolder
from tinytrain.train.finite import FiniteWatch
from tinytrain.train.meter import Meter
from tinytrain.train.micro_batches import MicroBatches
from tinytrain.train.stop_signals import StopSignals
from tinytrain.train.windows import WindowStream


class Run:
    """The parts of a `Trainer`, which sets them; the classes between the two work with them.

    Attributes
    ----------
    settings : dict
        Those that act; see `run_settings`.
    step : int
        Optimizer steps made.
    last_evaluation : (int, float) or None
        The step of the newest evaluation, and its loss.
    last_checkpoint : Path or None
        The one written or loaded last.
    last_loss : float or None
        The training loss of the newest log record.
    stopped : str or None
        Why the run is to end before its last step.
    """

    model: Module
    optimizer: Optimizer
    loss_function: LossFunction
    schedule: LRScheduler | None
    windows: WindowStream
    micro_batches: MicroBatches
    callbacks: CallbackList
    meter: Meter
    finite: FiniteWatch
    signals: StopSignals
    validation_loader: Iterable[Any] | None
    out: Path | None
    checkpoints: CheckpointFolder | None
    config: dict[str, Any]
    settings: dict[str, Any]
    max_steps: int
    eval_every: int | None
    log_every: int
    save_every: int | None
    item_name: str
    progress: bool
    step = 0
    last_evaluation: tuple[int, float] | None = None
    last_checkpoint: Path | None = None
    last_loss: float | None = None
    stopped: str | None = None
