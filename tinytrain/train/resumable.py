"""Saving a run and continuing it."""

from pathlib import Path

from tinytrain.nn.module import Module
from tinytrain.optim.lr_scheduler import LRScheduler
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train import run_state
from tinytrain.train.callback_list import CallbackList
from tinytrain.train.checkpoint import load_checkpoint, save_checkpoint
from tinytrain.train.checkpoint_folder import CheckpointFolder
from tinytrain.train.finite import FiniteWatch
from tinytrain.train.meter import Meter
from tinytrain.train.micro_batches import MicroBatches
from tinytrain.train.windows import WindowStream


class Resumable:
    """The part of a `Trainer` that saves it and brings it back; the trainer sets the attributes."""

    model: Module
    optimizer: Optimizer
    schedule: LRScheduler | None
    windows: WindowStream
    meter: Meter
    micro_batches: MicroBatches
    callbacks: CallbackList
    finite: FiniteWatch
    checkpoints: CheckpointFolder | None
    config: dict[str, object]
    max_steps: int
    step = 0
    last_evaluation: tuple[int, float] | None = None
    last_checkpoint: Path | None = None

    def save(self) -> Path:
        """Write a checkpoint of everything that continuing bit for bit needs, and return its path.

        Older checkpoints than the newest `keep_checkpoints` good ones are deleted afterwards.
        """
        if self.checkpoints is None:
            raise ValueError("saving needs a folder: give out=...")
        self.finite.look_back(self.step + 1)
        path = self.checkpoints.save(self.step, *run_state.capture(self))
        self.last_checkpoint = path
        return path

    def save_as(self, path: str | Path) -> None:
        """Write such a checkpoint under another name; it is neither counted nor deleted."""
        self.finite.look_back(self.step + 1)
        save_checkpoint(Path(path), *run_state.capture(self))

    def resume(self, source: str | Path) -> Path | None:
        """Continue where a checkpoint was written; call it before `fit`.

        Parameters
        ----------
        source : path or "auto"
            ``"auto"`` takes the newest readable checkpoint in `out`, and names those it cannot
            read.

        Returns
        -------
        Path or None
            The checkpoint; None where ``"auto"`` found none and the run starts afresh.

        Raises
        ------
        CheckpointError
            The file is damaged, or is of another model or optimizer; nothing is changed then. Or
            there are checkpoints in `out`, but none is readable.
        FileNotFoundError
            There is no such file.
        """
        if source == "auto":
            return self._resume_newest()
        path = Path(source)
        run_state.restore(self, path, *load_checkpoint(path))
        self.last_checkpoint = path
        return path

    def _resume_newest(self) -> Path | None:
        if self.checkpoints is None:
            raise ValueError("resuming with 'auto' needs a folder: give out=...")
        newest = self.checkpoints.newest_readable()
        if newest is None:
            return None
        path, arrays, state = newest
        run_state.restore(self, path, arrays, state)
        self.last_checkpoint = path
        return path
