"""Memory-mapped arrays on their way to a worker: the file is opened again, not copied."""

from __future__ import annotations

from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["reduce_memmap"]


def reduce_memmap(value: Any) -> Any:
    """Pickle a view of a memory-mapped file as the name of the file and where it lies in it.

    NumPy would read the whole file into the pickle. A copy-on-write map (mode "c") is left to
    NumPy, because the file does not have what was written to it.

    Returns
    -------
    tuple or NotImplemented
        As ``pickle.Pickler.reducer_override``.
    """
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        return NotImplemented
    root: Any = value
    while isinstance(root, np.ndarray) and not isinstance(root.base, mmap):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
        return NotImplemented
    root.flush()
    mode = "r" if root.mode == "r" else "r+"
    position = _address(value) - _address(root) + root.offset
    keeps_type = isinstance(value, np.memmap)
    place = (str(root.filename), mode, position, value.shape, value.strides, value.dtype)
    return _reopen, (*place, keeps_type)


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _reopen(
    filename: str,
    mode: Any,
    position: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
    keeps_type: bool,
) -> NDArray[Any]:
    file = np.memmap(filename, dtype=np.uint8, mode=mode)
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=file, offset=position, strides=strides)
    if keeps_type:
        array = array.view(np.memmap)
    array.flags.writeable = mode != "r"
    return array
