"""The bytes of a checkpoint file: a zip archive of which every byte outside the data is prescribed.

Any zip program reads it, and so does `numpy.load`: members are stored one after the other without
compression, each with its 64-bit sizes, then come the directory and the end records. But a reader
of checkpoints must not be as patient as those: a file that says one thing in two places, hides
bytes in a gap, or claims more than it holds is an accident or a trap. So `read_directory` makes
every header anew from the few numbers in it and compares: nothing is left to be interpreted.

References
----------
PKWARE, "APPNOTE.TXT, .ZIP File Format Specification", 4.3 and 4.5.3. NumPy Enhancement Proposal 1,
"A Simple File Format for NumPy Arrays", for the header before an array's data.
"""

import struct
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

LARGEST_DIRECTORY = 2**24
"""In bytes; it bounds what a file can make its reader allocate beyond its own size."""

_VERSION = 45  # of the zip format: the first with 64-bit sizes
_NAMES_ARE_UTF8 = 0x800
_DATE = 0x21  # 1980-01-01, the first there is: equal checkpoints are equal files
_SEE_EXTRA = 0xFFFFFFFF  # in a 32-bit field: the number is in the extra field
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_ENTRY_EXTRA = struct.Struct("<2H3Q")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")


class LayoutError(ValueError):
    """The bytes are not those of a checkpoint; the message says which."""


class Member(NamedTuple):
    """One file of the archive: its name, CRC-32 checksum, size, and where its header begins.

    Examples
    --------
    >>> Member("weight.npy", 0, 100, 0).end
    160
    """

    name: str
    checksum: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """The position after the member's last byte."""
        return self.offset + len(local_header(self)) + self.size


def local_header(member: Member) -> bytes:
    """Return the bytes before a member's data."""
    name = member.name.encode()
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.size)
    sizes = (_SEE_EXTRA, _SEE_EXTRA, len(name), len(extra))
    fixed = (b"PK\x03\x04", _VERSION, _NAMES_ARE_UTF8, 0, 0, _DATE, member.checksum, *sizes)
    return _LOCAL.pack(*fixed) + name + extra


def directory_entry(member: Member) -> bytes:
    """Return the bytes that describe a member in the directory."""
    name = member.name.encode()
    extra = _ENTRY_EXTRA.pack(1, 24, member.size, member.size, member.offset)
    made_on_unix, readable_by_owner = 3 << 8, 0o100600 << 16
    fixed = (b"PK\x01\x02", made_on_unix | _VERSION, _VERSION, _NAMES_ARE_UTF8, 0, 0, _DATE)
    sizes = (member.checksum, _SEE_EXTRA, _SEE_EXTRA, len(name), len(extra))
    return _ENTRY.pack(*fixed, *sizes, 0, 0, 0, readable_by_owner, _SEE_EXTRA) + name + extra


def end_records(count: int, size: int, offset: int, comment: bytes) -> bytes:
    """Return the last bytes of the file: where the directory is, and the archive's comment."""
    end64 = _END64.pack(
        b"PK\x06\x06", 44, 3 << 8 | _VERSION, _VERSION, 0, 0, count, count, size, offset
    )
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1)
    all_in_end64 = (0xFFFF, 0xFFFF, _SEE_EXTRA, _SEE_EXTRA)
    return end64 + locator + _END.pack(b"PK\x05\x06", 0, 0, *all_in_end64, len(comment)) + comment


def directory(members: Sequence[Member], comment: bytes) -> bytes:
    """Return all that stands after the members.

    Raises
    ------
    ValueError
        A name is not one to be trusted, or there are too many.
    """
    for member in members:
        _check_name(member.name)
    entries = b"".join(map(directory_entry, members))
    if len(entries) > LARGEST_DIRECTORY:
        raise ValueError(
            f"{len(members)} arrays with names of this length need a directory of {len(entries)} "
            f"bytes; a checkpoint has at most {LARGEST_DIRECTORY}"
        )
    offset = members[-1].end if members else 0
    return entries + end_records(len(members), len(entries), offset, comment)


def read_directory(file: IO[bytes], length: int, comment_length: int) -> tuple[list[Member], bytes]:
    """Read the directory at the end of a file.

    Parameters
    ----------
    file : binary file
    length : int
        The file's, in bytes.
    comment_length : int
        Of the archive's comment.

    Returns
    -------
    members : list of Member
        Without gaps or overlaps between them, with different names.
    comment : bytes

    Raises
    ------
    LayoutError
        Any byte is not what it should be.
    """
    end_length = _END64.size + _LOCATOR.size + _END.size + comment_length
    if length < end_length:
        raise LayoutError(f"it has only {length} bytes")
    file.seek(length - end_length)
    end = file.read(end_length)
    comment = end[end_length - comment_length :]
    *_, count, size, offset = _END64.unpack_from(end)
    if size > LARGEST_DIRECTORY or offset + size + end_length != length:
        raise LayoutError("it does not end as a checkpoint does: it is cut off, or another file")
    if end != end_records(count, size, offset, comment):
        raise LayoutError("its end records are not those of a checkpoint")
    file.seek(offset)
    members = _parse_entries(file.read(size))
    if len(members) != count or (members[-1].end if members else 0) != offset:
        raise LayoutError("its members do not fill it")
    return members, comment


def _parse_entries(entries: bytes) -> list[Member]:
    members: list[Member] = []
    names: set[str] = set()
    position = expected = 0
    while position < len(entries):
        if len(entries) - position < _ENTRY.size:
            raise LayoutError("its directory is cut off")
        fields = _ENTRY.unpack_from(entries, position)
        checksum, name_length = fields[7], fields[10]
        name_end = position + _ENTRY.size + name_length
        if len(entries) - name_end < _ENTRY_EXTRA.size:
            raise LayoutError("its directory is cut off")
        name = entries[position + _ENTRY.size : name_end].decode()
        *_, size, _, offset = _ENTRY_EXTRA.unpack_from(entries, name_end)
        member = Member(name, checksum, size, offset)
        if entries[position : name_end + _ENTRY_EXTRA.size] != directory_entry(member):
            raise LayoutError(f"the directory's entry of {name!r} is not as a checkpoint has it")
        _check_name(name)
        if name in names:
            raise LayoutError(f"it has two members called {name!r}")
        if offset != expected:
            raise LayoutError(f"its member {name!r} does not begin where the one before it ends")
        names.add(name)
        members.append(member)
        position, expected = name_end + _ENTRY_EXTRA.size, member.end
    return members


def _check_name(name: str) -> None:
    """Refuse names that would be written elsewhere when somebody unpacks the archive."""
    parts = name.split("/")
    if "\\" in name or ":" in parts[0] or not name.isprintable() or {"", ".", ".."} & {*parts}:
        raise LayoutError(f"{name!r} is no name for a member of a checkpoint")


def array_header(dtype: str, shape: Sequence[int]) -> bytes:
    r"""Return the bytes that stand before an array's data in the ``.npy`` format, version 1.

    Parameters
    ----------
    dtype : str
        NumPy's short form, such as ``"<f4"``.
    shape : sequence of int

    Examples
    --------
    >>> header = array_header("<f4", (2, 3))
    >>> len(header) % 64, header[:8], header[10:].strip()
    (0, b'\x93NUMPY\x01\x00', b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
    """
    described: dict[str, Any] = {"descr": dtype, "fortran_order": False, "shape": tuple(shape)}
    text = "{" + "".join(f"{key!r}: {value!r}, " for key, value in described.items()) + "}"
    padding = -(len(text) + 11) % 64
    length = len(text) + padding + 1
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + f"{text}{' ' * padding}\n".encode()
