"""How two operands meet: one dtype, shapes that broadcast, one device."""

from typing import Any, TypeAlias

import numpy as np

from tinytrain.backend import Array, is_array, xp_of

Operand: TypeAlias = Any
"""An array, or a Python number, which adapts to the array beside it."""

NUMBERS = (bool, int, float)
DEFAULT_FLOAT = np.dtype(np.float32)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is a floating-point one.

    Examples
    --------
    >>> is_float(np.dtype("float32")), is_float(np.dtype("int64"))
    (True, False)
    """
    return dtype.kind == "f"


def is_boolean(operand: Operand) -> bool:
    """Return whether an operand, an array or a Python number, is true or false.

    Examples
    --------
    >>> is_boolean(True), is_boolean(np.ones(2, dtype=bool)), is_boolean(1)
    (True, True, False)
    """
    return isinstance(operand, bool) or getattr(operand, "dtype", None) == np.bool_


def as_float(x: Array) -> Array:
    """Turn integers and booleans into float32; leave floating-point arrays alone.

    Examples
    --------
    >>> as_float(np.arange(3)).dtype
    dtype('float32')
    """
    return x if is_float(x.dtype) else x.astype(DEFAULT_FLOAT)


def check_float(name: str, x: Array) -> None:
    """Raise where an operation of that name is given integers or booleans.

    Examples
    --------
    >>> check_float("silu", np.arange(3))
    Traceback (most recent call last):
        ...
    TypeError: silu needs a floating-point tensor, got int64
    """
    if not is_float(x.dtype):
        raise TypeError(f"{name} needs a floating-point tensor, got {x.dtype}")


def plain_number(value: Any) -> Any:
    """Turn a NumPy number into a Python number; leave other values alone.

    A Python number takes the dtype of the array beside it. A NumPy number keeps its own, and so
    would widen float32, even ``np.float64``, which counts as a Python float elsewhere.

    Examples
    --------
    >>> type(plain_number(np.float64(2.0))).__name__
    'float'
    """
    return value.item() if isinstance(value, np.generic) else value  # host: a number, no array


def result_dtype(x: Array, y: Array) -> Any:
    """Return the dtype in which two arrays meet, by PyTorch's rules.

    The higher kind wins (bool < integer < floating point). Between two dtypes of one kind the wider
    wins, except that an array with axes is never widened by one without (a 0-d array).

    Examples
    --------
    >>> int_array, float_array = np.zeros(2, np.int64), np.zeros(2, np.float32)
    >>> result_dtype(int_array, float_array)  # NumPy alone would say float64
    dtype('float32')
    """
    rank_x, rank_y = "biuf".index(x.dtype.kind), "biuf".index(y.dtype.kind)
    kind_x, kind_y = min(rank_x, 1) + (rank_x == 3), min(rank_y, 1) + (rank_y == 3)
    if kind_x != kind_y:
        return x.dtype if kind_x > kind_y else y.dtype
    if (x.ndim == 0) != (y.ndim == 0):
        return y.dtype if x.ndim == 0 else x.dtype
    return np.promote_types(x.dtype, y.dtype)


def promote(x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """Bring two operands to one dtype; a Python number adapts to the array beside it.

    Raises
    ------
    TypeError
        An operand is None, or both are numbers.
    RuntimeError
        The arrays live on different devices.
    ValueError
        Their shapes cannot be broadcast together.

    Examples
    --------
    >>> x, y = promote(np.arange(3), 0.5)
    >>> x.dtype, y
    (dtype('float32'), 0.5)
    """
    if type(x) is type(y) and is_array(x) and x.shape == y.shape and x.dtype == y.dtype:
        return x, y  # nothing to do, as nearly always
    if x is None or y is None:
        raise TypeError("an operand is None")
    if isinstance(x, NUMBERS) and isinstance(y, NUMBERS):
        raise TypeError(f"one of two operands must be a tensor, got the numbers {x!r} and {y!r}")
    if isinstance(x, NUMBERS):
        y, x = promote(y, x)
        return x, y
    if isinstance(y, NUMBERS):
        return (as_float(x) if isinstance(y, float) else x), y
    xp_of(x, y)
    check_broadcast(x.shape, y.shape)
    if x.dtype == y.dtype:
        return x, y
    dtype = result_dtype(x, y)
    return x.astype(dtype, copy=False), y.astype(dtype, copy=False)


def check_broadcast(*shapes: tuple[int, ...]) -> None:
    """Raise an error that names the shapes where they cannot be broadcast together.

    Examples
    --------
    >>> check_broadcast((2, 3), (4,))
    Traceback (most recent call last):
        ...
    ValueError: shapes (2, 3) and (4,) cannot be broadcast together: axis -1 has sizes 3 and 4
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = [shape[-axis] for shape in shapes if len(shape) >= axis and shape[-axis] != 1]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"shapes {' and '.join(map(str, shapes))} cannot be broadcast together: "
                f"axis -{axis} has sizes {' and '.join(map(str, sizes))}"
            )
