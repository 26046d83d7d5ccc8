"""The records of a run as a table for spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.log import is_final
from tinytrain.train.plain_record import plain_record
from tinytrain.train.set_aside import is_fresh, set_aside


class CsvLog(Callback):
    """Writes each record as a row of a CSV file; that of another run is set aside.

    The columns are the figures in the order in which they come up; the first record with a new one
    has the file written anew with one column more. What a record has not is left empty.

    Parameters
    ----------
    path : path
        Its folder is made if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> log = CsvLog(Path(tempfile.mkdtemp()) / "log.csv")
    >>> log.on_record(None, {"step": 1, "loss": 2.5})
    >>> log.on_record(None, {"step": 1, "validation_loss": 3.0})
    >>> print(log.path.read_text().strip())
    step,loss,validation_loss
    1,2.5,
    1,,3.0
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._columns: list[str] = []
        self._begun = False

    def on_run_start(self, trainer: Any) -> None:
        """Take out the rows that a resumed run will write again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and is_fresh(trainer) and not self._begun:
            set_aside(self.path)
        self._begun = True
        if not self.path.exists():
            self._columns = []
            return
        rows = read_csv(self.path)
        self._columns = list(rows[0]) if rows else []
        self._rewrite([row for row in rows if is_final(row, trainer)])

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Write one row."""
        record = plain_record(record)
        if new := [name for name in record if name not in self._columns]:
            rows = read_csv(self.path) if self._columns else []
            self._columns += new
            self._rewrite(rows)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text([record]))

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        header = dict(zip(self._columns, self._columns, strict=True))
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text(self._text([header, *rows]), encoding="utf-8", newline="")
        temporary.replace(self.path)

    def _text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str | None]]:
    r"""Return the rows of a CSV file; what is empty is None. A row that was cut off is left out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.csv"
    >>> _ = path.write_text("step,loss\n1,\n2,0.")
    >>> read_csv(path)
    [{'step': '1', 'loss': None}]
    """
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole, newline=""))
    return [{name: value or None for name, value in row.items()} for row in rows]
