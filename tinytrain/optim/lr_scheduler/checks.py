"""What a schedule's settings and state may be."""

import math
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral
from typing import Any

from tinytrain.optim.settings import is_number


def check_count(schedule: str, name: str, value: Any, low: int = 1) -> None:
    """Raise where a number of steps is no integer from a lowest one.

    Examples
    --------
    >>> check_count("StepLR", "step_size", 0)
    Traceback (most recent call last):
        ...
    ValueError: StepLR: step_size must be an integer from 1, got 0
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise ValueError(f"{schedule}: {name} must be an integer from {low}, got {value!r}")


def list_of_milestones(schedule: str, milestones: Any) -> list[int]:
    """Return milestones as a list of integers; a float such as 2.0 is one too.

    Raises
    ------
    TypeError
        They are no list.
    ValueError
        One of them is no whole number from 0.

    Examples
    --------
    >>> list_of_milestones("MultiStepLR", (4, 2.0))
    [4, 2]
    """
    if isinstance(milestones, str | Mapping) or not isinstance(milestones, Iterable):
        raise TypeError(
            f"{schedule}: milestones must be a list of integers, got {milestones!r:.60}"
        )
    listed = list(milestones)
    for position, step in enumerate(listed):
        whole = int(step) if isinstance(step, float) and step.is_integer() else step
        check_count(schedule, f"milestone {position}", whole, low=0)
        listed[position] = int(whole)
    return listed


def check_number(schedule: str, name: str, value: Any) -> None:
    """Raise where a setting is no finite number.

    Examples
    --------
    >>> check_number("CosineAnnealingLR", "eta_min", float("nan"))
    Traceback (most recent call last):
        ...
    ValueError: CosineAnnealingLR: eta_min must be a finite number, got nan
    """
    _check_kind(schedule, name, value)
    if not math.isfinite(value):
        raise ValueError(f"{schedule}: {name} must be a finite number, got {value!r}")


def check_range(schedule: str, name: str, value: Any, low: float, high: float) -> None:
    """Raise where a setting lies outside low .. high, or is NaN.

    Examples
    --------
    >>> check_range("ExponentialLR", "gamma", -1, 0, float("inf"))
    Traceback (most recent call last):
        ...
    ValueError: ExponentialLR: gamma must be from 0 to inf, got -1
    """
    _check_kind(schedule, name, value)
    if not low <= value <= high:
        raise ValueError(f"{schedule}: {name} must be from {low} to {high}, got {value!r}")


def check_above_zero(schedule: str, name: str, value: Any, high: float = math.inf) -> None:
    """Raise where a setting is not above 0, or is above a highest value, infinite or NaN.

    Examples
    --------
    >>> check_above_zero("OneCycleLR", "div_factor", 0)
    Traceback (most recent call last):
        ...
    ValueError: OneCycleLR: div_factor must be above 0, got 0
    """
    _check_kind(schedule, name, value)
    if not 0 < value <= high or math.isinf(value):
        end = "" if math.isinf(high) else f" and up to {high}"
        raise ValueError(f"{schedule}: {name} must be above 0{end}, got {value!r}")


def check_state(state_dict: Any) -> None:
    """Raise where something is no schedule's state at all.

    Examples
    --------
    >>> check_state(None)
    Traceback (most recent call last):
        ...
    TypeError: a schedule's state is a dict, as state_dict() returns it, got None
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"a schedule's state is a dict, as state_dict() returns it, got {state_dict!r:.60}"
        )


def check_values(schedule: str, state: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise where a saved position or saved rates are none.

    Examples
    --------
    >>> check_values("StepLR", {"last_epoch": 2.5}, ["last_epoch"])
    Traceback (most recent call last):
        ...
    ValueError: StepLR: last_epoch must be an integer from -1, got 2.5
    """
    if "last_epoch" in names:
        check_count(schedule, "last_epoch", state["last_epoch"], low=-1)
    for name in {"base_lrs", "_last_lr"} & set(names):
        if not isinstance(state[name], list | tuple):
            raise TypeError(
                f"{schedule}: {name} must be a list of numbers, got {state[name]!r:.60}"
            )
        for rate in state[name]:
            check_number(schedule, name, rate)


def _check_kind(schedule: str, name: str, value: Any) -> None:
    if not is_number(value):
        raise TypeError(f"{schedule}: {name} must be a number, got {value!r}")
