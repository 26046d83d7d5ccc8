"""What a run shows while it goes on: a bar on a terminal, lines elsewhere."""

import sys
from collections.abc import Mapping
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.say import say, unheard


class ProgressBar(Callback):
    """Shows a progress bar with the newest figures; without a terminal every record is a line.

    The trainer makes one by itself, unless ``progress=False``.

    Examples
    --------
    >>> bar = ProgressBar()
    >>> bar.on_record(None, {"step": 1, "loss": 0.123456789, "name": "run"})
    step 1  loss 0.1235  name run
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown: dict[str, Any] = {}

    def on_run_start(self, trainer: Any) -> None:
        """Show the bar, a resumed run's from its step on."""
        if sys.stderr is None or not sys.stderr.isatty():
            return
        from tqdm import tqdm  # here, for importing it costs more than all of tinytrain's files

        self._bar = tqdm(
            total=trainer.max_steps, initial=trainer.step, unit="step", dynamic_ncols=True
        )

    def on_step_end(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Count one optimizer step."""
        if self._bar is not None:
            with unheard(sys.stderr):
                self._bar.update(1)

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Show the record."""
        shown = {name: _short(value) for name, value in record.items()}
        if self._bar is None:
            say("  ".join(f"{name} {value}" for name, value in shown.items()))
            return
        # A terminal has room for little; an evaluation joins the training figures.
        wanted = ("loss", "lr", "validation_loss")
        self._shown |= {
            name: value
            for name, value in shown.items()
            if name in wanted or name.endswith("_per_second")
        }
        with unheard(sys.stderr):
            self._bar.set_postfix(self._shown)

    def on_run_end(self, trainer: Any) -> None:
        """Finish the bar."""
        if self._bar is not None:
            with unheard(sys.stderr):
                self._bar.close()
            self._bar = None


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
