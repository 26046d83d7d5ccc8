"""Files that look like checkpoints, made to be refused: each with a part of what must be said."""

import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np

from tinytrain.train.checkpoint_layout import (
    Member,
    array_header,
    directory_entry,
    end_records,
    local_header,
)

ENTRY = {"dtype": "<f8", "shape": [4], "sha256": None}
DATA = np.arange(4.0).tobytes()


def archive(members, comment=None, gaps=(), entries=None):
    """Lay out members as checkpoints do, from pairs of name and content."""
    content, found = b"", []
    for number, (name, data) in enumerate(members):
        content += b"hidden" if number in gaps else b""
        member = Member(name, zlib.crc32(data), len(data), len(content))
        found.append(member)
        content += local_header(member) + data
    if comment is None:
        comment = hashlib.sha256(members[0][1]).hexdigest().encode()
    described = b"".join(map(directory_entry, entries(found) if entries else found))
    count = described.count(b"PK\x01\x02")
    return content + described + end_records(count, len(described), len(content), comment)


def manifest(arrays=None, **changes):
    """A manifest's text; digests that are None are those of `DATA` with the right header."""
    arrays = {"a": ENTRY} if arrays is None else arrays
    digest = hashlib.sha256(array_header("<f8", (4,)) + DATA).hexdigest()
    arrays = {
        name: entry | {"sha256": digest} if isinstance(entry, dict) and "sha256" in entry else entry
        for name, entry in arrays.items()
    }
    content = {"format": 2, "versions": {}, "arrays": arrays, "state": {"step": 1}} | changes
    return json.dumps(content).encode()


def member(data=DATA, dtype="<f8", shape=(4,), name="a.npy"):
    return (name, array_header(dtype, shape) + data)


def good():
    return archive([("manifest.json", manifest()), member()])


