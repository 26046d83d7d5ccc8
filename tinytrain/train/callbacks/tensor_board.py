"""The records of a run as curves in TensorBoard, without TensorBoard.

An event file is a sequence of records, each with its length and two checksums, and each an `Event`
message in the encoding of protocol buffers. Scalars need five fields of it; they are written here.

References
----------
tensorflow/core/lib/io/record_writer.h (records), tensorflow/core/util/event.proto and
tensorflow/core/framework/summary.proto (messages), in the sources of TensorFlow. RFC 3720,
appendix B.4, for CRC-32C.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.plain_record import plain_record
from tinytrain.train.say import say
from tinytrain.train.set_aside import free_name, is_fresh

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, the bits in reverse
_SESSION_START = 1


class TensorBoardLog(Callback):
    """Writes the figures of each record as scalars for TensorBoard.

    Look at them with ``tensorboard --logdir FOLDER`` (``pip install tensorboard``). Each call of
    `fit` writes a file of its own; that of a resumed run makes TensorBoard drop what older files
    have of later steps.

    A fresh run moves the files of an earlier one to a folder ``superseded`` inside, which
    TensorBoard shows as a run of its own.

    Parameters
    ----------
    folder : path
        Is made if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> log = TensorBoardLog(tempfile.mkdtemp())
    >>> class Run:
    ...     step = 0
    >>> log.on_run_start(Run)
    >>> log.on_record(Run, {"step": 1, "loss": 2.5})
    >>> log.on_run_end(Run)
    >>> log.path.name.startswith("events.out.tfevents.")
    True
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path: Path | None = None
        self._file: Any = None
        self._begun = False

    def on_run_start(self, trainer: Any) -> None:
        """Begin a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if is_fresh(trainer) and not self._begun:
            self._set_aside()
        self._begun = True
        now = time.time()
        name = f"events.out.tfevents.{now:.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = self.folder / name
        self._file = open(self.path, "wb")  # noqa: SIM115 - closed in on_run_end
        self._write(_event(now, 0, version="brain.Event:2"))
        if trainer.step:
            self._write(_event(now, trainer.step + 1, session=_SESSION_START))

    def _set_aside(self) -> None:
        older = sorted(self.folder.glob("events.out.tfevents.*"))
        if older:
            new = free_name(self.folder / "superseded")
            new.mkdir()
            for path in older:
                path.rename(new / path.name)
            say(f"set aside, for they are of another run: {len(older)} event files, now in {new}")

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Write the numbers of a record."""
        numbers = {
            name: float(value)
            for name, value in plain_record(record).items()
            if name != "step" and isinstance(value, int | float)
        }
        if numbers:
            self._write(_event(time.time(), int(record["step"]), scalars=numbers))

    def on_run_end(self, trainer: Any) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        checksums = [struct.pack("<I", masked_checksum(part)) for part in (length, event)]
        self._file.write(length + checksums[0] + event + checksums[1])
        self._file.flush()


def _event(
    seconds: float,
    step: int,
    version: str | None = None,
    session: int | None = None,
    scalars: Mapping[str, float] | None = None,
) -> bytes:
    """Encode an `Event`: time, step, and one of version, session log and summary."""
    message = b"\x09" + struct.pack("<d", seconds) + b"\x10" + _varint(step)
    if version is not None:
        message += _nested(3, version.encode())
    if session is not None:
        message += _nested(7, b"\x08" + _varint(session))
    if scalars is not None:
        values = [
            _nested(1, name.encode()) + b"\x15" + _float32(value) for name, value in scalars.items()
        ]
        message += _nested(5, b"".join(_nested(1, value) for value in values))
    return message


def _float32(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond the largest of them
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _nested(field: int, content: bytes) -> bytes:
    """Encode a field that holds text or another message."""
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Encode a number from 0 as seven bits per byte, the lowest first.

    Examples
    --------
    >>> _varint(300).hex()
    'ac02'
    """
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def _checksum_table() -> list[int]:
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
        table.append(remainder)
    return table


_TABLE = _checksum_table()


def masked_checksum(data: bytes) -> int:
    """Return the CRC-32C checksum in the masked form that event files have.

    Examples
    --------
    >>> hex(masked_checksum(b"123456789"))  # CRC-32C: 0xe3069283
    '0xc78ab0e5'
    """
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ byte) & 255]
    checksum = remainder ^ 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
