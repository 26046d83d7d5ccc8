"""The evaluations of a run: when they are due, what they change, what a signal does to them."""

import time
from collections.abc import Iterable
from typing import Any

from tinytrain.optim.lr_scheduler import ReduceLROnPlateau
from tinytrain.tensor import Tensor
from tinytrain.train.evaluation import evaluate
from tinytrain.train.random_state import capture_random, generators_of, restore_random
from tinytrain.train.recording import Recording
from tinytrain.train.run_state import set_validation_state, validation_state
from tinytrain.train.stop_signals import StopRequested


class Evaluating(Recording):
    """The part of a `Trainer` that looks at the validation data."""

    def evaluate(self, loader: Iterable[Any]) -> float:
        """Return the item mean of the loss over a loader; see `evaluation.evaluate`."""
        return evaluate(self.model, self.micro_batches.in_pieces(self.loss_function), loader)

    def owes_evaluation(self) -> bool:
        """Whether an evaluation is due at the present step that was not made yet."""
        due = self.step > 0 and (self.step == self.max_steps or self.is_due(self.eval_every))
        made = self.last_evaluation is not None and self.last_evaluation[0] == self.step
        return self.validation_loader is not None and due and not made

    def evaluate_and_schedule(self) -> None:
        """Evaluate, and move a schedule that goes by the loss; at a signal save and break off."""
        try:
            loss = self._validation_loss()
        except StopRequested:
            self.save()
            raise
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(loss)
        self._tell_callbacks(loss)

    def final_loss(self) -> float | None:
        """Return the loss over the validation data, if there are any, after the last step."""
        if self.validation_loader is None:
            return None
        if self.last_evaluation is None or self.last_evaluation[0] != self.step:
            self._tell_callbacks(self._validation_loss())
        assert self.last_evaluation is not None
        return self.last_evaluation[1]

    def _tell_callbacks(self, loss: float) -> None:
        self.callbacks.on_evaluation(self, loss)
        self.callbacks.on_evaluation_end(self, loss)

    def _validation_loss(self) -> float:
        """Evaluate on the validation data and log it; at a signal go back to before it."""
        assert self.validation_loader is not None
        sources = generators_of(self.model)
        random, position = capture_random(sources), validation_state(self)
        started = time.perf_counter()
        try:
            with self.signals.excusing(Exception), self.callbacks.during_evaluation(self):
                loss_function = self.micro_batches.in_pieces(self.stoppable_loss)
                loss = evaluate(self.model, loss_function, self.validation_loader)
        except StopRequested:
            restore_random(sources, random)
            set_validation_state(self, position)
            raise
        seconds = round(time.perf_counter() - started, 3)
        self.last_evaluation = (self.step, loss)
        self.record({"step": self.step, "validation_loss": loss, "evaluation_seconds": seconds})
        return loss

    def stoppable_loss(self, model: Any, batch: Any) -> tuple[Tensor, float]:
        """Compute the loss, unless a signal has come: between micro-batches all can be undone."""
        self.signals.check()
        return self.loss_function(model, batch)
