"""Which array library computes: NumPy on the CPU, CuPy on an NVIDIA GPU, or the mock GPU.

This is the only module that imports CuPy, and it does so inside functions, so that a machine
without a GPU never notices. Three ideas live here:

* `set_device` chooses where new tensors are created;
* `xp_of` answers, for arrays that exist, which library they belong to (operations ask it, and so
  never depend on the flag);
* `to_device` and `to_host` are the two doors between host memory and the device.
"""

import importlib
import os
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of either library: they answer to the same methods, but no static type covers both."""

DEVICE_NAMES = ("cpu", "cuda", "mock", "auto")

LIBRARY_NAMES = {"cpu": "numpy", "cuda": "cupy", "mock": "tinytrain.testing.mock"}
"""The array library of each device. They answer to the same names; all but NumPy are imported when
they are chosen."""

REMEDY = (
    "bring them to one device: tt.to_device(...) or .cpu() for a tensor, model.to(...) for a model "
    "that was made before tt.set_device(...)"
)

OLDEST_CUDA = 12
"""The oldest version of CUDA that CuPy 14, the first with the names used here, is built for."""

_device_of_library = {library: device for device, library in LIBRARY_NAMES.items()}
_library_of_type: dict[type, ModuleType] = {np.ndarray: np}
_creation_library: ModuleType | None = None  # chosen by set_device, or at the first need


def set_device(name: str | None = None) -> str:
    """Choose where tensors are created from now on.

    Parameters
    ----------
    name : {"cpu", "cuda", "mock", "auto"}, optional
        Without it the environment variable ``TINYTRAIN_DEVICE`` decides, else ``"cpu"``.
        ``"mock"`` computes on the CPU behind an array type as strict as a GPU's, and counts what a
        GPU would have to do; see `tinytrain.testing.mock`. ``"auto"`` takes the GPU where one is
        usable and prints what it chose.

    Returns
    -------
    str
        The device in use: ``"cpu"``, ``"cuda"`` or ``"mock"``.

    Raises
    ------
    ValueError
        There is no such device; the message says whether the environment variable named it.
    RuntimeError
        ``"cuda"`` was asked for and cannot be used. The message says what is missing and what to
        do; there is never a silent fall-back to the CPU.

    Examples
    --------
    >>> set_device("cpu")
    'cpu'
    """
    global _creation_library
    chosen = _choose(name)
    library = importlib.import_module(LIBRARY_NAMES[chosen])
    _library_of_type[library.ndarray] = library
    _creation_library = library
    return chosen


def _choose(name: str | None) -> str:
    """Return "cpu", "cuda" or "mock": what was asked for, if it can be used."""
    from_environment = None if name else os.environ.get("TINYTRAIN_DEVICE")
    chosen = name or from_environment or "cpu"
    if chosen not in DEVICE_NAMES:
        source = " (from the environment variable TINYTRAIN_DEVICE)" if from_environment else ""
        raise ValueError(f"device must be one of {', '.join(DEVICE_NAMES)}, not {chosen!r}{source}")
    problem = cuda_problem() if chosen in ("cuda", "auto") else None
    if chosen == "cuda" and problem:
        raise RuntimeError(f"device 'cuda' cannot be used: {problem} (or use the device 'cpu')")
    if chosen != "auto":
        return chosen
    reason = f"because {problem}" if problem else "a usable GPU was found"
    print(f"device auto: using {'cpu' if problem else 'cuda'} ({reason})")
    return "cpu" if problem else "cuda"


def get_device() -> str:
    """Return the device on which tensors are created: ``"cpu"``, ``"cuda"`` or ``"mock"``.

    Examples
    --------
    >>> get_device()
    'cpu'
    """
    return _device_of_library[creation_library().__name__]


def creation_library() -> ModuleType:
    """Return the library of the chosen device: `numpy`, `cupy` or `tinytrain.testing.mock`.

    Where `set_device` was not called, the environment variable ``TINYTRAIN_DEVICE`` decides now.

    Examples
    --------
    >>> creation_library().__name__
    'numpy'
    """
    if _creation_library is None:
        set_device()
    return _creation_library or np


def xp_of(array: Any, *others: Any) -> ModuleType:
    """Return the library an array belongs to, and insist that the others belong to the same.

    Parameters
    ----------
    array : array of NumPy, CuPy or the mock GPU
    *others : arrays, Python numbers or None
        Numbers and None belong to every library.

    Raises
    ------
    TypeError
        The first argument is no array of a known library.
    RuntimeError
        Two arrays live on different devices; the message gives both shapes.

    Examples
    --------
    >>> xp_of(np.zeros(3)).__name__
    'numpy'
    """
    kind = type(array)
    library = _library_of_type.get(kind)
    if library is None:
        raise TypeError(f"expected an array of a device in use, got {kind.__name__}")
    for other in others:
        if type(other) is not kind and hasattr(other, "shape"):
            if type(other) not in _library_of_type:
                raise TypeError(f"expected an array of a device in use, got {type(other).__name__}")
            raise RuntimeError(
                f"arrays on different devices: {device_of(array)} {array.shape} and "
                f"{device_of(other)} {other.shape}; {REMEDY}"
            )
    return library


def is_array(value: object) -> bool:
    """Return whether a value is exactly an array of a library in use (no subclass).

    Examples
    --------
    >>> is_array(np.zeros(3)), is_array([0.0, 0.0, 0.0])
    (True, False)
    """
    return type(value) in _library_of_type


def as_array(value: Any) -> Array:
    """Turn the scalar object that NumPy returns for a 0-d result into the 0-d array it stands for.

    Examples
    --------
    >>> as_array(np.float32(2.0))
    array(2., dtype=float32)
    """
    return np.asarray(value) if isinstance(value, np.generic) else value


def device_of(array: Any) -> str:
    """Return the device an array lives on: ``"cpu"``, ``"cuda"`` or ``"mock"``.

    Examples
    --------
    >>> device_of(np.zeros(3))
    'cpu'
    """
    if isinstance(array, np.ndarray | np.generic):
        return "cpu"
    library = _library_of_type.get(type(array))
    return "an unknown device" if library is None else _device_of_library[library.__name__]


def to_device(array: Array) -> Array:
    """Bring an array to the chosen device; one that is there already is returned as it is.

    Examples
    --------
    >>> host = np.arange(3)
    >>> to_device(host) is host
    True
    """
    return _bring(array, creation_library())


class StagedArray(np.ndarray):
    """A host array with a copy on the device, which `to_device` hands out instead of making one.

    A loader with ``pin_memory=True`` gives these; see `tinytrain.data.pinned`. What is computed
    from one is an ordinary array, and what is cut out of one has no copy.

    Attributes
    ----------
    on_device : array of a device, or None

    Examples
    --------
    >>> staged = np.arange(3).view(StagedArray)
    >>> staged.on_device is None, staged + 1, staged.max()
    (True, array([1, 2, 3]), np.int64(2))
    """

    on_device: Array

    def __array_finalize__(self, source: Any) -> None:
        self.on_device = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = array.view(np.ndarray)
        return plain[()] if return_scalar else plain


def _bring(array: Array, library: ModuleType) -> Array:
    if type(array) is library.ndarray:
        return array
    if isinstance(array, StagedArray):
        if type(array.on_device) is library.ndarray:
            return array.on_device
        array = array.view(np.ndarray)
    host = to_host(array)
    return host if library is np else library.asarray(host)


def to_host(array: Array) -> Array:
    """Bring an array to host memory; an array that is there already is returned as it is.

    Examples
    --------
    >>> host = np.arange(3)
    >>> to_host(host) is host
    True
    """
    if isinstance(array, np.ndarray | np.generic):
        return array
    if not is_array(array):
        raise TypeError(f"expected an array of a device in use, got {type(array).__name__}")
    return array.get()


def bring_beside(array: Array, other: Array) -> Array:
    """Bring an array to the device that another one lives on; it stays itself if it is there.

    Examples
    --------
    >>> host = np.arange(3)
    >>> bring_beside(host, np.zeros(2)) is host
    True
    """
    return _bring(array, xp_of(other))


def synchronize() -> None:
    """Wait until the device has finished its work, for honest timing; nothing to do on the CPU.

    Examples
    --------
    >>> synchronize()
    """
    if creation_library() is not np:
        creation_library().cuda.get_current_stream().synchronize()


def free_cached_memory() -> None:
    """Give back what the GPU's pool keeps of freed memory, in pieces that may be too small.

    Examples
    --------
    >>> free_cached_memory()
    """
    if get_device() == "cuda":
        creation_library().get_default_memory_pool().free_all_blocks()


def cuda_problem() -> str | None:
    """Say why a GPU cannot be used, or None when it can.

    Six cases are told apart, because each has another remedy: CuPy is not installed, CuPy does not
    import, there is no driver, the driver is older than CuPy's CUDA, no GPU is visible, a CUDA
    library is missing.

    Returns
    -------
    str or None
        One line: what is wrong and what to do.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            return (
                f"CuPy is installed but needs the module {error.name!r}: pip install {error.name}"
            )
        return (
            "CuPy is not installed: pip install 'cupy-cuda13x[ctk]' "
            "(cupy-cuda12x[ctk] where the driver is for CUDA 12)"
        )
    except Exception as error:  # a broken install can raise anything
        return f"CuPy is installed but does not import: {_telling_line(error)}; reinstall it"
    runtime = cupy.cuda.runtime
    driver_version = int(runtime.driverGetVersion())
    if driver_version == 0:
        return "no NVIDIA driver on this machine: install one, or use a machine that has a GPU"
    return (
        _driver_too_old(driver_version, int(runtime.runtimeGetVersion()))
        or _no_visible_device(runtime)
        or _missing_library(cupy)
    )


