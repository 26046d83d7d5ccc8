"""Start a CUDA kernel, after a check of everything that the GPU would not check.

A kernel gets its arguments as bare memory. An array of another dtype, a Python integer where 32
bits are expected, a view with gaps: all would be read as numbers that they are not, without any
error. So the kernel's declaration is read from its source, and each argument is held against it.

The sources are plain CUDA C, in the folder ``cuda_source``. In them the type ``real`` stands for
float or double, whichever the arrays have; a parameter called ``..._or_null`` may be None.
"""

import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinytrain.backend import is_array, xp_of

Argument: TypeAlias = Any
"""An array of the device, a Python number, or None."""

THREADS = 256
"""Threads per block: a power of two, for sums in a tree, and not above the sources' limit."""

SCALARS = {
    "bool": np.dtype(np.bool_),
    "int": np.dtype(np.int32),
    "unsigned int": np.dtype(np.uint32),
    "long long": np.dtype(np.int64),
    "unsigned long long": np.dtype(np.uint64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
"""The C types that a declaration may use, besides ``real``, and the dtypes with their bits."""

LARGEST = {"float": "3.4028234663852886e38f", "double": "1.7976931348623157e308"}
MOST_BLOCKS = 2**31 - 1
NULL = np.uint64(0)
"""A pointer to nothing, as a kernel receives it."""

KERNEL = re.compile(r'extern "C" __global__ void (\w+)\s*\(([^)]*)\)')
PARAMETER = re.compile(r"(?:const )?(real|(?:unsigned )?\w+(?: long)?)\s*(\*?)\s*(\w+)")
COMMENT = re.compile(r"//[^\n]*")


class Parameter(NamedTuple):
    """One parameter of a kernel."""

    name: str
    c_type: str
    is_pointer: bool

    def dtype(self, real: str) -> np.dtype[Any]:
        """Return the dtype of the values, with ``real`` standing for float or double."""
        return SCALARS[real if self.c_type == "real" else self.c_type]


def declarations(code: str) -> dict[str, tuple[Parameter, ...]]:
    """Read from CUDA C the kernels and their parameters.

    Raises
    ------
    ValueError
        A parameter has a type that is not known here.

    Examples
    --------
    >>> declarations('extern "C" __global__ void fill(real* x, long long count) {}')["fill"][1]
    Parameter(name='count', c_type='long long', is_pointer=False)
    """
    found = {}
    for kernel, listed in KERNEL.findall(COMMENT.sub("", code)):
        parameters = []
        for text in listed.split(","):
            match = PARAMETER.fullmatch(" ".join(text.split()))
            if match is None or match[1] not in (*SCALARS, "real"):
                raise ValueError(f"kernel {kernel}: cannot read the parameter {text.strip()!r}")
            parameters.append(Parameter(match[3], match[1], bool(match[2])))
        found[kernel] = tuple(parameters)
    return found


def source_text(source: str, real: str) -> str:
    """Return what the compiler gets: ``real``, the common part, and the file ``source.cu``."""
    folder = Path(__file__).parent / "cuda_source"
    common, own = ((folder / name).read_text("utf-8") for name in ("common.cuh", f"{source}.cu"))
    return f"typedef {real} real;\n#define LARGEST {LARGEST[real]}\n\n{common}\n{own}"


@functools.cache
def _parameters(source: str, kernel: str) -> tuple[Parameter, ...]:
    return declarations(source_text(source, "float"))[kernel]


@functools.cache
def _module(library: ModuleType, source: str, real: str) -> Any:
    return library.RawModule(code=source_text(source, real), options=("--std=c++17",))


@functools.cache
def _function(library: ModuleType, source: str, kernel: str, real: str) -> Any:
    return _module(library, source, real).get_function(kernel)


def blocks_for(count: int) -> int:
    """Return how many blocks have at least one thread for each of so many elements.

    Examples
    --------
    >>> blocks_for(0), blocks_for(256), blocks_for(257)
    (0, 1, 2)
    """
    return -(-count // THREADS)


def launch(source: str, kernel: str, blocks: int, arguments: Sequence[Argument]) -> None:
    """Check the arguments and start a kernel with so many blocks of `THREADS` threads.

    The kernel is compiled at its first use. The call returns at once, while the device computes.
    Without any block nothing happens.

    Parameters
    ----------
    source : str
        The file of the kernel, without ``.cu``.
    kernel : str
    blocks : int
    arguments : sequence
        One per parameter, in order: an array for a pointer, a Python number for a number, and None
        for a pointer that may be null.

    Raises
    ------
    TypeError
        The number of arguments, an array's library or dtype, or a number's type does not fit.
    ValueError
        An array is not contiguous, or there are too many blocks.
    OverflowError
        A number does not fit into its C type.

    Examples
    --------
    >>> launch("gelu", "gelu_tanh", 1, [np.zeros(3, np.float32), None])
    Traceback (most recent call last):
        ...
    TypeError: kernel gelu_tanh takes 4 arguments (x, y, slope_or_null, count), got 2
    """
    parameters = _parameters(source, kernel)
    if len(arguments) != len(parameters):
        names = ", ".join(parameter.name for parameter in parameters)
        raise TypeError(
            f"kernel {kernel} takes {len(parameters)} arguments ({names}), got {len(arguments)}"
        )
    library = _library(kernel, parameters, arguments)
    real = _real(kernel, parameters, arguments)
    converted = tuple(
        _pointer(kernel, parameter, argument, real, library)
        if parameter.is_pointer
        else _number(kernel, parameter, argument, real)
        for parameter, argument in zip(parameters, arguments, strict=True)
    )
    if not 0 <= blocks <= MOST_BLOCKS:
        raise ValueError(f"kernel {kernel} needs 0 to {MOST_BLOCKS} blocks, got {blocks}")
    if blocks:
        _function(library, source, kernel, real)((blocks,), (THREADS,), converted)


def _library(
    kernel: str, parameters: Sequence[Parameter], arguments: Sequence[Argument]
) -> ModuleType:
    """Return the library of the first array."""
    for parameter, argument in zip(parameters, arguments, strict=True):
        if parameter.is_pointer and is_array(argument):
            return xp_of(argument)
    raise TypeError(f"kernel {kernel} got no array of the device")


def _real(kernel: str, parameters: Sequence[Parameter], arguments: Sequence[Argument]) -> str:
    """Return what ``real`` stands for: the type of the first array that has it."""
    for parameter, argument in zip(parameters, arguments, strict=True):
        if parameter.is_pointer and parameter.c_type == "real" and is_array(argument):
            for real in ("float", "double"):
                if argument.dtype == SCALARS[real]:
                    return real
            raise TypeError(
                f"kernel {kernel}: {parameter.name} is {argument.dtype}, but the kernels compute "
                "in float32 or float64; convert it with .float() or .double()"
            )
    return "float"


def _pointer(
    kernel: str, parameter: Parameter, value: Argument, real: str, library: ModuleType
) -> Any:
    """Return an array that fits a pointer, or the null pointer."""
    where = f"kernel {kernel}: {parameter.name}"
    dtype = parameter.dtype(real)
    if value is None:
        if not parameter.name.endswith("_or_null"):
            raise TypeError(f"{where} must be an array of {dtype}, got None")
        return NULL
    if not is_array(value):
        raise TypeError(f"{where} must be an array of {dtype}, got {type(value).__name__}")
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{where} must be in the memory of the device, got an array in host memory: bring it "
            "over with tt.to_device(...)"
        )
    if xp_of(value) is not library:
        raise TypeError(
            f"{where} must be an array of {library.__name__} like the others, got one of "
            f"{xp_of(value).__name__}"
        )
    if value.dtype != dtype:
        raise TypeError(f"{where} must be an array of {dtype}, got {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(
            f"{where} must be contiguous, got shape {value.shape} with strides {value.strides}: "
            "copy it with ascontiguousarray"
        )
    return value


def _number(kernel: str, parameter: Parameter, value: Argument, real: str) -> Any:
    """Return a number as a scalar of exactly the declared type."""
    where = f"kernel {kernel}: {parameter.name}"
    dtype = parameter.dtype(real)
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole and not (dtype.kind == "f" and isinstance(value, float | np.floating)):
        raise TypeError(f"{where} must be a number of {dtype}, got {value!r}")
    if dtype.kind == "f":
        number: float | int = float(value)
        with np.errstate(over="ignore"):
            fits = math.isfinite(dtype.type(number)) or not math.isfinite(number)
    else:
        number, limits = int(value), np.iinfo(dtype)
        fits = limits.min <= number <= limits.max
    if not fits:
        raise OverflowError(f"{where} must be a number of {dtype}, and {number} does not fit")
    return dtype.type(number)
