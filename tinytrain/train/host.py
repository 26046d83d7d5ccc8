"""Bringing values to host memory, wherever they are."""

from typing import Any

from tinytrain import backend
from tinytrain.tensor import Tensor


def on_host(value: Any) -> Any:
    """Return a tensor's or an array's values as an array in host memory.

    Examples
    --------
    >>> import tinytrain as tt
    >>> on_host(tt.ones(2))
    array([1., 1.], dtype=float32)
    """
    return backend.to_host(value.data if isinstance(value, Tensor) else value)
