"""Reading the settings of a parameter group."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from tinytrain.backend import Array
from tinytrain.tensor import Tensor

SCHEDULE_SETTINGS = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
"""What schedules keep in a parameter group, under PyTorch's names."""


def number_of(name: str, value: Any) -> Any:
    """Return a tensor of one element as a number, and anything else as it is.

    Raises
    ------
    ValueError
        The tensor has more elements, or none.

    Examples
    --------
    >>> import tinytrain as tt
    >>> number_of("lr", tt.tensor(0.5)), number_of("nesterov", True)
    (0.5, True)
    """
    if not isinstance(value, Tensor):
        return value
    if value.numel() != 1:
        raise ValueError(f"{name} must be a number, got a tensor of shape {tuple(value.shape)}")
    return value.cpu().item()


def floats(settings: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    """Return settings as Python numbers: one of NumPy's would turn float32 into float64.

    Examples
    --------
    >>> floats({"lr": 1, "momentum": 0.5}, "momentum", "lr")
    (0.5, 1.0)
    """
    return tuple(float(settings[name]) for name in names)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, of Python or NumPy; True and False are none.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number("0.5")
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def check_numbers(settings: Mapping[str, Any], optimizer: str, *names: str) -> None:
    """Raise where a setting is no finite number.

    Examples
    --------
    >>> check_numbers({"lr": float("inf")}, "SGD", "lr")
    Traceback (most recent call last):
        ...
    ValueError: SGD: lr is inf, not a finite number
    """
    for name in names:
        if not is_number(settings[name]):
            raise TypeError(f"{optimizer}: {name} must be a number, got {settings[name]!r}")
        if not math.isfinite(settings[name]):
            raise ValueError(f"{optimizer}: {name} is {settings[name]}, not a finite number")


def check_from_zero(settings: Mapping[str, Any], optimizer: str, *names: str) -> None:
    """Raise where a setting is no finite number from 0.

    Examples
    --------
    >>> check_from_zero({"eps": -1e-8}, "AdamW", "eps")
    Traceback (most recent call last):
        ...
    ValueError: AdamW: eps is -1e-08, not from 0
    """
    check_numbers(settings, optimizer, *names)
    for name in names:
        if settings[name] < 0:
            raise ValueError(f"{optimizer}: {name} is {settings[name]}, not from 0")


def check_flags(settings: Mapping[str, Any], optimizer: str, *names: str) -> None:
    """Raise where a setting is neither True nor False; 1 and 0 count as these.

    Examples
    --------
    >>> check_flags({"amsgrad": "no"}, "Adam", "amsgrad")
    Traceback (most recent call last):
        ...
    TypeError: Adam: amsgrad must be True or False, got 'no'
    """
    for name in names:
        value = settings[name]
        if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
            raise TypeError(f"{optimizer}: {name} must be True or False, got {value!r}")


def check_betas(settings: Mapping[str, Any], optimizer: str) -> None:
    """Raise where betas are not two numbers in [0, 1).

    Examples
    --------
    >>> check_betas({"betas": (0.9, 1.0)}, "AdamW")
    Traceback (most recent call last):
        ...
    ValueError: AdamW: betas must be two numbers in [0, 1), got (0.9, 1.0)
    """
    betas = settings["betas"]
    right = isinstance(betas, tuple | list) and len(betas) == 2
    if not (right and all(is_number(beta) and 0 <= float(beta) < 1 for beta in betas)):
        raise ValueError(f"{optimizer}: betas must be two numbers in [0, 1), got {betas}")


def descent_gradient(parameter: Array, gradient: Array, settings: Mapping[str, Any]) -> Array:
    """Return what to descend along: g, or -g to maximize, plus weight_decay p (an L2 penalty).

    Parameters
    ----------
    parameter, gradient : array (N,)
        Neither is changed.
    settings : mapping
        With ``"maximize"`` and ``"weight_decay"``.

    Examples
    --------
    >>> import numpy as np
    >>> settings = {"maximize": True, "weight_decay": 0.5}
    >>> descent_gradient(np.array([2.0]), np.array([10.0]), settings)
    array([-9.])
    """
    (weight_decay,) = floats(settings, "weight_decay")
    if settings["maximize"]:
        gradient = -gradient
    return gradient + weight_decay * parameter if weight_decay else gradient
