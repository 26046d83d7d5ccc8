"""The machine that a benchmark ran on: what a reader must know before quoting a ratio."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The CPU's name as Linux gives it, else the platform's."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def blas_name() -> str:
    """The BLAS that NumPy was built with and, where OpenBLAS says so, the CPU kernels it took."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    kernels = ""
    for library in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas64*"):
        corename = getattr(ctypes.CDLL(str(library)), "scipy_openblas_get_corename64_", None)
        if corename is not None:
            corename.restype = ctypes.c_char_p
            kernels = f", {corename().decode()} kernels"
    return f"{blas['name']} {blas['version']}{kernels}"


def torch_version() -> str | None:
    """The installed PyTorch's version, without importing it."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def machine_header(threads: int) -> dict[str, str]:
    """What a reader must know before quoting a ratio."""
    return {
        "machine": f"{processor_name()}, {platform.system()} {platform.machine()}",
        "cores": f"{available_cores()} available of {os.cpu_count()}",
        "threads": f"{threads} for NumPy's BLAS and for PyTorch",
        "Python": platform.python_version(),
        "PyTorch": torch_version() or "not installed: left out, and the ratios to it with it",
        "NumPy": f"{np.__version__} with {blas_name()}",
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
    }
