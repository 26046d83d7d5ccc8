"""Making tensors from values, shapes and random numbers, on the chosen device."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinytrain import backend
from tinytrain.generator import Generator, default_generator
from tinytrain.ops.index import extremes_of
from tinytrain.ops.promotion import DEFAULT_FLOAT
from tinytrain.tensor import Tensor

Batch = TypeVar("Batch")


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Copy values into a new tensor on the chosen device.

    Python floats become float32, integers int64, booleans bool; the dtype of an array or NumPy
    number is kept.

    Parameters
    ----------
    data : number, nested sequence, array or Tensor
    dtype : optional
        Of the result.
    requires_grad : bool

    Raises
    ------
    ValueError
        A nested sequence is ragged.
    TypeError
        The values are no numbers, or their dtype cannot require gradients.
    OverflowError
        A Python integer does not fit the dtype.

    Examples
    --------
    >>> tensor([1.0, 2.0])
    tensor([1., 2.], dtype=float32, device=cpu)
    """
    if isinstance(data, Tensor):
        data = data.data
    if backend.is_array(data) and backend.device_of(data) != "cpu":
        array = data.copy()
    else:
        array = np.array(data)
        _check_numeric(array, data)
        if not isinstance(data, np.ndarray | np.generic):
            array = _from_python(data, array, dtype)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return _on_chosen_device(array, requires_grad)


def _on_chosen_device(array: Any, requires_grad: bool = False) -> Tensor:
    """Bring an array over; the range of integers is noted at the door, as a GPU cannot be asked."""
    moved = Tensor(backend.to_device(array), requires_grad)
    if moved.dtype.kind in "iu" and moved.device != "cpu" and isinstance(array, np.ndarray):
        moved.extremes = extremes_of(array)
    return moved


def _from_python(data: Any, array: NDArray[Any], dtype: DTypeLike | None) -> NDArray[Any]:
    if dtype is not None:
        return np.array(data, dtype=dtype)  # raises where an integer does not fit, unlike astype
    if array.dtype == np.float64 and not _holds_float64(data):
        return array.astype(DEFAULT_FLOAT)
    return array


def _check_numeric(array: Any, data: Any) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"a tensor holds numbers or booleans, not {array.dtype} (from {data!r:.80})"
        )


def _holds_float64(data: Any) -> bool:
    """Whether a nested sequence holds NumPy values, whose dtype is kept."""
    while isinstance(data, Sequence) and len(data):
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def from_numpy(array: NDArray[Any]) -> Tensor:
    """Wrap a NumPy array: memory is shared on the CPU, and copied over to a GPU.

    Examples
    --------
    >>> values = np.zeros(2)
    >>> from_numpy(values).data is values
    True
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes a NumPy array, got {type(array).__name__}")
    _check_numeric(array, array)
    staged = isinstance(array, backend.StagedArray)
    return _on_chosen_device(array if staged else np.asarray(array))


def to_device(batch: Batch) -> Batch:
    """Turn the NumPy arrays of a nested batch into tensors on the chosen device.

    Tuples, named tuples, lists, mappings and data classes keep their types; what is no array stays
    as it is. On the CPU nothing is copied.

    Examples
    --------
    >>> ids, name = to_device((np.array([1, 2]), "train"))
    >>> ids, name
    (tensor([1, 2], dtype=int64, device=cpu), 'train')
    """
    return _move(batch)  # type: ignore[no-any-return]


def _move(value: Any) -> Any:
    # On the CPU a view stands for the copy that a GPU would get: it is gone when the step is, so
    # that a memory limit does not count all the batches that wait in host memory.
    if isinstance(value, np.ndarray):
        return from_numpy(value.view() if type(value) is np.ndarray else value)
    if isinstance(value, Tensor):
        waits = value.device == "cpu" and not value.requires_grad
        return _on_chosen_device(value.data.view()) if waits else value.to(backend.get_device())
    if isinstance(value, Mapping):
        return type(value)({key: _move(item) for key, item in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_move, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_move, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _move(getattr(value, f.name)) for f in fields(value)})
    return value


def full(
    shape: int | Sequence[int],
    value: float,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of one value.

    Examples
    --------
    >>> full((2,), 7)
    tensor([7, 7], dtype=int64, device=cpu)
    """
    if dtype is None:
        dtype = {"b": np.bool_, "i": np.int64}.get(np.asarray(value).dtype.kind, DEFAULT_FLOAT)
    array = backend.creation_library().full(shape, value, dtype=dtype)
    return Tensor(array, requires_grad)


