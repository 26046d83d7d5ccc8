"""What a run consists of at an optimizer step: taking it out of a trainer, and putting it back."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from tinytrain import backend
from tinytrain.nn.module import Module
from tinytrain.optim.lr_scheduler import LRScheduler
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor
from tinytrain.train.callback_list import CallbackList
from tinytrain.train.checkpoint import CheckpointError
from tinytrain.train.meter import Meter
from tinytrain.train.micro_batches import MicroBatches
from tinytrain.train.nested_state import pack, unpack
from tinytrain.train.random_state import capture_random, generators_of, restore_random
from tinytrain.train.windows import WindowStream


class Run(Protocol):
    """The parts of a trainer that hold its state."""

    model: Module
    optimizer: Optimizer
    schedule: LRScheduler | None
    windows: WindowStream
    meter: Meter
    micro_batches: MicroBatches
    callbacks: CallbackList
    last_evaluation: tuple[int, float] | None
    step: int
    max_steps: int
    config: dict[str, Any]


def capture(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return copies of a run's arrays, in host memory, and of the rest of its state.

    Parameters, buffers, optimizer, schedule, what the next log record covers, callbacks, every
    random generator (see `random_state`), the position in the data, the number of steps, and the
    configuration.
    """
    arrays: dict[str, Any] = {}
    parts = {**capture_parts(run), "windows": run.windows.state_dict()}
    state = {
        **{name: pack(part, name, arrays) for name, part in _on_host(parts).items()},
        "step": run.step,
        "architecture": repr(run.model),
        "config": run.config,
    }
    return arrays, state


def capture_parts(run: Run) -> dict[str, Any]:
    """Return copies of the parts of a run's state that `restore_parts` can put back any time."""
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": None if run.schedule is None else run.schedule.state_dict(),
        "meter": run.meter.state_dict(),
        "micro_batches": run.micro_batches.state_dict(),
        "callbacks": run.callbacks.state_dict(),
        "last_evaluation": run.last_evaluation,
        "random": capture_random(generators_of(run.model)),
    }


def restore_parts(run: Run, parts: Mapping[str, Any]) -> None:
    """Put back what `capture_parts` returned; an error may leave some of it in place."""
    run.model.load_state_dict(parts["model"])
    run.optimizer.load_state_dict(parts["optimizer"])
    if (run.schedule is None) != (parts["schedule"] is None):
        raise ValueError("only one of the checkpoint and this run has a schedule")
    if run.schedule is not None:
        run.schedule.load_state_dict(parts["schedule"])
    run.meter.load_state_dict(parts["meter"])
    run.micro_batches.load_state_dict(parts["micro_batches"])
    run.callbacks.load_state_dict(parts["callbacks"])
    evaluated = parts["last_evaluation"]
    run.last_evaluation = None if evaluated is None else (int(evaluated[0]), float(evaluated[1]))
    restore_random(generators_of(run.model), parts["random"])


def restore(run: Run, path: Path, arrays: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Put a captured state into a run that was set up in the same way.

    Parameters
    ----------
    run : Run
    path : Path
        Where the state came from, for messages.
    arrays, state : mapping
        What `capture` returned.

    Raises
    ------
    CheckpointError
        The state is of another model, optimizer, schedule or loader. The run is as before then.
    """
    before = capture_parts(run)
    if missing := [name for name in (*before, "windows", "step") if name not in state]:
        raise CheckpointError(f"{path} is no checkpoint of a run: it has no {', '.join(missing)}")
    try:
        restore_parts(run, unpack({name: state[name] for name in before}, arrays))
        step = int(state["step"])
        _check_architecture(repr(run.model), state["architecture"])
        windows = unpack(state["windows"], arrays)
        run.windows.load_state_dict(windows)  # last: it cannot be undone
    except (
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
        OverflowError,
    ) as error:
        restore_parts(run, before)
        raise CheckpointError(f"{path} does not fit this run: {error}") from error
    run.step = step
    _tell_callbacks(run.callbacks.state_dict(), state["callbacks"])
    _tell_differences(run.config, state.get("config", {}))
    _tell_of_short_schedule(run)


def _tell_callbacks(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Say which callbacks' states are lost, and which callbacks begin anew."""
    if lost := sorted(there.keys() - here.keys()):
        print(f"this run lacks callbacks that the checkpoint has a state of: {', '.join(lost)}")
    if new := sorted(here.keys() - there.keys()):
        print(f"callbacks that the checkpoint has no state of begin anew: {', '.join(new)}")


def _tell_of_short_schedule(run: Run) -> None:
    """Say so where a run goes on for longer than the learning rate was planned for."""
    total = getattr(run.schedule, "total_steps", None)
    if total is not None and total < run.max_steps:
        print(
            f"the saved schedule ends at step {total} of {run.max_steps}: from there on the "
            "learning rate stays what it is then"
        )


def _check_architecture(here: str, there: str) -> None:
    """Raise where the models differ in settings that no parameter shows, such as heads."""
    for own, saved in zip_longest(here.splitlines(), there.splitlines(), fillvalue="nothing"):
        if own != saved:
            raise ValueError(f"the model has {own.strip()} where the saved one has {saved.strip()}")


def _tell_differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Say which settings were changed; what is part of the state is not changed by that."""
    if not (here and there):
        return
    changed = [
        f"{name} {here.get(name)} (was {there.get(name)})"
        for name in sorted({*here, *there} - {"out", "resume"})
        if here.get(name) != there.get(name)
    ]
    if changed:
        print(
            f"settings that differ from the checkpoint's: {', '.join(changed)}. The optimizer and "
            "the schedule go on with those of the checkpoint."
        )


def _on_host(state: Any) -> Any:
    """Bring the tensors and arrays of a nested state to host memory."""
    if isinstance(state, Tensor):
        return backend.to_host(state.data)
    if isinstance(state, Mapping):
        return {key: _on_host(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_on_host(value) for value in state]
    return backend.to_host(state) if hasattr(state, "shape") else state
