"""The log file of a run: one JSON object per line, none lost to a crash, none written twice."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain.train.callback import Callback


class JsonLinesLog(Callback):
    """Writes each record as a line of JSON, at once: a crash loses none.

    A run that is resumed first takes out what it will write again. The trainer makes one by itself
    for ``log.jsonl`` in its folder.

    Parameters
    ----------
    path : path

    Examples
    --------
    >>> import tempfile
    >>> log = JsonLinesLog(Path(tempfile.mkdtemp()) / "log.jsonl")
    >>> log.on_record(None, {"step": 1, "loss": 2.5})
    >>> read_log(log.path)
    [{'step': 1, 'loss': 2.5}]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_run_start(self, trainer: Any) -> None:
        """Take out the records that the run will write again."""
        if not self.path.exists():
            return
        kept = [record for record in read_log(self.path) if is_final(record, trainer)]
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
        temporary.replace(self.path)

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Write one line."""
        line = json.dumps({name: as_json(value) for name, value in record.items()})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def is_final(record: Mapping[str, Any], trainer: Any) -> bool:
    """Whether a run that goes on from the trainer's step will not write a record again."""
    recorded, present = int(record.get("step") or 0), int(trainer.step)
    if recorded != present:
        return recorded < present
    # After the step's checkpoint come windows without items, and a run's last evaluation.
    if record.get("validation_loss") is not None:
        return not trainer.owes_evaluation()
    return record.get("skipped") is None


def as_json(value: Any) -> Any:
    """Write NaN and infinity as words: JSON has no such numbers.

    Examples
    --------
    >>> as_json(math.inf), as_json(0.5)
    ('inf', 0.5)
    """
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _record_of(line: str) -> dict[str, Any] | None:
    """Read one line; None for one that a crash cut off."""
    try:
        record: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record


def read_log(path: str | Path) -> list[dict[str, Any]]:
    r"""Return the records of a log file; a line that a crash cut off is left out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> _ = path.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    >>> read_log(path)
    [{'step': 1, 'loss': 2.5}]
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [record for line in lines if (record := _record_of(line)) is not None]
