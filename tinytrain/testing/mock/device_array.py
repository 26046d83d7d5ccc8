"""The mock GPU's array: it holds a NumPy array, and is as strict as CuPy's, or stricter.

Everything that computes goes through `run`, which refuses what a GPU could not do and counts what
it would do. Computation itself is NumPy's.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinytrain.testing.mock import ledger
from tinytrain.testing.mock.arguments import bound, check_dtype, refuse_list
from tinytrain.testing.mock.offered import METHODS, READING_METHODS, WAITING_METHODS
from tinytrain.testing.mock.streams import Stream, current_stream
from tinytrain.testing.mock.widening import check_float64, names_float64
from tinytrain.testing.surface import surface


class Flags:
    """What CuPy tells about an array's memory; unlike NumPy's flags it has no ``writeable``."""

    def __init__(self, host: NDArray[Any]) -> None:
        self.c_contiguous: bool = host.flags.c_contiguous
        self.f_contiguous: bool = host.flags.f_contiguous
        self.owndata: bool = host.flags.owndata


def _operand(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        refuse_list(name, value)
    return value


def _binary(name: str) -> Callable[["ndarray", Any], Any]:
    """Return the method of an operator such as ``+``."""

    def operator(self: "ndarray", other: Any) -> Any:
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented  # as CuPy does: the other operand's own method is asked
        return run(name, getattr(np, name), (self, _operand(name, other)))

    return operator


def _reflected(name: str) -> Callable[["ndarray", Any], Any]:
    """Return the method of an operator whose device array stands on the right."""

    def operator(self: "ndarray", other: Any) -> Any:
        return run(name, getattr(np, name), (_operand(name, other), self))

    return operator


def _in_place(name: str) -> Callable[["ndarray", Any], "ndarray"]:
    """Return the method of an operator such as ``+=``."""

    def operator(self: "ndarray", other: Any) -> "ndarray":
        run(name, getattr(np, name), (self, _operand(name, other)), {"out": self})
        return self

    return operator


class ndarray:
    """An array of the mock GPU; made by its functions (``mock.asarray(host)``), not directly.

    Examples
    --------
    >>> from tinytrain.testing import mock
    >>> x = mock.asarray(np.ones(3, dtype=np.float32))
    >>> (x + x).sum().get()
    array(6., dtype=float32)
    >>> x + np.ones(3, dtype=np.float32)
    Traceback (most recent call last):
        ...
    TypeError: add: a host array (float32, shape (3,)) meets the GPU; bring it over with to_device
    """

    __slots__ = ("__weakref__", "_host")
    __hash__ = None  # type: ignore[assignment]

    _host: NDArray[Any]

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("mock GPU arrays are made by its functions: asarray, empty, zeros, ...")

    # ---------------------------------------------------------------- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self._host.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self._host.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._host.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._host.size

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._host.nbytes

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._host.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """The bytes from one element to the next along each axis."""
        return self._host.strides

    @property
    def flags(self) -> Flags:
        """Whether the memory is contiguous."""
        return Flags(self._host)

    @property
    def T(self) -> "ndarray":
        """The array with its axes in reverse order: a view."""
        return wrap(self._host.T)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator["ndarray"]:
        return (self[i] for i in range(len(self)))

    # ---------------------------------------------------------------- methods of CuPy's array

    def __getattr__(self, name: str) -> Any:
        signature = surface().method(name)
        if signature is None or name not in METHODS:
            offered = signature is not None or surface().has_property(name)
            lacking = "the mock GPU's arrays do not offer" if offered else "CuPy's ndarray has no"
            raise AttributeError(f"{lacking} attribute {name!r}")

        def method(*args: Any, **kwargs: Any) -> Any:
            positional, named = bound(signature, args, kwargs)
            if name in WAITING_METHODS:
                ledger.count_wait(f"x.{name}()")
            if name in READING_METHODS:
                ledger.count_copy_to_host(self.nbytes, f"x.{name}()")
            if name == "sort" and not self.flags.c_contiguous:
                raise NotImplementedError("CuPy sorts contiguous arrays only, in place")
            return run(name, getattr(np.ndarray, name), (self, *positional), named)

        return method

    def get(self) -> NDArray[Any]:
        """Copy to host memory, which waits: the one explicit way (of CuPy's arguments, none)."""
        ledger.count_copy_to_host(self.nbytes)
        return self._host.copy()

    def item(self, *args: int) -> Any:
        """Read one element, which waits."""
        return self._read("x.item()").item(*args)

    def tolist(self) -> Any:
        """Read everything, which waits."""
        return self._read("x.tolist()").tolist()

    def set(self, arr: NDArray[Any], stream: Stream | None = None) -> None:
        """Fill from a host array; on another stream that happens when somebody waits for it."""
        if not isinstance(arr, np.ndarray):
            raise TypeError(f"x.set takes a host array, not {type(arr).__name__}")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(
                f"x.set: the host array is {arr.dtype} {arr.shape}, x is {self.dtype} {self.shape}"
            )
        if not (self._host.flags.c_contiguous and arr.flags.c_contiguous):
            raise RuntimeError("x.set copies contiguous memory, in C order")
        ledger.count_copy_to_device(self.nbytes)
        if stream is not None and not stream.null:
            self._host.view(np.uint8)[...] = 0xFF  # what is read before the copy is done
        target = self._host
        (stream or current_stream()).put(lambda: np.copyto(target, arr))

    def fill(self, value: Any) -> None:
        """Set all elements to one number."""
        self[...] = value

    # ---------------------------------------------------------------- reading on the sly

    def _read(self, reason: str) -> NDArray[Any]:
        ledger.count_copy_to_host(self.nbytes, reason)
        return self._host

    def __bool__(self) -> bool:
        return bool(self._read("bool(x), as in `if x:`,"))

    def __int__(self) -> int:
        return int(self._read("int(x)"))

    def __float__(self) -> float:
        return float(self._read("float(x)"))

    def __complex__(self) -> complex:
        return complex(self._read("complex(x)"))

    def __repr__(self) -> str:
        return repr(self._read("repr(x)"))

    def __str__(self) -> str:
        return str(self._read("str(x)"))

    def __format__(self, specification: str) -> str:
        return format(self._read("formatting x"), specification)

    def __reduce__(self) -> tuple[Any, ...]:
        return from_host, (self._read("pickling x").copy(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ndarray":
        copied: ndarray = run("copy", np.copy, (self,))
        return copied

    # ---------------------------------------------------------------- refusing NumPy's functions

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a GPU array does not turn into a NumPy array by itself; use .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc.__name__ in OPERATORS:
            left: Any = inputs[0]
            if isinstance(left, np.generic) or (isinstance(left, np.ndarray) and not left.ndim):
                number = left if isinstance(left, np.generic) else left[()]
                return run(ufunc.__name__, ufunc, (number, *inputs[1:]))
        raise TypeError(
            f"np.{ufunc.__name__} computes in host memory, and an argument is on the GPU; "
            f"write xp.{ufunc.__name__} with xp = xp_of(array), or bring the host array over"
        )

    def __array_function__(self, function: Any, *_: Any) -> NoReturn:
        raise TypeError(
            f"np.{function.__name__} computes in host memory, and an argument is on the GPU; "
            f"write xp.{function.__name__} with xp = xp_of(array)"
        )

    # ---------------------------------------------------------------- indexing

    def __getitem__(self, index: Any) -> Any:
        host_index, kind = _host_index(index)
        if kind == "view":
            return wrap(self._host[host_index])
        ledger.count_launch("getitem")
        return wrap(np.asarray(self._host[host_index]))

    def __setitem__(self, index: Any, value: Any) -> None:
        host_index, kind = _host_index(index)
        if isinstance(value, np.ndarray | list | tuple):
            raise TypeError(
                f"x[...] = {type(value).__name__}: only device arrays and numbers can be written "
                "into a GPU array; bring it over with to_device"
            )
        if kind == "gather" and _repeats(self._host.shape, host_index):
            raise IndexError(
                "x[indices] = values with a repeated index: on a GPU it is undefined which value "
                "stays; add up with xp.add.at, or write a kernel"
            )
        ledger.count_launch("setitem")
        source = _unwrap(value, "x[...] = value")
        if kind == "view" and _overlap(self._host[host_index], source):
            raise ValueError(
                "x[...] = values that overlap it in memory: a GPU copies in no certain order; copy "
                "the values first"
            )
        self._host[host_index] = source

    # ---------------------------------------------------------------- operators

    __add__, __radd__, __iadd__ = _binary("add"), _reflected("add"), _in_place("add")
    __sub__, __rsub__, __isub__ = _binary("subtract"), _reflected("subtract"), _in_place("subtract")
    __mul__, __rmul__, __imul__ = _binary("multiply"), _reflected("multiply"), _in_place("multiply")
    __truediv__, __rtruediv__ = _binary("true_divide"), _reflected("true_divide")
    __itruediv__ = _in_place("true_divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __pow__, __rpow__, __ipow__ = _binary("power"), _reflected("power"), _in_place("power")
    __matmul__ = _binary("matmul")
    __and__, __rand__, __iand__ = (
        _binary("bitwise_and"), _reflected("bitwise_and"), _in_place("bitwise_and")
    )  # fmt: skip
    __or__, __ror__, __ior__ = (
        _binary("bitwise_or"), _reflected("bitwise_or"), _in_place("bitwise_or")
    )  # fmt: skip
    __xor__ = _binary("bitwise_xor")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __eq__ = _binary("equal")
    __ne__ = _binary("not_equal")

    def __neg__(self) -> "ndarray":
        return run("negative", np.negative, (self,))  # type: ignore[no-any-return]

    def __abs__(self) -> "ndarray":
        return run("absolute", np.absolute, (self,))  # type: ignore[no-any-return]

    def __invert__(self) -> "ndarray":
        return run("invert", np.invert, (self,))  # type: ignore[no-any-return]


OPERATORS = {
    "add", "divide", "equal", "floor_divide", "greater", "greater_equal", "less", "less_equal",
    "matmul", "multiply", "not_equal", "power", "remainder", "subtract", "true_divide",
}  # fmt: skip
"""What NumPy calls the functions behind the operators of its numbers."""


def wrap(host: NDArray[Any]) -> ndarray:
    """Put a NumPy array into a device array without copying it."""
    array: ndarray = object.__new__(ndarray)
    array._host = host
    return array


def from_host(host: Any, dtype: Any = None) -> ndarray:
    """Copy host values to the mock GPU: the door that the batch comes through."""
    copied = np.array(host, dtype=dtype)
    check_dtype(copied.dtype)
    check_float64("asarray", [], [copied], asked=dtype is not None)
    ledger.count_copy_to_device(copied.nbytes)
    return wrap(copied)


def run(
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """Compute with NumPy what CuPy would have computed, and count the launch.

    Parameters
    ----------
    name : str
        What CuPy calls it, for messages and for the ledger.
    function : callable
        NumPy's function of the same meaning.
    args, kwargs
        With device arrays; host arrays are refused.

    Returns
    -------
    ndarray, or whatever the function gives that is no array
        Results without axes stay on the device, as 0-d arrays.
    """
    kwargs = kwargs or {}
    host_args = [_unwrap(value, name) for value in args]
    host_kwargs = {key: _unwrap(value, name) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):  # a GPU computes NaN and infinity without a word
        result = function(*host_args, **host_kwargs)
    inputs = [v for v in _flatten([*host_args, *host_kwargs.values()]) if _is_host_array(v)]
    asked = any(names_float64(value) for value in (*args, *kwargs.values()))
    check_float64(name, inputs, _flatten([result]), asked)
    for value in _flatten([result]):
        if isinstance(value, np.ndarray | np.generic):
            check_dtype(value.dtype)
    if name == "matmul":
        _count_matmul_copies(host_args, result)
        result = np.asarray(result, order="C")  # as CuPy gives it, whatever the operands' order
    if "out" in kwargs or result is None:  # in place: it writes into an array that is there
        ledger.count_launch(name)
        return kwargs.get("out")
    for value in args:
        if isinstance(value, ndarray) and value._host is result:
            return value  # as it came, which astype(copy=False) and asarray may give
    return _wrap_result(name, result, inputs)


def _wrap_result(name: str, result: Any, inputs: list[NDArray[Any]]) -> Any:
    if isinstance(result, tuple | list):
        return type(result)([_wrap_result(name, item, inputs) for item in result])
    if not isinstance(result, np.ndarray | np.generic):
        return result
    host = np.asarray(result)
    is_view = host.base is not None or any(host is given for given in inputs)
    if not (is_view and any(np.may_share_memory(host, given) for given in inputs)):
        ledger.count_launch(name)
    return wrap(host)


def _unwrap(value: Any, name: str) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{name}: a host array ({value.dtype}, shape {value.shape}) meets the GPU; "
            "bring it over with to_device"
        )
    if type(value) in (list, tuple):
        return type(value)(_unwrap(item, name) for item in value)
    return value


def _flatten(values: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        flat += _flatten(value) if isinstance(value, list | tuple) else [value]
    return flat


def _is_host_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _count_matmul_copies(operands: Sequence[Any], result: Any) -> None:
    """CuPy makes both operands of a batched product contiguous first: one copy kernel each."""
    if np.ndim(result) < 3:
        return
    for operand in operands[:2]:
        if not operand.flags.c_contiguous:
            ledger.count_launch("matmul: copy of a strided operand")


def _host_index(index: Any) -> tuple[tuple[Any, ...], str]:
    """Turn an index into NumPy's, and tell what it asks of a GPU: a "view", "gather" or "mask"."""
    parts = index if isinstance(index, tuple) else (index,)
    host_parts: list[Any] = []
    kind = "view"
    for part in parts:
        if isinstance(part, ndarray):
            is_mask = part.dtype == np.bool_
            if is_mask:
                ledger.count_wait("a boolean mask as an index")
            kind = "mask" if is_mask or kind == "mask" else "gather"
            host_parts.append(part._host)
        elif isinstance(part, bool | np.bool_):
            ledger.count_wait("True or False as an index")
            kind = "mask"
            host_parts.append(part)
        elif isinstance(part, list | np.ndarray):
            ledger.count_copy_to_device(np.asarray(part).nbytes, f"an index {type(part).__name__}")
            kind = "gather" if kind == "view" else kind
            host_parts.append(part)
        else:
            host_parts.append(part)
    if kind == "view" and Ellipsis not in host_parts:
        host_parts.append(Ellipsis)  # an element stays a 0-d array on the device
    return tuple(host_parts), kind


def _overlap(target: NDArray[Any], source: Any) -> bool:
    """Whether an array would be copied onto itself, shifted."""
    if not isinstance(source, np.ndarray) or not np.may_share_memory(target, source):
        return False
    same = target.ctypes.data == source.ctypes.data and target.strides == source.strides
    return not same and bool(np.shares_memory(target, source))


def _repeats(shape: tuple[int, ...], index: tuple[Any, ...]) -> bool:
    """Whether an index names an element twice."""
    numbers = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)[index]
    return bool(np.unique(numbers).size < numbers.size)
