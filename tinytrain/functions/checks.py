"""What the functions ask of their arguments."""

from typing import Any

from tinytrain.tensor import Tensor


def checked(value: Any) -> Tensor:
    """Return a tensor as it is, and refuse everything else with words.

    Examples
    --------
    >>> checked([1.0])
    Traceback (most recent call last):
        ...
    TypeError: expected a tensor, got a list: make one with tt.tensor(...)
    """
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "shape"):
        raise TypeError(
            f"expected a tensor, got a bare {type(value).__name__} of shape {value.shape}: wrap it "
            "with tt.tensor(...) (copies) or tt.from_numpy(...) (shares memory)"
        )
    raise TypeError(
        f"expected a tensor, got a {type(value).__name__}: make one with tt.tensor(...)"
    )
