"""What a run consists of at an optimizer step: taking it out of a trainer, and putting it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytrain.tensor import Tensor
from tinytrain.train.checkpoint import CheckpointError
from tinytrain.train.host import on_host
from tinytrain.train.nested_state import pack, unpack
from tinytrain.train.random_state import capture_random, generators_of, restore_random
from tinytrain.train.run import Run
from tinytrain.train.run_checks import check_architecture, check_state
from tinytrain.train.run_settings import acting, differences
from tinytrain.train.say import say


def capture(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return copies of a run's arrays, in host memory, and of the rest of its state.

    Parameters, buffers, optimizer, schedule, what the next log record covers, callbacks, every
    random generator (see `random_state`), the position in the data, the number of steps, the
    settings and the configuration.
    """
    arrays: dict[str, Any] = {}
    parts = {**capture_parts(run), "windows": run.windows.state_dict()}
    parts["validation"] = validation_state(run)
    state = {
        **{name: pack(part, name, arrays) for name, part in _on_host(parts).items()},
        "step": run.step,
        "last_loss": run.last_loss,
        "architecture": repr(run.model),
        "settings": run.settings,
        "config": run.config,
    }
    return arrays, state


def capture_evaluated(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `capture` does, with the weights that are evaluated as the model's.

    Where callbacks evaluate others than those that are trained, such as a moving average, the
    latter are kept beside them, as ``trained``.
    """
    arrays, state = capture(run)
    with run.callbacks.during_evaluation(run):
        evaluated = _on_host(run.model.state_dict())
        evaluated = {name: value.copy() for name, value in evaluated.items()}
    trained = _on_host(run.model.state_dict())
    if any((evaluated[name] != value).any() for name, value in trained.items()):
        state["trained"] = pack(trained, "trained", arrays)
        for name, value in evaluated.items():
            arrays[f"model/{name}"] = value
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
    run.model.load_state_dict(parts.get("trained", parts["model"]))
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
    """Put back what `capture` took out, all of it or nothing.

    Parameters
    ----------
    run : Run
        Made of the same model, optimizer, schedule and loader.
    path : Path
        Where the state came from, for messages.
    arrays, state : mapping
        What `capture` returned.

    Raises
    ------
    CheckpointError
        The state is of another model, optimizer, schedule or loader, or makes no sense. The run is
        as before then.
    """
    before = capture_parts(run)
    if missing := [name for name in (*before, "windows", "step") if name not in state]:
        raise CheckpointError(f"{path} is no checkpoint of a run: it has no {', '.join(missing)}")
    names = [name for name in (*before, "windows", "trained") if name in state]
    try:
        parts = unpack({name: state[name] for name in names}, arrays)
        check_state(run, state, parts)
        validation = unpack(state.get("validation"), arrays)
        restore_parts(run, parts)
        check_architecture(repr(run.model), state["architecture"])
        run.windows.load_state_dict(parts["windows"])  # last: it cannot be undone
    except Exception as error:  # whatever a part of the run, also one of the user's, makes of it
        restore_parts(run, before)
        raise CheckpointError(f"{path} does not fit this run: {error}") from error
    run.step, run.last_loss = int(state["step"]), state.get("last_loss")
    _restore_validation(run, validation)
    _tell(run, state)


# ---------------------------------------------------------------- the validation data


def validation_state(run: Run) -> Any:
    """Return where the validation loader is, None where it cannot tell."""
    loader: Any = run.validation_loader
    if loader is run.windows.loader or not hasattr(loader, "load_state_dict"):
        return None
    try:
        return loader.state_dict()
    except ValueError:  # its order cannot be repeated
        return None


def set_validation_state(run: Run, state: Any) -> None:
    """Put the validation loader back to where `validation_state` found it."""
    loader: Any = run.validation_loader
    if state is not None and hasattr(loader, "load_state_dict"):
        loader.load_state_dict(state)


def _restore_validation(run: Run, state: Any) -> None:
    """Go on with the validation data, or from their start where they are others by now."""
    try:
        set_validation_state(run, state)
    except Exception as error:  # of any loader
        say(f"the validation loader begins anew: {error}")


# ---------------------------------------------------------------- saying what is different


def _tell(run: Run, state: Mapping[str, Any]) -> None:
    settings = state.get("settings", {})
    _tell_callbacks(run.callbacks.state_dict(), state["callbacks"])
    for line in differences(run.settings, settings):
        say(line)
    if run.max_steps < run.step:
        say(f"max_steps={run.max_steps} is below the checkpoint's step {run.step}: nothing is left")
    run.settings = acting(run.settings, settings) if settings else run.settings
    _tell_configuration(run.config, state.get("config", {}))
    _tell_of_short_schedule(run)


def _tell_callbacks(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Say which callbacks' states are lost, and which callbacks begin anew."""
    if lost := sorted(there.keys() - here.keys()):
        say(f"this run lacks callbacks that the checkpoint has a state of: {', '.join(lost)}")
    if new := sorted(here.keys() - there.keys()):
        say(f"callbacks that the checkpoint has no state of begin anew: {', '.join(new)}")


def _tell_of_short_schedule(run: Run) -> None:
    """Say so where a run goes on for longer than the learning rate was planned for."""
    total = getattr(run.schedule, "total_steps", None)
    if total is not None and total < run.max_steps:
        say(
            f"the saved schedule ends at step {total} of {run.max_steps}: from there on the "
            "learning rate stays what it is then"
        )


def _tell_configuration(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Say which values of the configuration were changed; the state is not changed by that."""
    if not (here and there):
        return
    changed = [
        f"{name} {here.get(name)} (was {there.get(name)})"
        for name in sorted({*here, *there} - {"out", "resume"})
        if here.get(name) != there.get(name)
    ]
    if changed:
        say(
            f"settings that differ from the checkpoint's: {', '.join(changed)}. The optimizer and "
            "the schedule go on with those of the checkpoint."
        )


def _on_host(state: Any) -> Any:
    """Bring the tensors and arrays of a nested state to host memory."""
    if isinstance(state, Mapping):
        return {key: _on_host(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_on_host(value) for value in state]
    return on_host(state) if isinstance(state, Tensor) or hasattr(state, "shape") else state
