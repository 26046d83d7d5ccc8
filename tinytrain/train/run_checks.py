"""Whether what a file says of a run can be true, before anything of it is loaded."""

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from tinytrain.backend import is_array
from tinytrain.checks import whole_number
from tinytrain.data import DataLoader
from tinytrain.train.random_state import check_generator_state
from tinytrain.train.run import Run
from tinytrain.train.run_settings import check_classes

_OF_THE_USER = ("callbacks", "config", "random", "settings", "windows")
"""The parts whose numbers are checked by those who wrote them, and may be large."""


def check_state(run: Run, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Raise where a checkpoint's state cannot be one of this run.

    The states of the model, the optimizer, the schedule, loader, callbacks and random generators
    are checked by these themselves; the rest is looked at here.

    Parameters
    ----------
    run : Run
    state : mapping
        As it is in the file.
    parts : mapping
        The parts of it that hold arrays, unpacked, and ``windows``.

    Raises
    ------
    ValueError, TypeError, LookupError
        The message says what is wrong.
    """
    _check_numbers({name: value for name, value in state.items() if name not in _OF_THE_USER})
    whole_number("step", state["step"], least=0)
    if not isinstance(state["architecture"], str):
        raise ValueError("the architecture is no text")
    for name in ("config", "settings"):
        _dictionary(name, state.get(name, {}))
    check_classes(run.settings, state.get("settings", {}))
    if not _is_number(state.get("last_loss", 0.0), or_none=True):
        raise ValueError(f"last_loss is {state['last_loss']!r:.40}")
    _check_meter(parts["meter"])
    size = _dictionary("micro_batches", parts["micro_batches"])["size"]
    if size is not None:
        whole_number("size", size)
    _check_evaluation(parts["last_evaluation"])
    for name, one in _dictionary("callbacks", parts["callbacks"]).items():
        _dictionary(f"the state of {name}", one)
    _check_windows(_dictionary("windows", parts["windows"]))
    if isinstance(run.windows.loader, DataLoader):
        _check_numbers(parts["windows"]["loader"])
        _check_generators(parts["windows"]["loader"])


def _dictionary(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {value!r:.40}, not a dictionary")
    return value


def _is_number(value: Any, or_none: bool = False) -> bool:
    if value is None:
        return or_none
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_numbers(value: Any) -> None:
    """Raise where a whole number has more than 64 bits: no count and no seed has."""
    if isinstance(value, Mapping):
        for item in value.values():
            _check_numbers(item)
    elif isinstance(value, list):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError(f"a number in it has {value.bit_length()} bits, above 64")


def _checked_items(items: Any) -> float:
    """Return a number of items, or the sum of the weights of a weighted loss."""
    if not _is_number(items) or not 0 <= items < math.inf:
        raise ValueError(f"items is {items!r:.40}")
    number: float = items
    return number


def _check_meter(meter: Any) -> None:
    items = _checked_items(_dictionary("meter", meter)["items"])
    loss_sum, seconds = meter["loss_sum"], meter["seconds"]
    if not _is_number(seconds) or not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is {seconds!r:.40}")
    if (loss_sum is None) != (items == 0):
        raise ValueError(f"it has a sum of losses without items, or {items} items without one")
    if loss_sum is not None and not (
        is_array(loss_sum) and loss_sum.size == 1 and loss_sum.dtype.kind == "f"
    ):
        raise ValueError(f"the sum of losses is {loss_sum!r:.40}")


def _check_evaluation(evaluated: Any) -> None:
    if evaluated is None:
        return
    if not isinstance(evaluated, list | tuple) or len(evaluated) != 2:
        raise ValueError(f"the last evaluation is {evaluated!r:.40}")
    whole_number("the step of the last evaluation", evaluated[0], least=0)
    if not _is_number(evaluated[1]):
        raise ValueError(f"the loss of the last evaluation is {evaluated[1]!r:.40}")


def _check_windows(windows: Mapping[str, Any]) -> None:
    for name in ("epoch", "batches", "steps"):
        whole_number(name, windows[name], least=0)
    _checked_items(windows["items"])


def _check_generators(value: Any) -> None:
    """Look for states of generators among those of a loader and its samplers."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, Mapping) and (name == "generator" or "initial_seed" in item):
                check_generator_state(item)
            else:
                _check_generators(item)
    elif isinstance(value, list):
        for item in value:
            _check_generators(item)


def check_architecture(here: str, there: str) -> None:
    """Raise where the models differ in settings that no parameter shows, such as heads."""
    for own, saved in zip_longest(here.splitlines(), there.splitlines(), fillvalue="nothing"):
        if own != saved:
            raise ValueError(f"the model has {own.strip()} where the saved one has {saved.strip()}")
