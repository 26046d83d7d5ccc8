"""The checkpoints of a run's folder: their names, which is the newest good one, which are kept."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tinytrain.train.checkpoint import (
    TEMPORARY,
    CheckpointError,
    load_checkpoint,
    read_manifest,
    save_checkpoint,
    verify_checkpoint,
)
from tinytrain.train.say import say

BEST = "best.npz"
_NAME = re.compile(r"step-(\d+)\.npz")


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the name of the checkpoint after a number of steps.

    Examples
    --------
    >>> checkpoint_path(Path("runs"), 200).name
    'step-00000200.npz'
    """
    return folder / f"step-{step:08d}.npz"


def step_of(path: Path) -> int:
    """Return the step in a checkpoint's name, -1 if it has another name.

    Examples
    --------
    >>> step_of(Path("runs/step-00000200.npz"))
    200
    """
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest first; unfinished files do not count."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


class CheckpointFolder:
    """Saves checkpoints to a folder, finds the newest good one, and deletes old ones.

    Parameters
    ----------
    folder : Path
    keep : int
        How many good checkpoints to keep at the least: an older one is deleted when so many newer
        ones were just read through, and all that is in them fits their digests. A damaged one does
        not count. Saving comes before deleting, so there are never fewer.

    Examples
    --------
    >>> import tempfile
    >>> checkpoints = CheckpointFolder(Path(tempfile.mkdtemp()), keep=2)
    >>> for step in (1, 2, 3):
    ...     _ = checkpoints.save(step, {}, {"step": step})
    >>> [path.name for path in list_checkpoints(checkpoints.folder)]
    ['step-00000003.npz', 'step-00000002.npz']
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._named: set[Path] = set()  # the bad ones that were told of

    def start(self, step: int, came_from: Path | None) -> list[Path]:
        """Make the folder ready for a run that goes on from a step; return what was set aside.

        What interrupted writers left behind is deleted. Checkpoints of later steps, which such a
        run leaves behind as its former future, must not count as the newest any more: their names
        get ``.superseded`` at the end, instead of what stood there.

        Raises
        ------
        FileExistsError
            The folder holds another run's checkpoints: none of them is what the run came from.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        found = list_checkpoints(self.folder)
        inside = came_from is not None and came_from.parent.resolve() == self.folder.resolve()
        if found and not inside:
            raise FileExistsError(
                f"{self.folder} holds checkpoints of another run (the newest is {found[0].name}): "
                "continue it with resume('auto'), choose another folder, or delete them"
            )
        self._remove_temporaries()
        later = [path for path in found if step_of(path) > step]
        best = self.folder / BEST
        if best.exists() and self._is_later(best, step):
            later.append(best)
        return [path.replace(path.with_name(f"{path.name}.superseded")) for path in later]

    def _remove_temporaries(self) -> None:
        for path in self.folder.glob(f"*.npz{TEMPORARY}"):
            if _is_file(path):
                path.unlink()

    def _is_later(self, path: Path, step: int) -> bool:
        """Whether a checkpoint is of a later step, or unreadable."""
        try:
            saved = read_manifest(path)["state"].get("step")
        except (CheckpointError, FileNotFoundError):
            return True
        return not isinstance(saved, int) or saved > step

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> Path:
        """Write the checkpoint of a step, then delete what is not to be kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = checkpoint_path(self.folder, step)
        save_checkpoint(path, arrays, state)
        self._named.discard(path)
        self._remove_old()
        return path

    def _remove_old(self) -> None:
        """Delete those that so many good ones are newer than; what is no file stays."""
        found = list_checkpoints(self.folder)
        good = 0
        for path in found if len(found) > self.keep else []:
            if good < self.keep:
                good += self._is_good(path)
            elif _is_file(path):
                path.unlink()
        self._remove_temporaries()

    def _is_good(self, path: Path) -> bool:
        try:
            verify_checkpoint(path)
        except (CheckpointError, FileNotFoundError) as error:
            self._tell(path, error)
            return False
        return True

    def _tell(self, path: Path, error: Exception) -> None:
        if path not in self._named:
            self._named.add(path)
            say(f"skipped: {error}")

    def newest_readable(
        self,
    ) -> tuple[Path, dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Read the newest checkpoint that can be read; name those that cannot.

        Returns
        -------
        tuple of Path, arrays and state, or None
            None where there is no checkpoint at all.

        Raises
        ------
        CheckpointError
            There are checkpoints, but none of them can be read.
        """
        found = list_checkpoints(self.folder)
        for path in found:
            try:
                return path, *load_checkpoint(path)
            except (CheckpointError, FileNotFoundError) as error:
                self._named.discard(path)
                self._tell(path, error)
        if found:
            raise CheckpointError(
                f"none of the {len(found)} checkpoints in {self.folder} can be read (see above): "
                "delete them to start anew, or choose another folder"
            )
        return None
