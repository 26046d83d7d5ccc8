"""The figures of a log record as plain numbers and text, wherever they come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.tensor import Tensor


def plain_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose numbers are Python's.

    Raises
    ------
    TypeError
        A figure is something else than a number (also of NumPy, or a tensor or array of one
        element), a truth value, text or None.

    Examples
    --------
    >>> import tinytrain as tt
    >>> plain_record({"step": np.int64(1), "norm": tt.ones(1).sum(), "name": "run"})
    {'step': 1, 'norm': 1.0, 'name': 'run'}
    """
    return {name: _plain(name, value) for name, value in record.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, np.generic) or (backend.is_array(value) and value.size == 1):
        value = backend.to_host(value).item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"the figure {name!r} of a log record is a {type(value).__name__}; a record holds numbers, "
        "truth values and text: log a mean, a norm or str(...) of it"
    )