def _telling_line(error: Exception) -> str:
    """CuPy prints a banner of many lines on a failed import; one of them says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error:" in line] or lines or [type(error).__name__]
    return telling[-1]


def _driver_too_old(driver: int, runtime: int) -> str | None:
    """Compare versions as CUDA writes them: 12040 is 12.4."""
    if driver // 1000 >= runtime // 1000:
        return None
    other = ""
    if driver // 1000 >= OLDEST_CUDA:
        other = (
            f", or replace CuPy: pip uninstall cupy-cuda{runtime // 1000}x, then pip install "
            f"'cupy-cuda{driver // 1000}x[ctk]'"
        )
    return (
        f"the driver supports CUDA {_version_text(driver)}, this CuPy needs CUDA "
        f"{_version_text(runtime)}: update the driver{other}"
    )


def _version_text(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _no_visible_device(runtime: Any) -> str | None:
    try:
        count = int(runtime.getDeviceCount())
    except Exception:  # CUDA reports "no device" as an error of its own type
        count = 0
    if count > 0:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""
    return f"the driver shows no GPU{hint}: check nvidia-smi"


def _missing_library(cupy: Any) -> str | None:
    """Compile and run one small kernel, and load cuBLAS: both need libraries beside the driver."""
    try:
        importlib.import_module("cupy.cublas")
        value = float((cupy.ones(2, dtype="float32") + 1.0).sum())
    except Exception as error:
        return (
            f"a CUDA library is missing ({_telling_line(error)}): install CuPy with its libraries, "
            f"pip install 'cupy-cuda{int(cupy.cuda.runtime.runtimeGetVersion()) // 1000}x[ctk]'"
        )
    return None if value == 4.0 else f"a test computation gave {value} instead of 4.0"
