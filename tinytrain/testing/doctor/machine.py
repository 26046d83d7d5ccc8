"""What a run depends on outside of tinytrain: Python, NumPy and its BLAS, the processor."""

import ctypes
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DISTRIBUTION = "tinytrain-numpy"
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_NUM_THREADS",
)


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes
    ----------
    name : str
        What was looked at.
    text : str
        What was found, in one line.
    ok : bool or None
        None for a fact that is neither right nor wrong.
    remedy : str
        What to do where it is not right.
    """

    name: str
    text: str
    ok: bool | None = None
    remedy: str = ""


def machine_findings() -> list[Finding]:
    """Describe the machine and what is installed on it.

    Examples
    --------
    >>> [finding.name for finding in machine_findings()]
    ['tinytrain', 'Python', 'NumPy', 'BLAS', 'processor']
    """
    return [
        Finding("tinytrain", f"{tinytrain_version()} in {package_folder()} ({how_installed()})"),
        Finding("Python", f"{platform.python_version()} ({sys.executable})"),
        Finding("NumPy", f"{np.__version__} in {Path(np.__file__).parent}"),
        Finding("BLAS", describe_blas()),
        Finding("processor", describe_processor()),
    ]


def tinytrain_version() -> str:
    """Return the version of the tinytrain that is imported."""
    # The package stands above all of its modules: it is asked, not imported.
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def package_folder() -> Path:
    """Return the folder of the tinytrain that is imported."""
    return Path(__file__).resolve().parents[2]


def how_installed() -> str:
    """Say whether the imported tinytrain is the one that pip knows."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "not installed: found on the import path"
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return "installed, editable"
    installed = Path(str(distribution.locate_file("tinytrain"))).resolve()
    return "installed" if installed == package_folder() else f"not the one in {installed.parent}"


# ---------------------------------------------------------------- BLAS


def describe_blas() -> str:
    """Name the BLAS that NumPy was built with, its processor kernels and its threads.

    The library that is loaded is asked; where it cannot be, the environment variables that most
    libraries obey say how many threads it was told to use.
    """
    build: Any = np.show_config(mode="dicts")
    blas = build.get("Build Dependencies", {}).get("blas", {})
    parts = [f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()]
    kernels = _ask_openblas("get_corename", ctypes.c_char_p)
    if kernels:
        parts.append(f"{kernels.decode()} kernels")
    return ", ".join([*parts, _describe_threads(blas_threads(), os.environ)])


def blas_threads() -> int | None:
    """Return how many threads the loaded BLAS computes with, or None where it does not say."""
    answer = _ask_openblas("get_num_threads", ctypes.c_int)
    if answer is None:
        answer = _ask(_numpy_library(), "MKL_Get_Max_Threads", ctypes.c_int)
    return None if answer is None else int(answer)


def _describe_threads(threads: int | None, environment: Mapping[str, str]) -> str:
    if threads is not None:
        return f"{threads} thread{'s' if threads != 1 else ''}"
    told = [f"{name}={environment[name]}" for name in THREAD_VARIABLES if name in environment]
    return f"threads unknown ({', '.join(told)})" if told else "threads unknown"


def _ask_openblas(question: str, answer_type: Any) -> Any:
    """Call a function of OpenBLAS without arguments; the builds differ in what they call it."""
    library = _numpy_library()
    for prefix in ("scipy_openblas_", "openblas_"):
        for suffix in ("64_", "_64", ""):
            answer = _ask(library, f"{prefix}{question}{suffix}", answer_type)
            if answer is not None:
                return answer
    return None


def _ask(library: ctypes.CDLL | None, name: str, answer_type: Any) -> Any:
    function = getattr(library, name, None)
    if function is None:
        return None
    function.restype = answer_type
    return function()


def _numpy_library() -> ctypes.CDLL | None:
    """Return NumPy's extension module, through which the BLAS that it loaded can be seen."""
    module = sys.modules.get("numpy._core._multiarray_umath")
    try:
        return None if module is None else ctypes.CDLL(str(module.__file__))
    except OSError:
        return None


# ---------------------------------------------------------------- processor


def describe_processor() -> str:
    """Say how many cores this process may use, and how much memory there is."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{platform.system()} {platform.machine()}", f"{usable} of {os.cpu_count()} cores"]
    memory = host_memory()
    parts.append("memory unknown" if memory is None else f"{gigabytes(memory)} memory")
    return ", ".join(parts)


def host_memory() -> int | None:
    """Return the bytes of main memory, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def gigabytes(count: int) -> str:
    """Write a number of bytes in GB of 10^9.

    Examples
    --------
    >>> gigabytes(1_500_000_000)
    '1.5 GB'
    """
    return f"{count / 1e9:.1f} GB"
