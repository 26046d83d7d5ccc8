"""Which folder a run writes to, so that no run overwrites another."""

import re
from pathlib import Path

from tinytrain.train.checkpoint_folder import list_checkpoints


def choose_folder(base: str | Path, resume: str | None = None) -> Path:
    """Return the folder for a run: a fresh one, or that of the run to continue.

    Parameters
    ----------
    base : path
        The first run goes here, the next ones to ``base-2``, ``base-3``, ...
    resume : "auto", path of a checkpoint, or None
        ``"auto"`` continues the last of these runs, a path the one that it belongs to. None, or a
        path from elsewhere, begins a new one.

    Examples
    --------
    >>> import tempfile
    >>> base = Path(tempfile.mkdtemp()) / "run"
    >>> choose_folder(base).name
    'run'
    >>> base.mkdir()
    >>> (base / "log.jsonl").touch()
    >>> choose_folder(base).name, choose_folder(base, "auto").name
    ('run-2', 'run')
    """
    base = Path(base)
    used = {number: folder for number, folder in _numbered(base) if holds_run(folder)}
    if resume is not None and resume != "auto":
        source = Path(resume).parent
        if any(source.resolve() == folder.resolve() for folder in used.values()):
            return source
    if not used:
        return base
    last = max(used)
    return used[last] if resume == "auto" else base.with_name(f"{base.name}-{last + 1}")


def holds_run(folder: Path) -> bool:
    """Return whether a run has written its log or a checkpoint to a folder."""
    return (folder / "log.jsonl").exists() or bool(list_checkpoints(folder))


def _numbered(base: Path) -> list[tuple[int, Path]]:
    """Find base and base-2, base-3, ... among the folders there are."""
    pattern = re.compile(re.escape(base.name) + r"(?:-(\d+))?")
    if not base.parent.is_dir():
        return []
    matches = ((pattern.fullmatch(path.name), path) for path in base.parent.iterdir())
    return [(int(match[1] or 1), path) for match, path in matches if match]
