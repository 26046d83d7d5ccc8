"""Checks of arguments that all floors share."""

import numpy as np

__all__ = ["whole_number"]


def whole_number(name: str, value: object, least: int = 1) -> int:
    """Return a whole number of at least `least` as an `int`; NumPy's integers are taken too.

    Parameters
    ----------
    name : str
        What the number is called, for the message.
    value : object
    least : int

    Raises
    ------
    ValueError
        It is something else, a truth value or a float among them, or too small.

    Examples
    --------
    >>> whole_number("batch_size", np.int64(2))
    2
    >>> whole_number("batch_size", 2.0)
    Traceback (most recent call last):
        ...
    ValueError: batch_size must be a whole number of at least 1, but got 2.0
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, but got {value!r}")
    return int(value)
