"""What a trainer refuses before the first step: settings that cannot be meant so."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.nn.module import Module
from tinytrain.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.callback import Callback
from tinytrain.train.windows import WindowStream, length_of


def total_steps(windows: WindowStream, max_steps: int | None, epochs: int | None) -> int:
    """Return how many optimizer steps a run has, of which one of two numbers tells.

    Raises
    ------
    ValueError
        Both are given, or none; or the run would have no step.
    """
    if max_steps is not None and epochs is None:
        return whole_number("max_steps", max_steps)
    if epochs is None or max_steps is not None:
        raise ValueError("give either max_steps or epochs")
    epochs = whole_number("epochs", epochs)
    total = windows.windows_in(epochs)
    if total < 1:
        raise ValueError(
            f"a run of {epochs} epochs would have no optimizer step: the loader gives "
            f"{len(windows.loader)} micro-batches, a step takes {windows.size}"
        )
    return total


def number_or_none(name: str, value: Any) -> int | None:
    """Return a whole number of at least 1, or None, which a setting may be that is left out."""
    return None if value is None else whole_number(name, value)


def checked_norm(limit: Any) -> float | None:
    """Return the largest norm of a gradient, a number above 0; or None."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float | np.number):
        raise TypeError(f"clip_grad_norm must be a number above 0 or None, got {limit!r:.40}")
    if not limit > 0:
        raise ValueError(f"clip_grad_norm must be above 0, got {limit}")
    return float(limit)


def checked_loss_function(function: Any) -> Any:
    """Return a loss function; raise where it cannot be called."""
    if not callable(function):
        raise TypeError(
            "the loss function must be callable, (model, batch) -> (sum of losses, number of "
            f"items), got {function!r:.40}"
        )
    return function


def checked_name(name: Any) -> str:
    """Return what an item is called."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"item_name must be text, such as 'tokens', got {name!r:.40}")
    return name


def checked_folder(out: Any, save_every: int | None) -> Path | None:
    """Return the folder of a run, or None."""
    if out is None:
        if save_every is not None:
            raise ValueError("save_every needs a folder: give out=...")
        return None
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f"out must be the path of a folder, got {out!r:.40}")
    if not os.fspath(out):
        raise ValueError("out is empty: give the path of a folder, '.' for the present one")
    return Path(out)


def checked_config(config: Any) -> dict[str, Any]:
    """Return a configuration as a checkpoint gives it back, in which tuples are lists.

    Raises
    ------
    TypeError, ValueError
        It is no mapping of text to what JSON can hold; the message names the key. What cannot be
        saved is better refused now than then.
    """
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise TypeError(f"config must be a mapping, such as vars(arguments), got {config!r:.40}")
    checked = {}
    for key, value in config.items():
        if not isinstance(key, str):
            raise TypeError(f"the key {key!r:.40} of config is no text")
        try:
            checked[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(f"config[{key!r}] cannot be saved as JSON: {error}") from error
    return checked


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """Return the callbacks; raise where they are no sequence of such objects."""
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise TypeError(
            f"callbacks must be a list, such as [EarlyStopping()], got {callbacks!r:.60}"
        )
    for one in callbacks:
        if isinstance(one, type):
            raise TypeError(f"callbacks are objects: {one.__name__}(...), not the class itself")
        if not isinstance(one, Callback):
            raise TypeError(
                f"a callback is an object of a class made from tinytrain.train.Callback, got "
                f"{one!r:.60}"
            )
    return list(callbacks)


def check_schedule(
    schedule: LRScheduler | None, optimizer: Optimizer, eval_every: int | None
) -> None:
    """Raise where a schedule cannot do its work."""
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule was made for another optimizer than the one given")
    if isinstance(schedule, ReduceLROnPlateau) and eval_every is None:
        raise ValueError(
            "ReduceLROnPlateau looks at the validation loss: give validation_loader, eval_every"
        )


def check_trained(model: Module, optimizer: Optimizer) -> None:
    """Raise where the model and the optimizer do not have the same parameters to train."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    forgotten = [
        name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held
    ]
    if forgotten:
        named = ", ".join(forgotten[:5]) + (", ..." if len(forgotten) > 5 else "")
        raise ValueError(
            f"{len(forgotten)} parameters of the model are to be trained, but the optimizer does "
            f"not hold them: {named}; make it from this model's parameters, or freeze them with "
            "requires_grad_(False)"
        )
    strangers = len(held - {id(p) for p in model.parameters()})
    if strangers:
        raise ValueError(
            f"the optimizer holds {strangers} parameters that are not the model's, and that a "
            "checkpoint would lose: make them attributes of the model"
        )


def check_validation(loader: Iterable[Any] | None, eval_every: int | None) -> None:
    """Raise where the validation data could not be read again and again."""
    if loader is None:
        if eval_every is not None:
            raise ValueError("eval_every needs data to evaluate on: give validation_loader=...")
        return
    if isinstance(loader, Iterator):
        raise TypeError("the validation loader must be iterable more than once, not an iterator")
    if length_of(loader) == 0:
        raise ValueError("the validation loader gives no batches")
