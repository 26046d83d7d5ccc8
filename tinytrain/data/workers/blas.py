"""The threads of NumPy's BLAS, and of other libraries.

A worker uses one: several workers that each use all cores would slow each other.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["foreign_threads", "use_one_blas_thread"]

_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
)
_GETTERS = (
    "scipy_openblas_get_num_threads64_",
    "scipy_openblas_get_num_threads",
    "openblas_get_num_threads64_",
    "openblas_get_num_threads",
)
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def use_one_blas_thread() -> None:
    """Let NumPy's matrix products in this process run on one thread.

    The environment is read by libraries loaded later only. NumPy's own is loaded already in a
    worker, so it is told by the function that it exports. (A library found under none of the
    names below keeps its threads: that costs time, but changes no result.)
    """
    for variable in _VARIABLES:
        os.environ[variable] = "1"
    for setter in _functions(_SETTERS):
        setter(1)


def foreign_threads() -> bool:
    """Whether GNU's OpenMP has threads in this process that are not of NumPy's BLAS (Linux).

    A forked child waits for ever for such threads as soon as it uses the library that began them
    (PyTorch, for example), because it does not have them. OpenBLAS ends its own before a fork.
    """
    if sys.platform != "linux" or not any("libgomp" in Path(file).name for file in _mapped_files()):
        return False
    # OpenBLAS begins its threads anew when they are needed. With all of them there, whatever is
    # more belongs to others.
    square = np.ones((256, 256), np.float32)
    square @ square
    counts = [getter() for getter in _functions(_GETTERS)]
    return bool(counts) and len(os.listdir("/proc/self/task")) > 1 + sum(counts) - len(counts)


def _functions(names: tuple[str, ...]) -> list[Any]:
    """The first of these functions that each of the BLAS libraries has."""
    found = []
    for path in sorted(_blas_libraries()):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        found += [getattr(library, name) for name in names if hasattr(library, name)][:1]
    return found


def _mapped_files() -> set[str]:
    # A line ends in the path of the file, if one is mapped there: the sixth column.
    lines = Path("/proc/self/maps").read_text().splitlines()
    columns = (line.split(maxsplit=5) for line in lines)
    return {column[5] for column in columns if len(column) == 6}


def _blas_libraries() -> set[str]:
    """The files of the BLAS libraries that this process has loaded."""
    if sys.platform == "linux":
        return {file for file in _mapped_files() if _is_blas(Path(file).name)}
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs"]
    found = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return {str(file) for file in found if _is_blas(file.name)}


def _is_blas(name: str) -> bool:
    return "openblas" in name or name.startswith("libmkl_rt")
