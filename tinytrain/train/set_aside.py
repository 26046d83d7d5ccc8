"""Keeping what another run has written, where a new one writes to the same place."""

from pathlib import Path
from typing import Any

from tinytrain.train.say import say


def is_fresh(trainer: Any) -> bool:
    """Whether a run begins from nothing: what log files hold is another run's then."""
    return not trainer.step and getattr(trainer, "last_checkpoint", None) is None


def set_aside(path: Path) -> Path:
    """Rename a file or folder to a free name that says so, print that, and return the new path.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.csv"
    >>> path.touch()
    >>> set_aside(path).name
    set aside, for it is of another run: ...log.csv, now log.csv.superseded
    'log.csv.superseded'
    """
    new = free_name(path.with_name(f"{path.name}.superseded"))
    path.rename(new)
    say(f"set aside, for it is of another run: {path}, now {new.name}")
    return new


def free_name(path: Path) -> Path:
    """Return a path, or with a number at its end the first that does not exist."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
