"""Checkpoints: one ``.npz`` file of arrays and one JSON text, written so that none is ever half.

The file is written under a temporary name, forced to the disk and renamed: a reader finds the old
checkpoint or the new one, whatever happens in between. Nothing in it is pickled.
"""

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
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
    ValueError, TypeError
        The state is nothing that JSON can hold, or an array holds Python objects.

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
            _write_members(file, members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _write_members(file: IO[bytes], members: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` as `numpy.savez` does, but no pickled objects, and under any names."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array), allow_pickle=False)


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
        with zipfile.ZipFile(path) as archive:
            members = _read_members(archive)
        content = json.loads(members.pop(_STATE_MEMBER).tobytes().decode())
        version, state = content["format"], content["state"]
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise CheckpointError(f"{path} is no readable checkpoint: {error!r}") from error
    if version != FORMAT:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT}")
    return members, state


def _read_members(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """Read every array. Each member is read to its end: only then is its checksum compared."""
    members: dict[str, NDArray[Any]] = {}
    for information in archive.infolist():
        name = information.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"it has two members called {name!r}")
        if information.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its member {name!r} is compressed")
        stream = io.BytesIO(archive.read(information))
        members[name] = npy.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"its member {name!r} is longer than its array")
    return members


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
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the step in a checkpoint's name, -1 if it has another name.

    Examples
    --------
    >>> step_of(Path("runs/step-00000200.npz"))
    200
    """
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


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


def set_aside_later(folder: Path, step: int) -> list[Path]:
    """Rename the checkpoints after a step, and return their new names.

    A run that goes on from an earlier checkpoint leaves its former future behind: it must not count
    as the newest any more. The files are kept, with ``.superseded`` at the end of their names.
    """
    later = [path for path in list_checkpoints(folder) if step_of(path) > step]
    return [path.replace(path.with_name(f"{path.name}.superseded")) for path in later]


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
        if prefix in arrays:
            raise ValueError(f"two arrays of the state have the name {prefix!r}")
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
