"""Loading a state dict: everything that does not fit is listed before anything is written."""

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from tinytrain import backend
from tinytrain.in_place import writable
from tinytrain.tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` skipped with ``strict=False``.

    Examples
    --------
    >>> import tinytrain as tt
    >>> tt.nn.Linear(2, 2, bias=False).load_state_dict({"bias": tt.zeros(2)}, strict=False)
    IncompatibleKeys(missing_keys=['weight'], unexpected_keys=['bias'])
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(
    own: Mapping[str, Tensor], state_dict: Mapping[str, Any], strict: bool, owner: str
) -> IncompatibleKeys:
    """Copy the values of a state dict into tensors, or raise and leave all of them alone.

    Parameters
    ----------
    own : mapping of str to Tensor
        The tensors to fill, of any shapes.
    state_dict : mapping of str to Tensor or array
        For each name a value of the same shape and dtype.
    strict : bool
        Whether missing and unexpected names are errors.
    owner : str
        What the state is loaded into, for the error message.

    Raises
    ------
    RuntimeError
        Names, shapes or dtypes do not fit; all of them are listed.
    TypeError
        `state_dict` is no mapping.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = tt.zeros(2)
    >>> load({"weight": weight}, {"weigth": tt.ones(2)}, True, "Scale")
    Traceback (most recent call last):
        ...
    RuntimeError: cannot load the state into Scale:
      missing: weight
      unexpected: weigth (did you mean weight?)
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"a state dict maps names to arrays, got {state_dict!r:.80}")
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    problems = _mismatches(own, state_dict)
    if strict:
        problems += [f"missing: {name}" for name in missing]
        problems += [_unexpected(name, missing) for name in unexpected]
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise RuntimeError(f"cannot load the state into {owner}:{listed}")
    for name, tensor in own.items():
        if name in state_dict:
            given = backend.bring_beside(_array_of(state_dict[name]), tensor.data)
            writable(tensor.data)[...] = given
    return IncompatibleKeys(missing, unexpected)


def _array_of(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _mismatches(own: Mapping[str, Tensor], state_dict: Mapping[str, Any]) -> list[str]:
    """List the names whose value is no array, or of another shape or dtype."""
    found = []
    for name, tensor in own.items():
        if name not in state_dict:
            continue
        given = _array_of(state_dict[name])
        if not (hasattr(given, "shape") and hasattr(given, "dtype")):
            found.append(f"mismatch: {name} is a {type(given).__name__}, expected an array")
        elif given.shape != tensor.shape or given.dtype != tensor.dtype:
            found.append(
                f"mismatch: {name} is {given.dtype} {given.shape}, "
                f"expected {tensor.dtype} {tensor.shape}"
            )
    return found


def _unexpected(name: str, missing: list[str]) -> str:
    close = difflib.get_close_matches(name, missing, n=1)
    return f"unexpected: {name}" + (f" (did you mean {close[0]}?)" if close else "")
