"""Saving a run and continuing it."""

from pathlib import Path

from tinytrain.nn.module import Module
from tinytrain.train import run_state
from tinytrain.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tinytrain.train.run import Run


class Resumable(Run):
    """The part of a `Trainer` that saves it and brings it back."""

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

    def save_as(self, path: str | Path, evaluated: bool = False) -> None:
        """Write such a checkpoint under another name; it is neither counted nor deleted.

        Parameters
        ----------
        path : path
        evaluated : bool
            Whether the model's weights in it are those that evaluations see, where callbacks lend
            it others, such as a moving average. Resuming goes on with those that are trained.
        """
        self.finite.look_back(self.step + 1)
        capture = run_state.capture_evaluated if evaluated else run_state.capture
        save_checkpoint(path, *capture(self))

    def resume(self, source: str | Path) -> Path | None:
        """Continue where a checkpoint was written; call it before `fit`.

        Settings that differ from the checkpoint's are printed, a line each, which says which of
        both acts.

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
            The file is damaged, or is of another model, optimizer or schedule, or makes no sense;
            nothing is changed then. Or there are checkpoints in `out`, but none is readable.
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


def load_weights(path: str | Path, model: Module) -> None:
    """Load the parameters and buffers of a checkpoint into a model, and nothing else.

    Of ``best.npz`` those are the weights whose validation loss was the best: the average, where a
    run evaluated a moving average.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CheckpointError
        It is no readable checkpoint, or one of another model.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, tinytrain as tt
    >>> path = Path(tempfile.mkdtemp()) / "best.npz"
    >>> save_checkpoint(path, {"model/weight": np.ones((1, 2), np.float32)}, {})
    >>> model = tt.nn.Linear(2, 1, bias=False)
    >>> load_weights(path, model)
    >>> model.weight.tolist()
    [[1.0, 1.0]]
    """
    arrays, _ = load_checkpoint(path)
    prefix = "model/"
    weights = {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit this model: {error}") from error
