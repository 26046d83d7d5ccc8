"""What can be hung into a training run: one small class of methods that do nothing by default."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Callback:
    """Is told what happens in a run; override what you need.

    Callbacks are called in the order in which the trainer was given them. Tensors that they are
    shown are on the device: reading one waits for a GPU, so read them in `on_log` and later, where
    the trainer waits anyway. The trainer is at hand with all its attributes (`model`, `optimizer`,
    `step`, `max_steps`, `out`, ...) and with ``trainer.stop(reason)``, which ends the run after
    the present step.

    Examples
    --------
    >>> class Steps(Callback):
    ...     def on_step_end(self, trainer, record):
    ...         print("step", record["step"], "items", record["items"])
    >>> Steps().on_step_end(None, {"step": 1, "items": 4})
    step 1 items 4
    """

    def on_run_start(self, trainer: Any) -> None:
        """Before the first step; a resumed run has its state by then."""

    def on_window_start(self, trainer: Any) -> None:
        """Before the first micro-batch of a step, also of one that begins again, cut finer."""

    def on_micro_batch(self, trainer: Any, items: float) -> None:
        """After a micro-batch's gradients were added: they are still sums over items.

        Whether the step will be finished is not known then: `on_step_end` tells.
        """

    def on_step_end(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """After an optimizer step: `step` and `items`; `loss_sum` and `grad_norm` on the device."""

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        """Before a record of training is written; may add figures of its own to it."""

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """When a record is written, of training, of an evaluation, or of a skipped window."""

    def during_evaluation(self, trainer: Any) -> AbstractContextManager[Any]:
        """Return a block to evaluate in, for example with other weights."""
        return nullcontext()

    def on_evaluation(self, trainer: Any, loss: float) -> None:
        """After an evaluation of the validation data; a schedule has seen the loss already."""

    def on_evaluation_end(self, trainer: Any, loss: float) -> None:
        """When all callbacks have seen an evaluation: what is saved here has it in their states."""

    def on_run_end(self, trainer: Any) -> None:
        """At the end of `fit`, also where an error ends it."""

    def settings(self) -> dict[str, Any]:
        """Return what to compare with a checkpoint on resuming: numbers and text, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold: numbers, text, arrays and tensors, nested."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with what `state_dict` returned; its tensors come back as arrays of the host."""
