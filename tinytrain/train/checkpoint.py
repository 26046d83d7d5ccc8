"""Checkpoints: one ``.npz`` file of arrays and one JSON text, written so that none is ever half.

The file is written under a temporary name, forced to the disk and renamed: a reader finds the old
checkpoint or the new one, whatever happens in between. Nothing in it is pickled.
"""

import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_STATE_MEMBER = "state.json"
_TEMPORARY = ".part"
_NAME = re.compile(r"step-(\d+)\.npz")


class CheckpointError(Exception):
    """A file is no readable checkpoint, or not one for this model; the message names the file."""


def save_checkpoint(
    path: Path, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON-able state to a file, atomically.

    Parameters
    ----------
    path : Path
        An existing file is replaced; on any failure it stays as it was.
    arrays : mapping of str to array
        In host memory.
    state : mapping
        What JSON can hold, exactly: floats survive bit for bit.

    Raises
    ------
    OSError
        The file cannot be written, for example because the disk is full.

    References
    ----------
    T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, for why both the file
    and its folder are synced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "step-00000001.npz"
    >>> save_checkpoint(path, {"weight": np.arange(2.0)}, {"step": 1})
    >>> arrays, state = load_checkpoint(path)
    >>> arrays["weight"], state
    (array([0., 1.]), {'step': 1})
    """
    if _STATE_MEMBER in arrays:
        raise ValueError(f"an array cannot be called {_STATE_MEMBER!r}")
    text = json.dumps({"format": FORMAT, "state": dict(state)}, allow_nan=False)
    members = {**arrays, _STATE_MEMBER: np.frombuffer(text.encode(), dtype=np.uint8)}
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **members)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where the system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and the state that `save_checkpoint` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CheckpointError
        The file is damaged, truncated or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
        content = json.loads(members.pop(_STATE_MEMBER).tobytes().decode())
        version, state = content["format"], content["state"]
    except FileNotFoundError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        MemoryError,
    ) as error:
        raise CheckpointError(f"{path} is no readable checkpoint: {error}") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if version != FORMAT:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT}")
    return members, state


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the name of the checkpoint after a number of steps.

    Examples
    --------
    >>> checkpoint_path(Path("runs"), 200).name
    'step-00000200.npz'
    """
    return folder / f"step-{step:08d}.npz"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest first; unfinished files do not count."""
    if not folder.is_dir():
        return []
    found = [
        (int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def newest_readable(
    folder: Path,
) -> tuple[Path, dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Read the newest checkpoint of a folder that can be read; name those that cannot.

    Returns
    -------
    tuple of Path, arrays and state, or None
        None where there is no readable checkpoint.
    """
    for path in list_checkpoints(folder):
        try:
            return path, *load_checkpoint(path)
        except CheckpointError as error:
            print(f"skipped: {error}")
    return None


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Delete all but the newest checkpoints, and what interrupted writers left behind.

    Call it after a checkpoint was written, so that there are never fewer than `keep`.
    """
    for path in list_checkpoints(folder)[keep:]:
        path.unlink()
    for path in folder.glob(f"step-*.npz{_TEMPORARY}"):
        path.unlink()


def pack(state: Any, prefix: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Replace the arrays in a nested state by their names, and put them into `arrays`.

    `unpack` is the inverse. Dictionary keys that are whole numbers survive the way through JSON.

    Examples
    --------
    >>> arrays = {}
    >>> packed = pack({"step": 3, "momentum": np.zeros(2)}, "optimizer", arrays)
    >>> packed, list(arrays)
    ({'step': 3, 'momentum': {'__array__': 'optimizer/momentum'}}, ['optimizer/momentum'])
    >>> unpack(packed, arrays)
    {'step': 3, 'momentum': array([0., 0.])}
    """
    if isinstance(state, np.ndarray):
        arrays[prefix] = state
        return {"__array__": prefix}
    if isinstance(state, Mapping):
        if any(isinstance(key, int) for key in state):
            items = [[key, pack(value, f"{prefix}/{key}", arrays)] for key, value in state.items()]
            return {"__items__": items}
        return {key: pack(value, f"{prefix}/{key}", arrays) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [pack(value, f"{prefix}/{i}", arrays) for i, value in enumerate(state)]
    return state


def unpack(state: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Put the arrays back that `pack` took out of a nested state."""
    if isinstance(state, Mapping):
        if "__array__" in state:
            return arrays[state["__array__"]]
        if "__items__" in state:
            return {key: unpack(value, arrays) for key, value in state["__items__"]}
        return {key: unpack(value, arrays) for key, value in state.items()}
    if isinstance(state, list):
        return [unpack(value, arrays) for value in state]
    return state
