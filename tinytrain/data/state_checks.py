"""Whether a state belongs to a loader: its form, and what tells one order from another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytrain.data.sampler import BatchSampler

__all__ = ["check_state", "order_facts"]

_OF_THE_EPOCH = {"epoch", "epoch_begun", "batches_yielded", "ahead", "batches_per_epoch"}
_OF_THE_ORDER = {"order", "generator", "sampler", "seed", "base_seed", "skip", "dataset"}
_KEYS = _OF_THE_EPOCH | _OF_THE_ORDER


def order_facts(
    dataset: Any, index_sampler: Any, batch_size: int | None, drop_last: bool
) -> dict[str, Any]:
    """What a state keeps of the loader's arguments, to be compared before it is restored.

    Parameters
    ----------
    dataset
        The data set; only its length is taken, if it has one.
    index_sampler
        What gives the indices of a batch (or of a sample): None for an iterable data set.
    batch_size, drop_last
        As the loader has them. Those of a batch sampler are taken where it says them.

    Examples
    --------
    >>> from tinytrain.data import BatchSampler, SequentialSampler
    >>> sampler = BatchSampler(SequentialSampler(range(9)), 2, drop_last=False)
    >>> order_facts(range(9), sampler, 2, False)
    {'samples': 9, 'batch_size': 2, 'drop_last': False, 'sampler': 'SequentialSampler'}
    """
    if batch_size is None and index_sampler is not None:
        size = getattr(index_sampler, "batch_size", None)
        batch_size = size if isinstance(size, int) else None
        drop_last = getattr(index_sampler, "drop_last", drop_last) is True
    while type(index_sampler) is BatchSampler:
        index_sampler = index_sampler.sampler
    try:
        samples = len(dataset)
    except (TypeError, NotImplementedError):  # it need not have a length
        samples = None
    name = None if index_sampler is None else type(index_sampler).__name__
    return {"samples": samples, "batch_size": batch_size, "drop_last": drop_last, "sampler": name}


def check_state(
    state: Any, facts: dict[str, Any], length: int | None, needs_generator: bool | None
) -> None:
    """Refuse what is no state, or one of another loader.

    Parameters
    ----------
    state
        What was given to be restored.
    facts
        The `order_facts` of the loader.
    length
        The batches of an epoch of the loader; None if it is not known.
    needs_generator
        Whether the state must hold that of a generator; None if that depends on whether the
        epoch has begun.

    Raises
    ------
    ValueError
        Which names what is wrong, or both values where the loaders differ.
    """
    _check_form(state)
    theirs = state["order"]
    if state["batches_per_epoch"] != length:
        raise ValueError(
            f"the state is of a loader with {state['batches_per_epoch']} batches per epoch, but "
            f"this one has {length}"
        )
    different = [name for name in facts if theirs.get(name) != facts[name]]
    if different or set(theirs) != set(facts):
        raise ValueError(
            "the state is of a loader with another order: it has "
            + ", ".join(f"{name}={theirs.get(name)!r}" for name in different)
            + ", but this one "
            + ", ".join(f"{name}={facts[name]!r}" for name in different)
        )
    needs = state["epoch_begun"] if needs_generator is None else needs_generator
    if needs != (state["generator"] is not None):
        raise ValueError(
            "the state is of a loader with another order: only one of the two shuffles or has a "
            "generator"
        )
    if length is not None and state["batches_yielded"] > length:
        raise ValueError(
            f"batches_yielded={state['batches_yielded']} in the state is more than the {length} "
            "batches of an epoch"
        )


def _check_form(state: Any) -> None:
    if not isinstance(state, dict) or set(state) != _KEYS:
        raise ValueError(
            f"not the state of a DataLoader: expected the keys {sorted(_KEYS)}, but got "
            f"{sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__}"
        )
    for name, (is_right, expected) in _FORMS.items():
        if not is_right(state[name]):
            raise ValueError(
                f"not the state of a DataLoader: {name} must be {expected}, but is {state[name]!r}"
            )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_run(run: object, size: int) -> bool:
    """Whether it is [first, stop, step], with the number of an epoch before them if size is 4."""
    if not isinstance(run, list | tuple) or len(run) != size:
        return False
    return all(map(_is_count, run)) and run[-3] < run[-2] and run[-1] > 0


def _is_runs_of(size: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(_is_run(run, size) for run in value)


_A_COUNT = (_is_count, "an integer >= 0")
_A_COUNT_OR_NONE = (lambda value: value is None or _is_count(value), "an integer >= 0, or None")
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epoch": _A_COUNT,
    "epoch_begun": (lambda value: isinstance(value, bool), "True or False"),
    "batches_yielded": _A_COUNT,
    "ahead": (_is_runs_of(3), "a list of [first, stop, step]"),
    "skip": (_is_runs_of(4), "a list of [epoch, first, stop, step]"),
    "seed": _A_COUNT_OR_NONE,
    "base_seed": _A_COUNT_OR_NONE,
    "order": (lambda value: isinstance(value, dict), "a dictionary"),
    "generator": (lambda value: value is None or isinstance(value, dict), "a dictionary or None"),
}
