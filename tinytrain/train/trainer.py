"""The training loop: accumulate sums, divide once, check, clip, step, schedule; evaluate, save."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.allocator import keep_freed_memory
from tinytrain.nn.module import Module
from tinytrain.optim.clip import clip_grad_norm_, gradient_norm
from tinytrain.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor
from tinytrain.train import checkpoint, run_state
from tinytrain.train.accumulation import (
    LossFunction,
    divide_gradients,
    pooled_statistics,
    sum_gradients,
)
from tinytrain.train.batch_plan import check_positive
from tinytrain.train.evaluation import evaluate
from tinytrain.train.finite import FiniteWatch
from tinytrain.train.log import Meter, RunLog
from tinytrain.train.step_costs import StepCosts
from tinytrain.train.windows import WindowStream


@dataclass(frozen=True)
class TrainingResult:
    """What a run ended with.

    Attributes
    ----------
    step : int
        Optimizer steps made, earlier parts of a resumed run included.
    epoch : int
        Epochs finished.
    training_loss : float
        The loss per item over the steps that the last log record covers; NaN if there were none.
    validation_loss : float or None
        The loss per item over the validation data, at the end.
    checkpoint : Path or None
        The last checkpoint written.
    """

    step: int
    epoch: int
    training_loss: float
    validation_loss: float | None
    checkpoint: Path | None


class Trainer:
    """Trains a model, exactly: any split into micro-batches gives the gradient of the whole batch.

    One optimizer step: add up the gradients of the micro-batches' summed losses; divide once by the
    number of items; check that they are finite; clip by the global norm; step; move the schedule.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    loss_function : callable
        ``(model, batch) -> (sum of the items' losses, number of items)``.
    train_loader : iterable
        Gives micro-batches in host memory; each is brought to the device once. Checkpoints need
        its position: with `out` it must have ``state_dict``, as `tinytrain.data.DataLoader` has.
    max_steps, epochs : int, optional
        How long to train: give one of them. So many epochs count as the steps that they have if
        every window has supervised items.
    accumulation_steps : int
        Micro-batches per optimizer step.
    last_window : {"step", "carry", "drop"}
        What to do with the last, shorter window of an epoch; see `windows.WindowStream`.
    schedule : LRScheduler, optional
        Moved once per optimizer step; a `ReduceLROnPlateau` by the validation loss, at each
        evaluation but that at the end.
    clip_grad_norm : float, optional
        The largest norm that the gradient of the mean loss may have.
    validation_loader : iterable, optional
    eval_every : int, optional
        Evaluate after so many steps, and always at the end.
    log_every : int
        Steps between log records. A record's loss is the item mean over the steps it covers.
    out : path, optional
        The folder for ``log.jsonl`` and checkpoints.
    save_every : int, optional
        Steps between checkpoints; the last step is always saved where `out` is given.
    keep_checkpoints : int
        How many to keep.
    config : mapping, optional
        Saved in checkpoints, for the record.
    item_name : str
        What an item is, for the log: ``"tokens"``, ``"samples"``.
    progress : bool
        Whether to show a progress bar (or lines, where there is no terminal).

    Raises
    ------
    ValueError
        Settings exclude each other or make no sense.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = tt.data.TensorDataset(x, 3 * x)
    >>> model = tt.nn.Linear(1, 1)
    >>> def squared_error(model, batch):
    ...     x, y = batch
    ...     return tt.nn.functional.mse_loss(model(x), y, reduction="sum"), len(x)
    >>> trainer = Trainer(
    ...     model,
    ...     tt.optim.AdamW(model.parameters(), lr=0.1),
    ...     squared_error,
    ...     tt.data.DataLoader(data, batch_size=8, shuffle=True, generator=0),
    ...     max_steps=100,
    ...     accumulation_steps=2,
    ...     progress=False,
    ... )
    >>> trainer.fit().training_loss < 0.01
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss_function: LossFunction,
        train_loader: Any,
        *,
        max_steps: int | None = None,
        epochs: int | None = None,
        accumulation_steps: int = 1,
        last_window: str = "step",
        schedule: LRScheduler | None = None,
        clip_grad_norm: float | None = None,
        validation_loader: Iterable[Any] | None = None,
        eval_every: int | None = None,
        log_every: int = 10,
        out: str | Path | None = None,
        save_every: int | None = None,
        keep_checkpoints: int = 3,
        config: Mapping[str, Any] | None = None,
        item_name: str = "items",
        progress: bool = True,
    ) -> None:
        self.model, self.optimizer, self.loss_function = model, optimizer, loss_function
        self.windows = WindowStream(train_loader, accumulation_steps, last_window)
        self.max_steps = self._total_steps(max_steps, epochs)
        _check_trained(model, optimizer)
        self.schedule, self.clip_grad_norm = schedule, clip_grad_norm
        self.validation_loader = validation_loader
        self.eval_every, self.log_every, self.save_every = eval_every, log_every, save_every
        for name in ("eval_every", "log_every", "save_every"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        check_positive("keep_checkpoints", keep_checkpoints)
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(f"clip_grad_norm must be above 0, got {clip_grad_norm}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule was made for another optimizer than the one given")
        if isinstance(schedule, ReduceLROnPlateau) and eval_every is None:
            raise ValueError(
                "ReduceLROnPlateau looks at the validation loss: give validation_loader, eval_every"
            )
        _check_validation(validation_loader, eval_every)
        if save_every is not None and out is None:
            raise ValueError("save_every needs a folder: give out=...")
        self.out = None if out is None else Path(out)
        self.keep_checkpoints = keep_checkpoints
        # What cannot be saved is better refused now than then; a tuple is compared as it is saved.
        self.config = json.loads(json.dumps(dict(config or {}), allow_nan=False))
        if out is not None:
            self.windows.state_dict()
        self.item_name, self.progress = item_name, progress
        self.step = 0
        self.meter = Meter()
        self.finite = FiniteWatch()
        self.step_costs = StepCosts()
        self.last_checkpoint: Path | None = None

    def _total_steps(self, max_steps: int | None, epochs: int | None) -> int:
        if (max_steps is None) == (epochs is None):
            raise ValueError("give either max_steps or epochs")
        if max_steps is not None:
            check_positive("max_steps", max_steps)
            return max_steps
        check_positive("epochs", epochs)
        total = self.windows.windows_in(epochs or 0)
        if total < 1:
            raise ValueError(
                f"a run of {epochs} epochs would have no optimizer step: the loader gives "
                f"{len(self.windows.loader)} micro-batches, a step takes {self.windows.size}"
            )
        return total

    # ---------------------------------------------------------------- the loop

    def fit(self) -> TrainingResult:
        """Train until the last step, and return what came out.

        Raises
        ------
        FileExistsError
            `out` holds checkpoints of another run, and `resume` was not called.
        FloatingPointError
            A loss or gradient is NaN or infinite; parameters and running statistics are those of
            the step before. On a GPU it may be noticed later, at the next log record, evaluation
            or checkpoint, and the message says so; no checkpoint is written then.
        ValueError
            A whole epoch has no supervised items.
        """
        keep_freed_memory()
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            self._check_folder(self.out)
            for path in checkpoint.set_aside_later(self.out, self.step):
                print(f"set aside, for the run goes on from step {self.step}: {path}")
        log_path = None if self.out is None else self.out / "log.jsonl"
        log = RunLog(log_path, self.max_steps, self.progress)
        log.start_at(self.step)
        try:
            training_loss = self._run(log)
            validation_loss = self._validate(log)
        finally:
            log.close()
        report = self.step_costs.report()
        if self.progress and report is not None:
            print(f"\n{report}\n")
        if self.progress and self.out is not None:
            print(f"results are in {self.out}: {log_path}, {self.last_checkpoint}")
        return TrainingResult(
            self.step, self.windows.epoch, training_loss, validation_loss, self.last_checkpoint
        )

    def _check_folder(self, out: Path) -> None:
        """Refuse to mix this run's checkpoints with those of another."""
        found = checkpoint.list_checkpoints(out)
        came_from = None if self.last_checkpoint is None else self.last_checkpoint.parent.resolve()
        if found and came_from != out.resolve():
            raise FileExistsError(
                f"{out} holds checkpoints of another run (the newest is {found[0].name}): continue "
                "it with resume('auto'), choose another folder, or delete them"
            )

    def _run(self, log: RunLog) -> float:
        """Make the steps that are left; return the loss of the last record."""
        training_loss = math.nan
        epoch_of_last_step = self.windows.epoch
        self.model.train()
        windows = iter(self.windows)
        while self.step < self.max_steps:
            started = time.perf_counter()
            window = next(windows)
            with self.step_costs.count():
                loss_sum, items = self._step(window)
            if loss_sum is None:
                log.record(step=self.step, skipped="a window without supervised items")
                if self.windows.epoch > epoch_of_last_step + 1:
                    raise ValueError("a whole epoch had no supervised items")
                continue
            epoch_of_last_step = self.windows.epoch
            self.meter.add(loss_sum, items, time.perf_counter() - started)
            log.advance()
            if self._is_due(self.log_every):
                training_loss = self._log(log)
            if self.step < self.max_steps and self._is_due(self.eval_every):
                loss = self._validate(log)
                if isinstance(self.schedule, ReduceLROnPlateau):
                    self.schedule.step(loss)
            if self.out is not None and self._is_due(self.save_every or self.max_steps):
                self.save()
        return training_loss

    def _is_due(self, every: int | None, step: int | None = None) -> bool:
        """Whether something done every so many steps, and at the last, is due now or at a step."""
        step = self.step if step is None else step
        return every is not None and (step % every == 0 or step == self.max_steps)

    def _is_read_after(self, step: int) -> bool:
        """Whether a log record, an evaluation or a checkpoint follows a step."""
        saves = self.save_every if self.out is not None else None
        return any(self._is_due(every, step) for every in (self.log_every, self.eval_every, saves))

    def _step(self, window: list[Any]) -> tuple[Tensor | None, int]:
        """Make one optimizer step; without supervised items, none."""
        self.optimizer.zero_grad()
        with pooled_statistics(self.model):  # a step that is refused leaves them alone as well
            loss_sum, items = sum_gradients(self.model, self.loss_function, window)
            if loss_sum is None:
                return None, 0
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            divide_gradients(parameters, items)
            if self.clip_grad_norm is None:
                self._grad_norm = gradient_norm(parameters)
            else:
                self._grad_norm = clip_grad_norm_(parameters, self.clip_grad_norm)
            may_wait = self._is_read_after(self.step + 1)
            self.finite.look(self._grad_norm, loss_sum, self.step + 1, may_wait)
        self.optimizer.step()
        self._learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None and not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()
        self.step += 1
        return loss_sum, items

    def _log(self, log: RunLog) -> float:
        loss, per_second = self.meter.read()
        log.record(
            step=self.step,
            epoch=self.windows.epoch,
            loss=loss,
            lr=self._learning_rate,
            grad_norm=self._grad_norm.cpu().item(),
            **{f"{self.item_name}_per_second": round(per_second)},
        )
        return loss

    # ---------------------------------------------------------------- evaluation

    def evaluate(self, loader: Iterable[Any]) -> float:
        """Return the item mean of the loss over a loader; see `evaluation.evaluate`."""
        return evaluate(self.model, self.loss_function, loader)

    def _validate(self, log: RunLog) -> float | None:
        """Evaluate on the validation data, if there are any, and log it."""
        if self.validation_loader is None:
            return None
        started = time.perf_counter()
        loss = self.evaluate(self.validation_loader)
        seconds = round(time.perf_counter() - started, 3)
        log.record(step=self.step, validation_loss=loss, evaluation_seconds=seconds)
        return loss

    # ---------------------------------------------------------------- saving and resuming

    def save(self) -> Path:
        """Write a checkpoint of everything that continuing bit for bit needs, and return its path.

        Older checkpoints than the newest `keep_checkpoints` are deleted afterwards.
        """
        if self.out is None:
            raise ValueError("saving needs a folder: give out=...")
        self.out.mkdir(parents=True, exist_ok=True)
        path = checkpoint.checkpoint_path(self.out, self.step)
        checkpoint.save_checkpoint(path, *run_state.capture(self))
        checkpoint.remove_old_checkpoints(self.out, self.keep_checkpoints)
        self.last_checkpoint = path
        return path

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
            The file is damaged, or is of another model or optimizer; nothing is changed then.
        FileNotFoundError
            There is no such file.
        """
        if source != "auto":
            path = Path(source)
            run_state.restore(self, path, *checkpoint.load_checkpoint(path))
            self.last_checkpoint = path
            return path
        if self.out is None:
            raise ValueError("resuming with 'auto' needs a folder: give out=...")
        newest = checkpoint.newest_readable(self.out)
        if newest is None:
            return None
        path, arrays, state = newest
        run_state.restore(self, path, arrays, state)
        self.last_checkpoint = path
        return path


def _check_trained(model: Module, optimizer: Optimizer) -> None:
    """Raise where the model and the optimizer do not have the same parameters to train."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    forgotten = [
        name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held
    ]
    if forgotten:
        named = ", ".join(forgotten[:5]) + (", ..." if len(forgotten) > 5 else "")
        raise ValueError(
            f"{len(forgotten)} parameters of the model are to be trained, but the optimizer does "
            f"not hold them: {named}; make it from this model's parameters, or freeze them with "
            "requires_grad_(False)"
        )
    strangers = len(held - {id(p) for p in model.parameters()})
    if strangers:
        raise ValueError(
            f"the optimizer holds {strangers} parameters that are not the model's, and that a "
            "checkpoint would lose: make them attributes of the model"
        )


def _check_validation(loader: Iterable[Any] | None, eval_every: int | None) -> None:
    """Raise where the validation data could not be read again and again."""
    if loader is None:
        if eval_every is not None:
            raise ValueError("eval_every needs data to evaluate on: give validation_loader=...")
        return
    if isinstance(loader, Iterator):
        raise TypeError("the validation loader must be iterable more than once, not an iterator")
    if isinstance(loader, Sized) and len(loader) == 0:
        raise ValueError("the validation loader gives no batches")
