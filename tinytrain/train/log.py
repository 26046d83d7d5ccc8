"""The log file of a run: one JSON object per line, none lost to a crash, none written twice."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.plain_record import plain_record
from tinytrain.train.say import say
from tinytrain.train.set_aside import is_fresh, set_aside


class JsonLinesLog(Callback):
    """Writes each record as a line of JSON, at once: a crash loses none.

    A run that is resumed first takes out what it will write again; lines that are no records are
    moved to a file beside it, whose name ends with ``.damaged``. The file of another run is set
    aside. The trainer makes such a log by itself for ``log.jsonl`` in its folder.

    Parameters
    ----------
    path : path
        Its folder is made if it is not there.

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
        self._begun = False

    def on_run_start(self, trainer: Any) -> None:
        """Take out the records that the run will write again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            if is_fresh(trainer) and not self._begun:
                set_aside(self.path)
            else:
                self._take_out(trainer)
        self._begun = True

    def _take_out(self, trainer: Any) -> None:
        records, damaged = _read_lines(self.path)
        kept = [record for record in records if is_final(record, trainer)]
        if damaged:
            beside = self.path.with_name(self.path.name + ".damaged")
            with beside.open("ab") as file:
                file.writelines(line + b"\n" for line in damaged)
            say(f"{len(damaged)} lines of {self.path} are no records, and are in {beside} now")
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
        temporary.replace(self.path)

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Write one line."""
        line = json.dumps({name: as_json(value) for name, value in plain_record(record).items()})
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


def _record_of(line: bytes) -> dict[str, Any] | None:
    """Read one line; None for one that is no record: cut off by a crash, or damaged."""
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    step = record.get("step", 0)
    good = step is None or (isinstance(step, int) and not isinstance(step, bool))
    return record if good else None


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the records of a file, and its other lines but one that a crash cut off at the end."""
    *lines, last = path.read_bytes().split(b"\n")
    read = [_record_of(line) for line in lines]
    records = [record for record in [*read, _record_of(last)] if record is not None]
    damaged = [
        line for line, record in zip(lines, read, strict=True) if record is None and line.strip()
    ]
    return records, damaged


def read_log(path: str | Path) -> list[dict[str, Any]]:
    r"""Return the records of a log file; lines that a crash cut off or damaged are left out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> _ = path.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    >>> read_log(path)
    [{'step': 1, 'loss': 2.5}]
    """
    return _read_lines(Path(path))[0]
