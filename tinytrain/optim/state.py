"""Holding an optimizer's saved state against the optimizer, before anything of it is loaded."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tinytrain import backend
from tinytrain.autograd import describe
from tinytrain.optim.settings import is_number, number_of
from tinytrain.tensor import Tensor

HOW_NOT_WHAT = {"foreach", "fused", "capturable", "differentiable", "param_names"}
"""What PyTorch's groups hold that changes no number: how to compute, and names."""


@dataclass(frozen=True)
class Slot:
    """A parameter, and what its optimizer keeps for it.

    Attributes
    ----------
    name : str
    parameter : Tensor
    needed, known : tuple of str
        The state arrays that the next update needs, and all that there may be.
    """

    name: str
    parameter: Tensor
    needed: tuple[str, ...]
    known: tuple[str, ...]


def array_of(value: Any) -> Any:
    """Return a tensor's array, and anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def count_of(value: Any) -> int:
    """Return a saved number of updates as an integer; PyTorch saves it as a tensor of float32.

    Raises
    ------
    ValueError
        It is no whole number from 0.

    Examples
    --------
    >>> import tinytrain as tt
    >>> count_of(tt.tensor(3.0))
    3
    >>> count_of(2.7)
    Traceback (most recent call last):
        ...
    ValueError: a number of updates must be a whole number from 0, got 2.7
    """
    found = number_of("step", Tensor(value) if backend.is_array(value) else value)
    if not is_number(found) or not found >= 0 or found % 1:
        raise ValueError(f"a number of updates must be a whole number from 0, got {value!r:.60}")
    return int(found)


def check_structure(state_dict: Any) -> None:
    """Raise where something is no optimizer's state at all.

    Examples
    --------
    >>> check_structure(None)
    Traceback (most recent call last):
        ...
    TypeError: an optimizer's state is a dict, as state_dict() returns it, got None
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"an optimizer's state is a dict, as state_dict() returns it, got {state_dict!r:.60}"
        )
    if not {"state", "param_groups"} <= set(state_dict):
        raise ValueError(
            f"an optimizer's state has 'state' and 'param_groups', got {list(state_dict)}"
        )
    state, groups = state_dict["state"], state_dict["param_groups"]
    if not isinstance(state, Mapping) or not all(isinstance(s, Mapping) for s in state.values()):
        raise TypeError(f"'state' must be a dict of one dict per parameter, got {state!r:.60}")
    if not isinstance(groups, list | tuple) or not all(
        isinstance(group, Mapping) and isinstance(group.get("params"), list | tuple)
        for group in groups
    ):
        raise TypeError(f"'param_groups' must be a list of dicts with 'params', got {groups!r:.60}")


def saved_settings(
    state_dict: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], known: Sequence[str]
) -> list[dict[str, Any]]:
    """Return each group's saved settings.

    Raises
    ------
    ValueError, TypeError
        It is no optimizer's state, or its groups have other sizes.
    """
    check_structure(state_dict)
    here = [len(settings["params"]) for settings in groups]
    there = [len(settings["params"]) for settings in state_dict["param_groups"]]
    if here != there:
        raise ValueError(f"the state is of groups of {there} parameters, this optimizer has {here}")
    return [
        {name: deepcopy(number_of(name, saved[name])) for name in known if name in saved}
        for saved in state_dict["param_groups"]
    ]


def check_class(state_dict: Mapping[str, Any], optimizer: str) -> None:
    """Raise a ValueError where a state says that it is of another class of optimizers.

    Examples
    --------
    >>> check_class({"optimizer": "AdamW"}, "Adam")
    Traceback (most recent call last):
        ...
    ValueError: the state is of AdamW, not of Adam: what is in it means something else there (to
    load it all the same, take out its key 'optimizer')
    """
    found = state_dict.get("optimizer")
    if found is not None and found != optimizer:
        raise ValueError(
            f"the state is of {found}, not of {optimizer}: what is in it means something else "
            "there (to load it all the same, take out its key 'optimizer')"
        )


def check_nothing_is_lost(state_dict: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise a ValueError where a saved setting changes the update and does not exist here.

    Examples
    --------
    >>> check_nothing_is_lost({"param_groups": [{"params": [0], "amsgrad": True}]}, ["lr"])
    Traceback (most recent call last):
        ...
    ValueError: the state was made with amsgrad, which does not exist here
    """
    for saved in state_dict["param_groups"]:
        for name in sorted(set(saved) - set(known) - HOW_NOT_WHAT - {"params"}):
            if saved[name]:
                raise ValueError(f"the state was made with {name}, which does not exist here")


def check_state(
    state: Mapping[int, Mapping[str, Any]], slots: Sequence[Slot], optimizer: str
) -> None:
    """Raise a ValueError where a saved state is not what the slots need.

    Examples
    --------
    >>> import tinytrain as tt
    >>> slot = Slot("weight", tt.zeros(2), ("momentum_buffer",), ("momentum_buffer",))
    >>> check_state({0: {"step": 1, "momentum_buffer": tt.zeros(3)}}, [slot], "SGD")
    Traceback (most recent call last):
        ...
    ValueError: state 'momentum_buffer' of parameter 0 (weight) is float32 (3,) on cpu,
    expected float32 (2,) on cpu
    """
    unknown = [number for number in state if number not in range(len(slots))]
    if unknown:
        raise ValueError(
            f"the state is of parameters {unknown}, this optimizer has 0 to {len(slots) - 1}"
        )
    for number, saved in state.items():
        slot = slots[number]
        whose = f"of parameter {number} ({slot.name})"
        missing = sorted({"step", *slot.needed} - set(saved))
        extra = sorted(set(saved) - {"step", *slot.known})
        if missing or extra:
            raise ValueError(
                f"the state {whose} is not of {optimizer}: missing {missing}, unexpected {extra}"
            )
        try:
            count_of(saved["step"])
        except ValueError as error:
            raise ValueError(f"state 'step' {whose}: {error}") from None
        for name in sorted(set(saved) - {"step"}):
            found = array_of(saved[name])
            kind = (getattr(found, "dtype", None), getattr(found, "shape", None))
            if kind != (slot.parameter.dtype, slot.parameter.shape):
                raise ValueError(
                    f"state {name!r} {whose} is {describe(found)}, "
                    f"expected {describe(slot.parameter.data)}"
                )
