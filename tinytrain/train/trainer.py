"""The training loop: accumulate sums, divide once, check, clip, step, schedule; evaluate, save."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tinytrain.allocator import keep_freed_memory
from tinytrain.checks import whole_number
from tinytrain.nn.module import Module
from tinytrain.optim.clip import clip_grad_norm_, gradient_norm
from tinytrain.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor
from tinytrain.train import trainer_checks
from tinytrain.train.accumulation import LossFunction, divide_gradients, pooled_statistics
from tinytrain.train.batch_norm_choice import choose_summing, warn_of_batch_norm
from tinytrain.train.batch_schedule import AccumulationSchedule
from tinytrain.train.callback import Callback
from tinytrain.train.callback_list import CallbackList
from tinytrain.train.callbacks.progress_bar import ProgressBar
from tinytrain.train.checkpoint_folder import CheckpointFolder
from tinytrain.train.diagnosis import report_failed_step
from tinytrain.train.evaluating import Evaluating
from tinytrain.train.finite import FiniteWatch, NotFiniteError
from tinytrain.train.log import JsonLinesLog
from tinytrain.train.meter import Meter
from tinytrain.train.micro_batches import MicroBatches
from tinytrain.train.modes import start_training
from tinytrain.train.moment import Moment
from tinytrain.train.run_settings import record_settings
from tinytrain.train.say import say
from tinytrain.train.step_costs import StepCosts
from tinytrain.train.stop_signals import StopRequested, StopSignals
from tinytrain.train.training_result import TrainingResult
from tinytrain.train.verify import AccumulationReport, verify_accumulation
from tinytrain.train.windows import WindowStream


class Trainer(Evaluating):
    """Trains a model, exactly: any split into micro-batches gives the gradient of the whole batch.

    One optimizer step: add up the gradients of the micro-batches' summed losses; divide once by the
    number of items; check that they are finite; clip by the global norm; step; move the schedule.

    Parameters
    ----------
    model : Module
        `fit` puts it into training mode, unless some layers are in it already: then those that are
        in evaluation mode, such as frozen batch normalisations, stay there.
    optimizer : Optimizer
    loss_function : callable
        ``(model, batch) -> (sum of the items' losses, number of items)``.
    train_loader : iterable
        Gives micro-batches in host memory; each is brought to the device once. Checkpoints need
        its position: with `out` it must have ``state_dict``, as `tinytrain.data.DataLoader` has.
    max_steps, epochs : int, optional
        How long to train: give one of them. So many epochs count as the steps that they have if
        every window has supervised items.
    accumulation_steps : int or AccumulationSchedule
        Micro-batches per optimizer step.
    last_window : {"step", "carry", "drop"}
        What to do with the last, shorter window of an epoch; see `windows.WindowStream`.
    schedule : LRScheduler, optional
        Moved once per optimizer step; a `ReduceLROnPlateau` by the validation loss, at each
        evaluation but that at the end.
    clip_grad_norm : float, optional
        The largest norm that the gradient of the mean loss may have.
    batch_norm : {"pooled", "exact"}, optional
        What batch normalisation goes by under accumulation; see `exact_batch_norm`.
    micro_batch_size : int, "auto" or None
        Rows at most; longer batches are cut. ``"auto"`` cuts until they fit into memory.
    callbacks : sequence of Callback
        Told of what happens, in this order; see `callback`.
    validation_loader : iterable, optional
    eval_every : int, optional
        Evaluate after so many steps, and always at the end.
    log_every : int
        Steps between log records. A record's loss is the item mean over the steps it covers.
    out : path, optional
        The folder for ``log.jsonl`` and checkpoints. With it, Ctrl-C and SIGTERM save first.
    save_every : int, optional
        Steps between checkpoints; the last step is always saved where `out` is given.
    keep_checkpoints : int
        How many good ones to keep at the least.
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
        accumulation_steps: int | AccumulationSchedule = 1,
        last_window: str = "step",
        schedule: LRScheduler | None = None,
        clip_grad_norm: float | None = None,
        batch_norm: str | None = None,
        micro_batch_size: int | str | None = None,
        callbacks: Sequence[Callback] = (),
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
        self.model, self.optimizer = model, optimizer
        self.loss_function = trainer_checks.checked_loss_function(loss_function)
        self.windows = WindowStream(train_loader, accumulation_steps, last_window)
        self.max_steps = trainer_checks.total_steps(self.windows, max_steps, epochs)
        trainer_checks.check_trained(model, optimizer)
        self.schedule = schedule
        self.clip_grad_norm = trainer_checks.checked_norm(clip_grad_norm)
        self.validation_loader = validation_loader
        self.log_every = whole_number("log_every", log_every)
        self.eval_every = trainer_checks.number_or_none("eval_every", eval_every)
        self.save_every = trainer_checks.number_or_none("save_every", save_every)
        trainer_checks.check_schedule(schedule, optimizer, eval_every)
        trainer_checks.check_validation(validation_loader, eval_every)
        self.out = trainer_checks.checked_folder(out, save_every)
        keep = whole_number("keep_checkpoints", keep_checkpoints)
        self.checkpoints = None if self.out is None else CheckpointFolder(self.out, keep)
        self.config = trainer_checks.checked_config(config)
        if out is not None:
            self.windows.state_dict()
        self.micro_batches = MicroBatches(
            model, optimizer, micro_batch_size, exact_batch_norm=batch_norm == "exact"
        )
        self._sum_gradients = choose_summing(batch_norm)
        may_split = self.windows.sizes.largest + (micro_batch_size is not None)
        self._warn_of_batch_norm = partial(warn_of_batch_norm, model, batch_norm, may_split)
        self._warned = self._warn_of_batch_norm()
        self.item_name, self.progress = trainer_checks.checked_name(item_name), progress
        log = [] if self.out is None else [JsonLinesLog(self.out / "log.jsonl")]
        own = trainer_checks.checked_callbacks(callbacks)
        self.callbacks = CallbackList([*own, *log, *[ProgressBar()] * progress])
        self.meter, self.finite = Meter(), FiniteWatch()
        self.step_costs, self.signals = StepCosts(), StopSignals()
        self._window: list[Any] = []
        self.settings = record_settings(
            self,
            accumulation_steps=str(accumulation_steps),
            clip_grad_norm=self.clip_grad_norm,
            micro_batch_size="auto" if self.micro_batches.automatic else self.micro_batches.size,
            batch_norm=batch_norm,
            keep_checkpoints=keep,
        )

    # ---------------------------------------------------------------- the run

    def fit(self) -> TrainingResult:
        """Train until the last step, and return what came out.

        Raises
        ------
        FileExistsError
            `out` holds checkpoints of another run, and `resume` was not called.
        FloatingPointError
            A loss or gradient is NaN or infinite; parameters and running statistics are those of
            the step before, and with `out` are saved as ``before-step-N.npz``. The message names
            the data and the layer. On a GPU it may be noticed later, at the next log record,
            evaluation or checkpoint, and the message says so; no checkpoint is written then.
        KeyboardInterrupt, SystemExit
            There was a Ctrl-C, or a SIGTERM (status 143). With `out`, a checkpoint was saved.
        ValueError
            A whole epoch has no supervised items.
        """
        keep_freed_memory()
        self.stopped = validation_loss = None
        with ExitStack() as stack:
            if self.checkpoints is not None:
                for path in self.checkpoints.start(self.step, self.last_checkpoint):
                    say(f"set aside, for the run goes on from step {self.step}: {path}")
                stack.enter_context(self.signals.noticed())
            stack.enter_context(self.callbacks.during_run(self))
            try:
                self._train()
                validation_loss = self.final_loss()
            except StopRequested:
                pass
        if self.signals.received is not None:
            say(f"stopped after step {self.step}; saved: {self.last_checkpoint}")
            self.signals.leave()
        self.say_results()
        return TrainingResult(
            self.step,
            self.windows.epoch,
            self.last_loss,
            validation_loss,
            self.last_checkpoint,
            self.stopped,
        )

    def stop(self, reason: str) -> None:
        """End the run after the present step, as if it were the last; for callbacks."""
        self.stopped = self.stopped or reason

    def _train(self) -> None:
        """Make the steps that are left."""
        start_training(self.model)
        self._warned = self._warned or self._warn_of_batch_norm()
        self._fruitful_epoch = self.windows.epoch
        moment = Moment(self.model, self.windows, positions=self.checkpoints is not None)
        if self.step < self.max_steps and self.owes_evaluation():  # a signal broke it off
            self.evaluate_and_schedule()
        self.windows.go_on()
        windows = iter(self.windows)
        while self.step < self.max_steps and self.stopped is None:
            started = time.perf_counter()
            moment.keep()
            with self._taken_back(moment):
                with self.signals.excusing(Exception):
                    self._window = next(windows)
                with self.step_costs.count():
                    loss_sum, items = self._step(self._window)
            if loss_sum is None:
                self._note_skipped()
            else:
                self._note_step(loss_sum, items, time.perf_counter() - started)
            if self.stopped is not None and self.meter.items:
                self.log()
            changed = loss_sum is not None or self.stopped is not None
            saves = self.checkpoints is not None and self.is_due(self.save_every or self.max_steps)
            if changed and saves:
                self.save()

    def _note_step(self, loss_sum: Tensor, items: float, seconds: float) -> None:
        """Do what follows a step: records and evaluations."""
        self._fruitful_epoch = self.windows.epoch
        self.meter.add(loss_sum, items, seconds)
        figures = {"loss_sum": loss_sum, "grad_norm": self._grad_norm}
        self.callbacks.on_step_end(self, {"step": self.step, "items": items, **figures})
        if self.is_due(self.log_every):
            self.log()
        if self.step < self.max_steps and self.is_due(self.eval_every):
            self.evaluate_and_schedule()

    def _note_skipped(self) -> None:
        self.record({"step": self.step, "skipped": "a window without supervised items"})
        if self.windows.epoch > self._fruitful_epoch + 1:
            raise ValueError("a whole epoch had no supervised items")

    # ---------------------------------------------------------------- a step

    def _step(self, window: list[Any]) -> tuple[Tensor | None, float]:
        """Make one optimizer step; without supervised items, none."""
        with pooled_statistics(self.model):  # a step that is refused leaves them alone as well
            with self.signals.excusing(BrokenPipeError):
                loss_sum, items = self._window_gradients(window)
            if loss_sum is None:
                return None, 0
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            divide_gradients(parameters, items)
            if self.clip_grad_norm is None:
                self._grad_norm = gradient_norm(parameters)
            else:
                self._grad_norm = clip_grad_norm_(parameters, self.clip_grad_norm)
            may_wait = self.is_read_after(self.step + 1)
            self.finite.look(self._grad_norm, loss_sum, self.step + 1, may_wait)
        self.optimizer.step()
        self._learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None and not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()
        self.step += 1
        self.windows.made_step(items)
        return loss_sum, items

    def _window_gradients(self, window: list[Any]) -> tuple[Tensor | None, float]:
        """Sum up the gradients of a window, and tell the callbacks of each micro-batch."""
        self.optimizer.zero_grad()
        after = partial(self.callbacks.on_micro_batch, self)

        def sum_up(pieces: list[Any]) -> tuple[Tensor | None, float]:
            self.callbacks.on_window_start(self)
            return self._sum_gradients(self.model, self.stoppable_loss, pieces, after)

        return self.micro_batches.run(sum_up, window)

    @contextmanager
    def _taken_back(self, moment: Moment) -> Iterator[None]:
        """Go back to the moment before a step that cannot be finished, and save that."""
        try:
            yield
        except StopRequested:
            moment.go_back()
            self.save()
            raise
        except NotFiniteError as error:
            if not error.unchanged:
                raise
            sum_up = partial(self._sum_gradients, self.model, self.loss_function)
            repeat = partial(self.micro_batches.run, sum_up, self._window)
            report = report_failed_step(self, moment, self._window, repeat)
            raise NotFiniteError(f"{error}\n{report}", unchanged=True) from error

    def verify_accumulation(
        self, batch: Any, micro_batches: Sequence[int] | int = (2, 4)
    ) -> AccumulationReport:
        """Prove that a batch gives the same gradient when split; see `verify.verify_accumulation`.

        The run stays as it was.
        """
        return verify_accumulation(
            self.model, self.loss_function, batch, micro_batches, self._sum_gradients
        )
