"""The manifest of a checkpoint: JSON that describes the arrays and holds the rest of the state."""

import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinytrain.train.checkpoint_layout import LayoutError, Member, array_header

FORMAT = 2
LARGEST_MANIFEST = 2**24
"""In bytes, as JSON text: what is large in a run are arrays."""

_DTYPES = {f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)} | {
    *("|b1", "|i1", "|u1", "<f2", "<f4", "<f8", "<c8", "<c16")
}


def is_storable(dtype: np.dtype[Any]) -> bool:
    """Whether a checkpoint can hold arrays of a dtype, in whatever byte order.

    Examples
    --------
    >>> is_storable(np.dtype(">f4")), is_storable(np.dtype("U3"))
    (True, False)
    """
    return dtype.newbyteorder("<").str in _DTYPES


def make_manifest(entries: Mapping[str, Any], state: Mapping[str, Any]) -> bytes:
    """Return the manifest's text, for descriptions of arrays by their names, and a state.

    Raises
    ------
    ValueError, TypeError
        The state is nothing that JSON can hold, or too much of it.
    """
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    # The package stands above all of its modules: it is asked, not imported.
    versions["tinytrain"] = str(sys.modules[__name__.partition(".")[0]].__version__)
    content = {"format": FORMAT, "versions": versions, "arrays": entries, "state": dict(state)}
    text = json.dumps(content, allow_nan=False).encode()
    if len(text) > LARGEST_MANIFEST:
        raise ValueError(
            f"the state is {len(text)} bytes of JSON, a checkpoint holds at most "
            f"{LARGEST_MANIFEST}: keep large parts of it in arrays"
        )
    return text


def parse_manifest(text: bytes) -> dict[str, Any]:
    """Read a manifest's text.

    Raises
    ------
    LayoutError
        It is of another format.
    ValueError, RecursionError
        It is no JSON.
    """
    manifest = json.loads(text.decode(), parse_constant=_no_number)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise LayoutError(f"it has format {found!r:.40}, this version reads {FORMAT}")
    return manifest


def _no_number(text: str) -> Any:
    raise LayoutError(f"its manifest has {text} for a number")


def check_entries(manifest: Mapping[str, Any], members: Sequence[Member]) -> None:
    """Hold what the manifest says of the arrays against the sizes of their members.

    Raises
    ------
    LayoutError
        They do not fit: then no memory must be taken for an array.
    """
    entries = manifest.get("arrays")
    if not isinstance(entries, dict) or not isinstance(manifest.get("state"), dict):
        raise LayoutError("its manifest has no arrays or no state")
    if [f"{name}.npy" for name in entries] != [member.name for member in members]:
        raise LayoutError("its members are not the arrays of its manifest")
    for (name, entry), member in zip(entries.items(), members, strict=True):
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "sha256"}:
            raise LayoutError(f"its manifest does not describe the array {name!r}")
        dtype, shape = _checked_dtype(name, entry["dtype"]), _checked_shape(name, entry["shape"])
        size = len(array_header(dtype, shape)) + np.dtype(dtype).itemsize * math.prod(shape)
        if size != member.size:
            raise LayoutError(
                f"the array {name!r} of shape {shape} and dtype {dtype} takes {size} bytes with "
                f"its header, its member has {member.size}"
            )


def _checked_dtype(name: str, dtype: Any) -> str:
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise LayoutError(f"the array {name!r} has the unknown dtype {dtype!r:.40}")
    return dtype


def _checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    good = isinstance(shape, list) and len(shape) <= 64
    if not good or any(type(length) is not int or not 0 <= length < 2**63 for length in shape):
        raise LayoutError(f"the array {name!r} has the impossible shape {shape!r:.80}")
    return tuple(shape)
