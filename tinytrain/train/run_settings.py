"""The settings of a run that act on it: kept in checkpoints, and compared when it is resumed."""

from collections.abc import Mapping
from typing import Any

from tinytrain.optim.lr_scheduler import LRScheduler
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.run import Run
from tinytrain.train.windows import length_of

FROM_CHECKPOINT = ("optimizer", "schedule")
"""The settings that begin so are a part of the state: on resuming, those of the checkpoint act."""

_POSITION = ("last_epoch", "_last_lr", "_step_count", "last_lr")


def record_settings(run: Run, **given: Any) -> dict[str, Any]:
    """Return the settings of a run that has not begun, by readable names.

    Parameters
    ----------
    run : Run
    **given
        What the trainer was given and does not keep as it is.
    """
    settings: dict[str, Any] = {
        "max_steps": run.max_steps,
        "last_window": run.windows.last_window,
        "eval_every": run.eval_every,
        "log_every": run.log_every,
        "save_every": run.save_every,
        **given,
        "loss_function": _name_of(run.loss_function),
        **_of_optimizer(run.optimizer),
        **_of_schedule(run.schedule),
        **_of_loader("train_loader", run.windows.loader),
        **_of_loader("validation_loader", run.validation_loader),
    }
    for name, own in run.callbacks.settings().items():
        settings |= {f"{name} {part}": value for part, value in own.items()}
    return {name: _plain(value) for name, value in settings.items()}


def _of_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    found: dict[str, Any] = {"optimizer": type(optimizer).__name__}
    for number, group in enumerate(optimizer.param_groups):
        values = {name: value for name, value in group.items() if name != "params"}
        values["lr"] = values.pop("initial_lr", values.get("lr"))  # a schedule has moved the other
        where = f"optimizer group {number}" if len(optimizer.param_groups) > 1 else "optimizer"
        found |= {f"{where} {name}": value for name, value in values.items()}
    return found


def _of_schedule(schedule: LRScheduler | None) -> dict[str, Any]:
    if schedule is None:
        return {"schedule": None}
    state = {name: value for name, value in schedule.state_dict().items() if name not in _POSITION}
    own = {f"schedule {name}": value for name, value in state.items()}
    return {"schedule": type(schedule).__name__, **own}


def _of_loader(name: str, loader: Any) -> dict[str, Any]:
    if loader is None:
        return {name: None}
    found: dict[str, Any] = {name: type(loader).__name__, f"{name} batches": length_of(loader)}
    for part in ("batch_size", "drop_last"):
        if hasattr(loader, part):
            found[f"{name} {part}"] = getattr(loader, part)
    for part in ("sampler", "batch_sampler", "dataset", "collate_fn"):
        if hasattr(loader, part):
            found[f"{name} {part}"] = _name_of(getattr(loader, part))
    return found


def _name_of(value: Any) -> str:
    return str(getattr(value, "__qualname__", type(value).__name__))


def _plain(value: Any) -> Any:
    """Return what JSON keeps as it is; of anything else, its name."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no infinity
    return value if value is None or isinstance(value, bool | int | str) else _name_of(value)


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Say, a line each, which settings are others than the checkpoint's, and which of both act.

    Examples
    --------
    >>> differences({"clip_grad_norm": 0.5, "optimizer lr": 0.1}, {"clip_grad_norm": 1.0})
    ['clip_grad_norm is 0.5, and was 1.0 in the checkpoint: 0.5 acts']
    """
    lines = []
    for name in sorted(here.keys() & there.keys()):
        own, saved = here[name], there[name]
        if own != saved:
            acting = saved if name.startswith(FROM_CHECKPOINT) else own
            lines.append(f"{name} is {own}, and was {saved} in the checkpoint: {acting} acts")
    return lines


def acting(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that act after resuming: those of the run, and some of the checkpoint."""
    kept = {name: value for name, value in there.items() if name.startswith(FROM_CHECKPOINT)}
    own = {name: value for name, value in here.items() if not name.startswith(FROM_CHECKPOINT)}
    return {**own, **kept}


def check_classes(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Raise a ValueError where a state is of another kind of optimizer or schedule."""
    for name in FROM_CHECKPOINT:
        if there.get(name, here.get(name)) != here.get(name):
            raise ValueError(f"its {name} is {there[name]}, this run has {here.get(name)}")
