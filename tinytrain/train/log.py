"""What a run tells: a progress bar, and one JSON object per line in a file."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain import backend
from tinytrain.tensor import Tensor


class RunLog:
    """Records as JSON lines in a file, and a progress bar, or plain lines where there is none.

    Parameters
    ----------
    path : Path or None
        The file, opened for each record: a crash loses none.
    total_steps : int
    progress : bool
        Whether to show anything. The bar needs a terminal; without one every record is a line.

    Examples
    --------
    >>> log = RunLog(None, total_steps=10, progress=False)
    >>> log.record(step=1, loss=2.5)
    >>> log.close()
    """

    def __init__(self, path: Path | None, total_steps: int, progress: bool = True) -> None:
        self.path, self.total_steps, self.progress = path, total_steps, progress
        self._shown: dict[str, Any] = {}
        from tqdm import tqdm  # here, for importing it costs more than all of tinytrain's files

        self._bar = tqdm(
            total=total_steps,
            unit="step",
            disable=not progress or not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def start_at(self, step: int) -> None:
        """Show a resumed run from its step on, and drop the records that it will write again."""
        self._bar.initial = self._bar.n = step
        if self.path is None or not self.path.exists():
            return
        kept = [record for record in read_log(self.path) if self._is_final(record, step)]
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
        temporary.replace(self.path)

    def _is_final(self, record: dict[str, Any], step: int) -> bool:
        """Whether a run that goes on from a step will not write a record again."""
        if (recorded := int(record.get("step", 0))) != step:
            return recorded < step
        # After the step's checkpoint come windows without items, and a run's last evaluation.
        last_evaluation = "validation_loss" in record and step == self.total_steps
        return "skipped" not in record and not last_evaluation

    def advance(self) -> None:
        """Count one optimizer step."""
        self._bar.update(1)

    def record(self, **values: Any) -> None:
        """Write one record and show it."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({k: _json(v) for k, v in values.items()}) + "\n")
        shown = {name: _short(value) for name, value in values.items()}
        if not self._bar.disable:
            # A terminal has room for little; an evaluation joins the training figures.
            wanted = ("loss", "lr", "validation_loss")
            self._shown |= {
                name: value
                for name, value in shown.items()
                if name in wanted or name.endswith("_per_second")
            }
            self._bar.set_postfix(self._shown)
        elif self.progress:
            print("  ".join(f"{name} {value}" for name, value in shown.items()), flush=True)

    def close(self) -> None:
        """Finish the bar."""
        self._bar.close()


class Meter:
    """Sums over the steps since the last record; the loss stays on the device until it is read."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.loss_sum: Tensor | None = None
        self.items = 0
        self.seconds = 0.0

    def add(self, loss_sum: Tensor, items: int, seconds: float) -> None:
        """Take in one step: the sum of its items' losses, their number, and the time it took."""
        self.loss_sum = loss_sum if self.loss_sum is None else self.loss_sum + loss_sum
        self.items += items
        self.seconds += seconds

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint."""
        return {"loss_sum": self.loss_sum, "items": self.items, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with saved sums."""
        loss_sum = state["loss_sum"]
        if loss_sum is not None and not isinstance(loss_sum, Tensor):
            loss_sum = Tensor(backend.to_device(loss_sum))
        self.loss_sum = loss_sum
        self.items, self.seconds = int(state["items"]), float(state["seconds"])

    def read(self) -> tuple[float, float]:
        """Return the loss per item and the items per second, and start over."""
        loss = math.nan if self.loss_sum is None else self.loss_sum.cpu().item() / self.items
        rate = self.items / self.seconds if self.seconds else math.nan
        self._restart()
        return loss, rate


def _json(value: Any) -> Any:
    """Write NaN and infinity as words: JSON has no such numbers."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _record_of(line: str) -> dict[str, Any] | None:
    """Read one line; None for one that a crash cut off."""
    try:
        record: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log file; a line that a crash cut off is left out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> log = RunLog(path, total_steps=1, progress=False)
    >>> log.record(step=1, loss=2.5)
    >>> log.close()
    >>> read_log(path)
    [{'step': 1, 'loss': 2.5}]
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    return [record for line in lines if (record := _record_of(line)) is not None]
