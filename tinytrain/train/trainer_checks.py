"""What a trainer refuses before the first step: settings that cannot be meant so."""

from collections.abc import Iterable, Iterator
from typing import Any

from tinytrain.nn.module import Module
from tinytrain.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.batch_plan import check_positive
from tinytrain.train.windows import WindowStream, length_of


def total_steps(windows: WindowStream, max_steps: int | None, epochs: int | None) -> int:
    """Return how many optimizer steps a run has, of which one of two numbers tells.

    Raises
    ------
    ValueError
        Both are given, or none; or the run would have no step.
    """
    if max_steps is not None and epochs is None:
        check_positive("max_steps", max_steps)
        return max_steps
    if epochs is None or max_steps is not None:
        raise ValueError("give either max_steps or epochs")
    check_positive("epochs", epochs)
    total = windows.windows_in(epochs)
    if total < 1:
        raise ValueError(
            f"a run of {epochs} epochs would have no optimizer step: the loader gives "
            f"{len(windows.loader)} micro-batches, a step takes {windows.size}"
        )
    return total


def check_numbers(clip_grad_norm: float | None, **counts: int | None) -> None:
    """Raise where a number makes no sense; counts are at least 1, where they are given."""
    for name, count in counts.items():
        if count is not None:
            check_positive(name, count)
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ValueError(f"clip_grad_norm must be above 0, got {clip_grad_norm}")


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