def zeros(
    *shape: int | Sequence[int], dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of zeros.

    Examples
    --------
    >>> zeros(2, 1).shape, zeros((2, 1)).shape
    ((2, 1), (2, 1))
    """
    return Tensor(
        backend.creation_library().zeros(_shape(shape), dtype or DEFAULT_FLOAT), requires_grad
    )


def ones(
    *shape: int | Sequence[int], dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of ones.

    Examples
    --------
    >>> ones(2)
    tensor([1., 1.], dtype=float32, device=cpu)
    """
    return Tensor(
        backend.creation_library().ones(_shape(shape), dtype or DEFAULT_FLOAT), requires_grad
    )


def zeros_like(other: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Return zeros in the shape, dtype and place of another tensor.

    Examples
    --------
    >>> zeros_like(ones(2))
    tensor([0., 0.], dtype=float32, device=cpu)
    """
    return Tensor(backend.xp_of(other.data).zeros(other.shape, dtype=dtype or other.dtype))


def ones_like(other: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Return ones in the shape, dtype and place of another tensor.

    Examples
    --------
    >>> ones_like(zeros(2))
    tensor([1., 1.], dtype=float32, device=cpu)
    """
    return Tensor(backend.xp_of(other.data).ones(other.shape, dtype=dtype or other.dtype))


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... below end; integers give int64, otherwise float32.

    Examples
    --------
    >>> arange(3)
    tensor([0, 1, 2], dtype=int64, device=cpu)
    """
    if end is None:
        start, end = 0, start
    whole = all(isinstance(value, int | np.integer) for value in (start, end, step))
    if dtype is None:
        dtype = np.int64 if whole else DEFAULT_FLOAT
    counted = backend.creation_library().arange(  # floats are counted in float64, rounded once
        start, end, step, dtype=np.int64 if whole else np.float64
    )
    result = Tensor(counted.astype(dtype, copy=False), requires_grad)
    if whole and result.dtype.kind in "iu" and result.numel():
        numbers = range(int(start), int(end), int(step))
        result.extremes = tuple(sorted({*numbers[:2], *numbers[-2:]}))
    return result


def randn(
    *shape: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = DEFAULT_FLOAT,
    requires_grad: bool = False,
) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1, in float32 or float64.

    The numbers are drawn on the host, so that a seed gives the same ones on every device.

    Examples
    --------
    >>> randn(2, 3, generator=Generator(0)).shape
    (2, 3)
    """
    source = (generator or default_generator()).numpy
    drawn = source.standard_normal(_shape(shape), dtype=_drawn_dtype(dtype))
    return Tensor(backend.to_device(np.asarray(drawn)), requires_grad)


def rand(
    *shape: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = DEFAULT_FLOAT,
    requires_grad: bool = False,
) -> Tensor:
    """Draw uniformly from [0, 1), in float32 or float64, on the host.

    Examples
    --------
    >>> bool((rand(100, generator=Generator(0)) < 1).data.all())
    True
    """
    source = (generator or default_generator()).numpy
    drawn = source.random(_shape(shape), dtype=_drawn_dtype(dtype))
    return Tensor(backend.to_device(np.asarray(drawn)), requires_grad)


def _drawn_dtype(dtype: DTypeLike) -> Any:
    wanted = np.dtype(dtype)
    if wanted not in (np.float32, np.float64):
        raise TypeError(f"random numbers are drawn in float32 or float64, not {wanted}")
    return wanted.type


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Accept sizes one by one or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], Sequence):
        return tuple(sizes[0])
    return sizes