def foreign_npz(compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("a.npy", array_header("<f8", (4,)) + DATA)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def described(**changes):
    """A checkpoint whose manifest says something else of its one array."""
    return archive([("manifest.json", manifest({"a": ENTRY | changes})), member()])


def with_text(text):
    return archive([("manifest.json", text), member()])


def overlapping(found):
    return [*found, found[-1]._replace(name="b.npy")]


def moved(found):
    return [found[0], found[1]._replace(offset=found[1].offset + 1)]


def bomb():
    """Ten megabytes of zeros in ten kilobytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", bytes(10**7))
    return buffer.getvalue()


def wrong_local_header():
    content = good()
    position = content.index(b"PK\x03\x04", 10)
    return content[: position + 10] + b"\x01" + content[position + 11 :]


def claims_directory(size):
    return good()[:-122] + struct.pack("<Q", size) + good()[-114:]


FILES = {
    "empty": (b"", "it has only 0 bytes"),
    "text": (b"step 3\n" * 100, "is cut off, or another file"),
    "npy": (npy(np.ones(50)), "is cut off, or another file"),
    "pickle": (pickle.dumps({"a": list(range(100))}), "is cut off, or another file"),
    "foreign npz": (foreign_npz(), "it begins like a zip archive"),
    "compressed": (foreign_npz(zipfile.ZIP_DEFLATED), "it begins like a zip archive"),
    "bomb": (bomb(), "it begins like a zip archive"),
    "no members": (archive([("x", b"")], entries=lambda found: []), "do not fill it"),
    "no manifest": (archive([member()]), "does not begin with a manifest"),
    "manifest last": (archive([member(), ("manifest.json", manifest())]), "does not begin with"),
    "newer": (with_text(manifest(format=3)), "it has format 3, this version reads 2"),
    "no format": (with_text(b"[2]"), r"it has format \[2\], this version"),
    "no json": (with_text(b"{"), "JSONDecodeError"),
    "no text": (with_text(b"\xff\xfe"), "UnicodeDecodeError"),
    "deep": (with_text(b"[" * 100_000), "RecursionError"),
    "nan": (with_text(manifest(state={"x": float("nan")})), "its manifest has NaN for a number"),
    "long number": (with_text(b'{"format": ' + b"9" * 10_000 + b"}"), "ValueError"),
    "state": (with_text(manifest(state=[1])), "no arrays or no state"),
    "arrays": (with_text(b'{"format": 2, "state": {}}'), "no arrays or no state"),
    "more arrays": (with_text(manifest({"a": ENTRY, "b": ENTRY})), "are not the arrays of its"),
    "fewer arrays": (with_text(manifest({})), "are not the arrays of its manifest"),
    "entry": (with_text(manifest({"a": 3})), "does not describe the array 'a'"),
    "more in entry": (described(fortran=True), "does not describe the array 'a'"),
    "object": (described(dtype="|O"), r"unknown dtype '\|O'"),
    "structured": (described(dtype=[["x", "<f8"]]), "unknown dtype"),
    "byte order": (described(dtype=">f8"), "unknown dtype"),
    "32 GiB": (described(shape=[2**32]), "takes 34359738496 bytes with its header, its member"),
    "overflow": (described(shape=[2**62, 4]), "takes 1"),
    "huge and empty": (described(shape=[2**62, 0]), "its member has 160"),
    "negative": (described(shape=[-4]), "impossible shape"),
    "negative twice": (described(shape=[-2, -2]), "impossible shape"),
    "not whole": (described(shape=[4.0]), "impossible shape"),
    "truth": (described(shape=[True, 4]), "impossible shape"),
    "many axes": (described(shape=[4] + [1] * 64), "impossible shape"),
    "no shape": (described(shape=4), "impossible shape"),
    "other shape": (described(shape=[2, 2]), "the header of the array 'a' is not what"),
    "other digest": (
        archive([("manifest.json", manifest().replace(b'"sha256": "', b'"sha256": "0')), member()]),
        "does not fit its digests",
    ),
    "other data": (
        archive([("manifest.json", manifest()), member(DATA[::-1])]),
        "does not fit its digests",
    ),
    "other comment": (
        archive([("manifest.json", manifest()), member()], b"0" * 64),
        "'manifest.json' does not fit its digests",
    ),
    "no ascii comment": (
        archive([("manifest.json", manifest()), member()], b"\xff" * 64),
        "'manifest.json' does not fit its digests",
    ),
    "longer": (archive([("manifest.json", manifest()), member(DATA + b"more")]), "takes 160 bytes"),
    "hole": (
        archive([("manifest.json", manifest()), member()], gaps=[1]),
        "does not begin where the one before it ends",
    ),
    "in front": (
        archive([("manifest.json", manifest()), member()], gaps=[0]),
        "does not begin where the one before it ends",
    ),
    "overlap": (
        archive([("manifest.json", manifest()), member()], entries=overlapping),
        "does not begin where the one before it ends",
    ),
    "moved": (
        archive([("manifest.json", manifest()), member()], entries=moved),
        "does not begin where the one before it ends",
    ),
    "twice": (
        archive([("manifest.json", manifest()), member(), member()]),
        "two members called 'a.npy'",
    ),
    "outside": (
        archive([("manifest.json", manifest()), member(name="../a.npy")]),
        "is no name for a member",
    ),
    "local header": (wrong_local_header(), "does not fit its directory"),
    "directory": (claims_directory(2**60), "is cut off, or another file"),
    "truth values": (
        archive(
            [
                (
                    "manifest.json",
                    manifest({"a": {"dtype": "|b1", "shape": [32], "sha256": None}}).replace(
                        hashlib.sha256(array_header("<f8", (4,)) + DATA).hexdigest().encode(),
                        hashlib.sha256(array_header("|b1", (32,)) + DATA).hexdigest().encode(),
                    ),
                ),
                member(dtype="|b1", shape=(32,)),
            ]
        ),
        "other truth values than 0 and 1",
    ),
}
