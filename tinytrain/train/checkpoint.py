"""Checkpoint files: arrays and a JSON manifest in one ``.npz``, never half written or half trusted.

A file is written under a temporary name, forced to the disk and renamed: a reader finds the old
checkpoint or the new one, whatever happens in between. Nothing in it is pickled. It is read in the
order of its claims: first the directory, whose every byte is checked, then the manifest, then what
the manifest says of each array, held against the size of the array's member; and only then memory
is taken for it. Every member has a SHA-256 digest: those of the arrays are in the manifest, that of
the manifest is the archive's comment, so that this one comment stands for the whole content.
"""

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.train.checkpoint_layout import (
    LayoutError,
    Member,
    array_header,
    directory,
    local_header,
    read_directory,
)
from tinytrain.train.checkpoint_manifest import (
    FORMAT,
    LARGEST_MANIFEST,
    check_entries,
    is_storable,
    make_manifest,
    parse_manifest,
)

TEMPORARY = ".part"
_MANIFEST = "manifest.json"
_DIGEST_LENGTH = 64
_CHUNK = 2**20
_BINARY = getattr(os, "O_BINARY", 0)  # else Windows would translate line ends


class CheckpointError(Exception):
    """A file is no readable checkpoint, or not one for this model; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "step-1.npz"
    ...     _ = path.write_text("something else")
    ...     try:
    ...         load_checkpoint(path)
    ...     except CheckpointError as error:
    ...         print(error.args[0].removeprefix(f"{path} "))
    is no readable checkpoint: it has only 14 bytes
    """


