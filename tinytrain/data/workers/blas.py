"""One BLAS thread per worker: several workers that each use all cores would slow each other."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import numpy as np

__all__ = ["use_one_blas_thread"]

_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
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
    for path in _blas_libraries():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for name in _SETTERS:
            if hasattr(library, name):
                getattr(library, name)(1)
                break


def _blas_libraries() -> set[str]:
    """The files of the BLAS libraries that this process has loaded."""
    if sys.platform == "linux":
        # A line ends in the path of the file, if one is mapped there: the sixth column.
        lines = Path("/proc/self/maps").read_text().splitlines()
        columns = (line.split(maxsplit=5) for line in lines)
        files = {column[5] for column in columns if len(column) == 6}
        return {file for file in files if _is_blas(Path(file).name)}
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs"]
    found = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return {str(file) for file in found if _is_blas(file.name)}


def _is_blas(name: str) -> bool:
    return "openblas" in name or name.startswith("libmkl_rt")
