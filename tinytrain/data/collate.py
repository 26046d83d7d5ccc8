"""From a list of samples to one batch of arrays, by PyTorch's rules, with NumPy arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.data.array_dataset import ArrayBatch, takes_array_batch

__all__ = ["default_collate", "default_convert"]

_NUMERIC_KINDS = "biufc"
# What a Python number becomes next to others of its kind. A batch that starts with a float is
# float64 whatever follows, so float32 stands only for a float after an int.
_PYTHON_NUMBERS = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float32),
    complex: np.dtype(np.complex64),
}


@takes_array_batch
def default_collate(batch: Sequence[Any]) -> Any:
    """Stack the samples of a batch into arrays with a new first axis.

    The first sample decides, in this order:

    ================================  =====================================================
    sample                            batch
    ================================  =====================================================
    array or NumPy scalar             array, of the common dtype
    float                             float64 array
    int, bool                         int64, bool array (float32 if floats follow an int);
                                      so are members of an ``IntEnum``
    str, bytes                        the samples as they are
    mapping                           mapping of the same type, each value collated
    named tuple                       the same named tuple, each field collated
    tuple                             list, each position collated
    other sequence                    sequence of the same type, each position collated
    ================================  =====================================================

    The common dtype is PyTorch's: a float beats any integer (int64 with float32 is float32).
    An `ArrayBatch` is stacked already: its arrays are returned as a list.

    Raises
    ------
    TypeError
        If the samples are of another type (None, sets, arrays of strings or objects).
    RuntimeError
        If arrays differ in shape or sequences in length.
    KeyError
        If a mapping lacks a key of the first one.
    ValueError
        If a mapping has a key that the first one has not. (PyTorch drops its value.)
    IndexError
        If the batch is empty.

    Examples
    --------
    >>> default_collate([(np.zeros(2, np.float32), 3), (np.ones(2, np.float32), 4)])
    [array([[0., 0.], [1., 1.]], dtype=float32), array([3, 4])]
    >>> default_collate([{"length": 0.5}, {"length": 1.5}])
    {'length': array([0.5, 1.5])}
    """
    if isinstance(batch, ArrayBatch):
        if not len(batch):
            raise IndexError("default_collate: the batch has no samples")
        return list(batch.arrays)
    first = batch[0]
    if isinstance(first, np.ndarray):
        return _stack_arrays(batch)
    if isinstance(first, (np.bool_, np.number, int)):
        return _stack_numbers(batch)
    if isinstance(first, float):
        return _stack_floats(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _collate_mappings(batch)
    if isinstance(first, Sequence):
        return _collate_sequences(batch)
    raise _unsupported(type(first))


def default_convert(data: Any) -> Any:
    """Convert one sample that is not batched: NumPy scalars become arrays, the rest stays.

    Arrays of other classes than NumPy's own, masked ones for example, are among what stays.
    Mappings, named tuples and sequences are converted item by item and keep their type; a tuple
    becomes a list, as in `default_collate`.

    Examples
    --------
    >>> default_convert((np.float32(0.5), "text", 7))
    [array(0.5, dtype=float32), 'text', 7]
    """
    if isinstance(data, (np.ndarray, np.bool_, np.number)) and type(data).__module__ == "numpy":
        return np.asarray(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def _stack_arrays(batch: Sequence[Any]) -> NDArray[Any]:
    arrays = [np.asarray(item) for item in batch]
    first = arrays[0]
    for position, array in enumerate(arrays):
        if array.dtype.kind not in _NUMERIC_KINDS:
            raise _unsupported(array.dtype)
        if array.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at "
                f"entry 0 and {list(array.shape)} at entry {position}; pad the samples or pass "
                "a collate_fn of your own"
            )
    return np.stack(arrays, dtype=_common_dtype({array.dtype for array in arrays}))


def _stack_numbers(batch: Sequence[Any]) -> NDArray[Any]:
    return np.array(batch, dtype=_common_dtype({_number_dtype(number) for number in batch}))


def _stack_floats(batch: Sequence[Any]) -> NDArray[np.float64]:
    for number in batch:
        if _number_dtype(number).kind == "c":  # NumPy would drop the imaginary part
            raise _unsupported(type(number))
    return np.array(batch, dtype=np.float64)


def _number_dtype(number: Any) -> np.dtype[Any]:
    if isinstance(number, (np.bool_, np.number)):
        return number.dtype
    for kind, dtype in _PYTHON_NUMBERS.items():
        if isinstance(number, kind):
            return dtype
    if isinstance(number, np.ndarray) and number.ndim == 0 and number.dtype.kind in _NUMERIC_KINDS:
        own: np.dtype[Any] = number.dtype
        return own
    raise _unsupported(type(number))


def _common_dtype(dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
    """PyTorch's promotion; NumPy's would make float64 of int64 and float32."""
    inexact = [dtype for dtype in dtypes if dtype.kind in "fc"]
    common = np.result_type(*(inexact or dtypes))
    if not inexact and common.kind == "f":
        raise TypeError(f"no integer dtype holds all values of {sorted(map(str, dtypes))}")
    return common


def _collate_mappings(batch: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any]:
    first = batch[0]
    for position, sample in enumerate(batch):
        missing = [key for key in first if key not in sample]
        if missing:
            raise KeyError(
                f"entry {position} of the batch has no {missing[0]!r}, which entry 0 has"
            )
        if len(sample) > len(first):
            raise ValueError(
                f"the samples of a batch must have the same keys, but got {list(first)} at "
                f"entry 0 and {list(sample)} at entry {position}"
            )
    collated = {key: default_collate([sample[key] for sample in batch]) for key in first}
    return _like_mapping(first, collated)


def _collate_sequences(batch: Sequence[Sequence[Any]]) -> Sequence[Any]:
    if any(len(sample) != len(batch[0]) for sample in batch):
        raise RuntimeError("each element in list of batch should be of equal size")
    positions = zip(*batch, strict=True)
    return _like_sequence(batch[0], [default_collate(samples) for samples in positions])


def _like_mapping(example: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    """A mapping of the example's type with these values; a dict if it cannot be made."""
    try:
        if isinstance(example, MutableMapping):
            # A copy keeps what the mapping holds besides its items (a default, attributes).
            clone = copy.copy(example)
            clone.update(values)
            return clone
        return type(example)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _like_sequence(example: Sequence[Any], values: list[Any]) -> Sequence[Any]:
    """A sequence of the example's type with these values; a list for tuples and ranges."""
    if isinstance(example, tuple):
        return type(example)(*values) if hasattr(example, "_fields") else values
    try:
        if isinstance(example, MutableSequence):
            clone = copy.copy(example)
            for position, value in enumerate(values):
                clone[position] = value
            return clone
        return type(example)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _unsupported(found: object) -> TypeError:
    if isinstance(found, type) and found.__name__ == "Tensor":
        return TypeError(
            f"default_collate makes NumPy arrays of NumPy arrays, numbers, dicts and lists; found "
            f"{found}: let the data set hold arrays (tensor.numpy()), and make tensors of whole "
            "batches"
        )
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}"
    )
