"""What the functions ask of their arguments."""

from typing import Any, NoReturn

from tinytrain.tensor import Tensor


def checked(value: Any, function: str = "", argument: str = "") -> Tensor:
    """Return a tensor as it is, and refuse everything else with words.

    Function and argument, which the words name, are given by who has several arguments.

    Examples
    --------
    >>> checked([1.0])
    Traceback (most recent call last):
        ...
    TypeError: expected a tensor, got a list: make one with tt.tensor(...)
    >>> checked([1.0], "linear", "weight")
    Traceback (most recent call last):
        ...
    TypeError: linear: weight must be a tensor, got a list: make one with tt.tensor(...)
    """
    if isinstance(value, Tensor):
        return value
    _refuse(value, function, argument)


def checked_optional(value: Any, function: str, argument: str) -> Tensor | None:
    """Return a tensor or None as it is, and refuse everything else with words.

    Examples
    --------
    >>> checked_optional(None, "linear", "bias") is None
    True
    """
    if value is None or isinstance(value, Tensor):
        return value
    _refuse(value, function, argument)


def _refuse(value: Any, function: str, argument: str) -> NoReturn:
    wanted = f"{function}: {argument} must be a tensor" if function else "expected a tensor"
    if hasattr(value, "shape"):
        raise TypeError(
            f"{wanted}, got a bare {type(value).__name__} of shape {value.shape}: wrap it "
            "with tt.tensor(...) (copies) or tt.from_numpy(...) (shares memory)"
        )
    raise TypeError(f"{wanted}, got a {type(value).__name__}: make one with tt.tensor(...)")
