"""When a run writes log records, evaluates and saves; and the records of training."""

from collections.abc import Mapping
from typing import Any

from tinytrain.tensor import Tensor
from tinytrain.train.plain_record import plain_record
from tinytrain.train.resumable import Resumable
from tinytrain.train.say import say
from tinytrain.train.step_costs import StepCosts


class Recording(Resumable):
    """The part of a `Trainer` that keeps its records."""

    step_costs: StepCosts
    _grad_norm: Tensor | None = None
    _learning_rate: float | None = None

    def is_due(self, every: int | None, step: int | None = None) -> bool:
        """Whether something done every so many steps, and at the last, is due now or at a step."""
        if every is None:
            return False
        last = self.max_steps if self.stopped is None else self.step
        step = self.step if step is None else step
        return step % every == 0 or step == last

    def is_read_after(self, step: int) -> bool:
        """Whether a log record, an evaluation or a checkpoint follows a step."""
        saves = self.save_every if self.out is not None else None
        return any(self.is_due(every, step) for every in (self.log_every, self.eval_every, saves))

    def record(self, record: Mapping[str, Any]) -> None:
        """Give a record to the callbacks, with plain numbers."""
        self.callbacks.on_record(self, plain_record(record))

    def log(self) -> None:
        """Write a record of the training since the last one."""
        self.finite.look_back(self.step + 1)
        self.last_loss, per_second = self.meter.read()
        record: dict[str, Any] = {"step": self.step, "epoch": self.windows.epoch}
        record["loss"] = self.last_loss
        if self._grad_norm is not None:  # unknown before the first step of a resumed run
            record |= {"lr": self._learning_rate, "grad_norm": self._grad_norm.cpu().item()}
        record[f"{self.item_name}_per_second"] = round(per_second)
        self.callbacks.on_log(self, record)
        self.record(record)

    def say_results(self) -> None:
        """Print why the run ended, where it did before its time, and where its files are."""
        if not self.progress:
            return
        if self.stopped is not None:
            say(f"stopped at step {self.step}: {self.stopped}")
        if (report := self.step_costs.report()) is not None:
            say(f"\n{report}\n")
        if self.out is not None:
            say(f"results are in {self.out}: {self.out / 'log.jsonl'}, {self.last_checkpoint}")
