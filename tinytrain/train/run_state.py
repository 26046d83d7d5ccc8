"""What a run consists of at an optimizer step: taking it out of a trainer, and putting it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tinytrain import backend
from tinytrain.generator import Generator, default_generator
from tinytrain.nn.module import Module
from tinytrain.optim.optimizer import Optimizer
from tinytrain.optim.schedule import Schedule
from tinytrain.tensor import Tensor
from tinytrain.train.checkpoint import CheckpointError, pack, unpack
from tinytrain.train.windows import WindowStream


class Run(Protocol):
    """The parts of a trainer that hold its state."""

    model: Module
    optimizer: Optimizer
    schedule: Schedule | None
    windows: WindowStream
    step: int
    config: dict[str, Any]


def capture(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return copies of a run's arrays, in host memory, and of the rest of its state.

    Parameters, buffers, optimizer, schedule, the position in the data, every random generator, the
    number of steps, and the configuration.
    """
    arrays: dict[str, Any] = {}
    state = {
        "step": run.step,
        "model": pack(_on_host(run.model.state_dict()), "model", arrays),
        "optimizer": pack(_on_host(run.optimizer.state_dict()), "optimizer", arrays),
        "schedule": None if run.schedule is None else run.schedule.state_dict(),
        "windows": run.windows.state_dict(),
        "generators": [generator.get_state() for generator in generators_of(run.model)],
        "config": run.config,
    }
    return arrays, state


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
        The state is of another model, optimizer, schedule or loader. The model is as before then.
    """
    before = run.model.state_dict()
    generators = generators_of(run.model)
    try:
        run.model.load_state_dict(unpack(state["model"], arrays))
        if (run.schedule is None) != (state["schedule"] is None):
            raise ValueError("only one of the checkpoint and this run has a schedule")
        if len(generators) != len(state["generators"]):
            raise ValueError(f"it has {len(state['generators'])} generators, not {len(generators)}")
        run.windows.load_state_dict(state["windows"])
        run.optimizer.load_state_dict(unpack(state["optimizer"], arrays))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        run.model.load_state_dict(before)
        raise CheckpointError(f"{path} does not fit this run: {error}") from error
    if run.schedule is not None:
        run.schedule.load_state_dict(state["schedule"])
    for generator, saved in zip(generators, state["generators"], strict=True):
        generator.set_state(saved)
    run.step = int(state["step"])


def generators_of(model: Module) -> list[Generator]:
    """Return the default generator, and those that layers such as dropout have of their own."""
    found = [default_generator()]
    for layer in model.modules():
        for value in vars(layer).values():
            if isinstance(value, Generator) and all(value is not known for known in found):
                found.append(value)
    return found


def _on_host(state: Any) -> Any:
    """Bring the tensors and arrays of a nested state to host memory."""
    if isinstance(state, Tensor):
        return backend.to_host(state.data)
    if isinstance(state, Mapping):
        return {key: _on_host(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_on_host(value) for value in state]
    return backend.to_host(state) if hasattr(state, "shape") else state
