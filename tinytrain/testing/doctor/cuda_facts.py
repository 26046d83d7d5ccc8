"""What can be said about CuPy, CUDA and the GPU, whether or not any of them is there."""

import importlib.metadata
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinytrain.backend import cuda_problem
from tinytrain.testing.doctor.machine import Finding, gigabytes


def cuda_findings() -> list[Finding]:
    """Describe CuPy, the driver, the CUDA libraries and the GPU, as far as they are there.

    The last finding, ``"CUDA"``, is `tinytrain.backend.cuda_problem`'s verdict. All of them are
    facts: whether a machine without a GPU is in order depends on what it is wanted for.

    Examples
    --------
    >>> findings = cuda_findings()
    >>> findings[0].name, findings[-1].name
    ('CuPy', 'CUDA')
    """
    problem = cuda_problem()  # imports CuPy, where that works
    cupy = sys.modules.get("cupy")
    findings = [Finding("CuPy", _describe_cupy(cupy))]
    if cupy is not None:
        findings.append(Finding("CUDA versions", _describe_versions(cupy)))
        findings.append(Finding("CUDA libraries", _describe_libraries(cupy)))
    if problem is None and cupy is not None:
        findings.append(Finding("GPU", describe_gpu(cupy)))
    return [*findings, Finding("CUDA", problem or "usable")]


def _describe_cupy(cupy: Any) -> str:
    installed = sorted(
        f"{name} {distribution.version}"
        for distribution in importlib.metadata.distributions()
        if (name := str(distribution.metadata["Name"])).startswith("cupy")
    )
    packages = f" (installed: {', '.join(installed)})" if installed else ""
    if cupy is None:
        return "not imported" + (packages or " (not installed)")
    return f"{getattr(cupy, '__version__', 'of unknown version')}{packages}"


def _describe_versions(cupy: Any) -> str:
    runtime = cupy.cuda.runtime
    needed = _answer(lambda: _version(int(runtime.runtimeGetVersion())))
    supported = _answer(lambda: _version(int(runtime.driverGetVersion())))
    driver = f"driver {driver_version()} supports CUDA {supported}" if supported else "no driver"
    return f"{driver}, CuPy has the runtime {needed}"


def driver_version(file: Path = Path("/proc/driver/nvidia/version")) -> str:
    """Return the version of NVIDIA's driver, which Linux tells in a file.

    Examples
    --------
    >>> driver_version(Path("no such file"))
    '(of unknown version)'
    """
    try:
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)*\b", file.read_text())
    except OSError:
        found = None
    return found[0] if found else "(of unknown version)"


def _describe_libraries(cupy: Any) -> str:
    compiler = _answer(lambda: "{}.{}".format(*cupy.cuda.nvrtc.getVersion()))
    # cuda_problem loads cuBLAS, unless something is missing before.
    blas = "loaded" if sys.modules.get("cupy.cublas") else "not loaded"
    return f"NVRTC {compiler}, cuBLAS {blas}"


def describe_gpu(cupy: Any) -> str:
    """Name the current GPU, with its compute capability and memory.

    Parameters
    ----------
    cupy : module
        With a usable GPU.
    """
    runtime = cupy.cuda.runtime

    def name() -> str:
        value = runtime.getDeviceProperties(runtime.getDevice())["name"]
        return str(value.decode() if isinstance(value, bytes) else value)

    def memory() -> str:
        free, total = (int(count) for count in runtime.memGetInfo())
        return f"{gigabytes(free)} of {gigabytes(total)} memory free"

    def capability() -> str:
        digits = str(cupy.cuda.Device().compute_capability)
        return f"compute capability {digits[:-1]}.{digits[-1]}"

    return ", ".join(_answer(question) for question in (name, capability, memory))


def _answer(question: Callable[[], str]) -> str:
    """Ask, and turn an error into words: a broken installation can raise anything anywhere."""
    try:
        return question()
    except Exception as error:
        words = (str(error).strip().splitlines() or ["no message"])[0]
        return f"unknown ({type(error).__name__}: {textwrap.shorten(words, 80)})"


def _version(version: int) -> str:
    """Write a version as people do: CUDA's 12040 is 12.4; 0 is none and gives nothing."""
    return f"{version // 1000}.{version % 1000 // 10}" if version else ""