def save_checkpoint(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON-able state to a file, atomically.

    Parameters
    ----------
    path : path
        An existing file is replaced; on any failure it stays as it was.
    arrays : mapping of str to array
        Of numbers or truth values, in host memory.
    state : mapping
        What JSON can hold, exactly: floats survive bit for bit.

    Raises
    ------
    OSError
        The file cannot be written, for example because the disk is full.
    ValueError, TypeError
        The state is nothing that JSON can hold, or too much of it; or an array holds something
        else than numbers.

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
    path = Path(path)
    plain = {name: _plain(name, array) for name, array in arrays.items()}
    contents = {name: _described(array) for name, array in plain.items()}
    manifest = make_manifest({name: entry for name, (_, entry) in contents.items()}, state)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            members = [_write_member(file, _MANIFEST, 0, zlib.crc32(manifest), manifest)]
            for name, (checksum, entry) in contents.items():
                header = array_header(entry["dtype"], entry["shape"])
                parts = (header, _bytes_of(plain[name]))
                end = members[-1].end
                members.append(_write_member(file, f"{name}.npy", end, checksum, *parts))
            file.write(directory(members, hashlib.sha256(manifest).hexdigest().encode()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to be told
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order, the lowest byte of each number first."""
    array = np.asarray(array)
    if not is_storable(array.dtype):
        raise ValueError(
            f"the array {name!r} has dtype {array.dtype}; a checkpoint holds arrays of truth "
            "values and of numbers of at most 64 bits (complex: 128)"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _described(array: NDArray[Any]) -> tuple[int, dict[str, Any]]:
    """Return the checksum of an array as a ``.npy`` file, and the manifest's words on it."""
    data, header = _bytes_of(array), array_header(array.dtype.str, array.shape)
    digest = hashlib.sha256(header)
    digest.update(data)
    entry = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest.hexdigest()}
    return zlib.crc32(data, zlib.crc32(header)), entry


def _write_member(
    file: IO[bytes], name: str, offset: int, checksum: int, *parts: bytes | memoryview
) -> Member:
    member = Member(name, checksum, sum(len(part) for part in parts), offset)
    for part in (local_header(member), *parts):
        file.write(part)
    return member


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


# ---------------------------------------------------------------- reading


def load_checkpoint(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and the state that `save_checkpoint` wrote.

    The memory taken is that of the arrays, which is less than the file's size, and for the state
    and the directory, whose sizes are limited, some hundred MB at the very most.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CheckpointError
        The file is damaged, truncated, of another version, too large for the memory, or something
        else altogether, such as a folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "c.npz", {"w": np.ones(2)}, {"step": 3})
    ...     arrays, state = load_checkpoint(Path(folder) / "c.npz")
    >>> arrays["w"].tolist(), state
    ([1.0, 1.0], {'step': 3})
    """
    with _opened(Path(path)) as file:
        manifest, members = _read_manifest(file)
        arrays: dict[str, NDArray[Any]] = {}
        for (name, entry), member in zip(manifest["arrays"].items(), members, strict=True):
            arrays[name] = _read_array(file, name, entry, member)
        state = manifest["state"]
    return arrays, state


def verify_checkpoint(path: str | Path) -> None:
    """Read a checkpoint through, and hold all of it against its digests; keep none of it.

    Raises
    ------
    FileNotFoundError, CheckpointError
        As for `load_checkpoint`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "c.npz", {"w": np.ones(2)}, {"step": 3})
    ...     verify_checkpoint(Path(folder) / "c.npz")
    """
    with _opened(Path(path)) as file:
        manifest, members = _read_manifest(file)
        chunk = memoryview(bytearray(_CHUNK))
        for (name, entry), member in zip(manifest["arrays"].items(), members, strict=True):
            header = bytearray(array_header(entry["dtype"], entry["shape"]))
            expected, left = bytes(header), member.size - len(header)
            _read_member(file, member, entry["sha256"], _in_chunks(header, left, chunk))
            _check_header(name, header, expected)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read what a checkpoint says of itself, without its arrays.

    Returns
    -------
    dict
        The ``format``, the ``versions`` of the programs that wrote it, the ``arrays`` by name, each
        with ``dtype``, ``shape`` and ``sha256``, and the ``state``.

    Raises
    ------
    FileNotFoundError, CheckpointError
        As for `load_checkpoint`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "c.npz", {"w": np.ones(2)}, {"step": 3})
    ...     manifest = read_manifest(Path(folder) / "c.npz")
    >>> manifest["state"], manifest["arrays"]["w"]["shape"]
    ({'step': 3}, [2])
    """
    with _opened(Path(path)) as file:
        return _read_manifest(file)[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, and name it in whatever is found to be wrong with it.

    Only a regular file is read: from a pipe the reader would wait for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LayoutError("it is no regular file")
            yield file
    except FileNotFoundError as error:
        if not path.is_symlink():
            raise
        raise CheckpointError(f"{path} is a link to a file that does not exist") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) if isinstance(error, LayoutError) else repr(error)
        raise CheckpointError(f"{path} is no readable checkpoint: {reason}") from error


def _read_manifest(file: IO[bytes]) -> tuple[dict[str, Any], list[Member]]:
    """Return the manifest, and the members that its arrays are in."""
    length = os.fstat(file.fileno()).st_size
    try:
        members, comment = read_directory(file, length, _DIGEST_LENGTH)
    except LayoutError as error:
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            raise LayoutError(
                f"{error} (it begins like a zip archive: it may be cut off or changed, come from "
                f"another program, or from a version of tinytrain before format {FORMAT})"
            ) from error
        raise
    if not members or members[0].name != _MANIFEST:
        raise LayoutError("it does not begin with a manifest")
    if members[0].size > LARGEST_MANIFEST:
        raise LayoutError(f"its manifest has {members[0].size} bytes, above {LARGEST_MANIFEST}")
    text = bytearray(members[0].size)
    _read_member(file, members[0], comment.decode("ascii", "replace"), [text])
    manifest = parse_manifest(bytes(text))
    check_entries(manifest, members[1:])
    return manifest, members[1:]


def _read_array(file: IO[bytes], name: str, entry: Mapping[str, Any], member: Member) -> Any:
    header = bytearray(array_header(entry["dtype"], entry["shape"]))
    expected = bytes(header)
    array = np.empty(tuple(entry["shape"]), dtype=entry["dtype"])
    _read_member(file, member, entry["sha256"], [header, _bytes_of(array)])
    _check_header(name, header, expected)
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise LayoutError(f"the array {name!r} has other truth values than 0 and 1")
    return array


def _in_chunks(header: bytearray, left: int, chunk: memoryview) -> Iterator[bytearray | memoryview]:
    """Yield what to read a member into: its header, and the same memory again and again."""
    yield header
    for start in range(0, left, len(chunk)):
        yield chunk[: min(len(chunk), left - start)]


def _check_header(name: str, header: bytearray, expected: bytes) -> None:
    if header != expected:
        raise LayoutError(f"the header of the array {name!r} is not what its manifest says")


def _read_member(
    file: IO[bytes], member: Member, sha256: str, parts: Iterable[bytearray | memoryview]
) -> None:
    """Read a member into memory that is as large as it is, and check its digests."""
    file.seek(member.offset)
    header = local_header(member)
    if file.read(len(header)) != header:
        raise LayoutError(f"the header of its member {member.name!r} does not fit its directory")
    digest, checksum = hashlib.sha256(), 0
    for part in parts:
        if file.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise LayoutError(f"its member {member.name!r} is cut off")
        digest.update(part)
        checksum = zlib.crc32(part, checksum)
    if digest.hexdigest() != sha256 or checksum != member.checksum:
        raise LayoutError(f"the content of its member {member.name!r} does not fit its digests")
