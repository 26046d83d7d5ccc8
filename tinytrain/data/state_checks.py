"""Whether a state belongs to a loader: its form, and what tells one order from another."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tinytrain.data.number_sets import is_compact
from tinytrain.data.sampler import BatchSampler
from tinytrain.data.sampler_checks import sampler_settings
from tinytrain.generator import Generator

__all__ = ["check_readers", "check_state", "order_facts"]

_OF_THE_EPOCH = {"epoch", "epoch_begun", "batches_yielded", "ahead", "batches_per_epoch"}
_OF_THE_ORDER = {"order", "generator", "sampler", "seed", "base_seed", "skip"}
_OF_THE_STREAM = {"num_workers", "dataset"}
_KEYS = _OF_THE_EPOCH | _OF_THE_ORDER | _OF_THE_STREAM


_NEEDS_GENERATOR = (
    "the state is of a loader that was given a generator, but this one draws its seeds from the "
    "default generator, so that its next epochs would be others: give it generator=0 (any seed "
    "will do, because the state holds the place in the stream)"
)
_NEEDS_NONE = (
    "the state is of a loader that draws its seeds from the default generator, but this one was "
    "given a generator, so that its next epochs would be others: leave out generator= (and restore "
    "the default generator, too)"
)


def order_facts(
    dataset: Any,
    index_sampler: Any,
    batch_size: int | None,
    drop_last: bool,
    has_generator: bool,
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
    has_generator
        Whether the loader was given a generator; otherwise its seeds are those of the default one.

    Examples
    --------
    >>> from tinytrain.data import BatchSampler, SequentialSampler
    >>> sampler = BatchSampler(SequentialSampler(range(9)), 2, drop_last=False)
    >>> order_facts(range(9), sampler, 2, False, True)
    {'samples': 9, 'batch_size': 2, 'drop_last': False, 'sampler': 'SequentialSampler',
    'settings': {}, 'generator': 'given'}
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
    return {
        "samples": samples,
        "batch_size": batch_size,
        "drop_last": drop_last,
        "sampler": name,
        "settings": sampler_settings(index_sampler),
        "generator": "given" if has_generator else "default",
    }


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
    if state["batches_per_epoch"] != length:
        raise ValueError(
            f"the state is of a loader with {state['batches_per_epoch']} batches per epoch, but "
            f"this one has {length}"
        )
    _check_order(state["order"], facts)
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


def check_readers(state: dict[str, Any], readers: tuple[int, ...] | None) -> None:
    """Refuse another number of workers in the middle of an epoch of an iterable data set.

    Parameters
    ----------
    state
        A state of the right form.
    readers
        How many workers will read, and what other number would read the same; None for a map-style
        data set.

    Raises
    ------
    ValueError
        Which names the number, and says what to do.
    """
    noted = state["num_workers"]
    if noted is None:
        return
    if readers is None:
        raise ValueError(
            f"the state is of an iterable data set, read with num_workers={noted}, and this loader "
            "has a map-style one"
        )
    if state["epoch_begun"] and noted not in readers:
        raise ValueError(
            "the state is from the middle of an epoch of an iterable data set that was read with "
            f"num_workers={noted}, and not with num_workers={readers[0]}. Those would "
            "read other parts of it, so that samples are lost and others come twice: "
            f"resume with num_workers={noted}, or begin the next epoch, without this state or with "
            "one that was saved after the end of an epoch"
        )


def _check_order(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    if set(theirs) != set(ours) or not isinstance(theirs["settings"], dict):
        raise ValueError(
            f"not the state of a DataLoader: order must have the keys {sorted(ours)} (and settings "
            f"be a dictionary), but is {theirs!r}"
        )
    their, our = _flat(theirs), _flat(ours)
    different = [name for name in {**our, **their} if their.get(name) != our.get(name)]
    if "sampler" in different:  # then its settings are others anyway
        different = [name for name in different if not name.startswith("sampler.")]
    if different == ["generator"]:
        raise ValueError(_NEEDS_GENERATOR if their["generator"] == "given" else _NEEDS_NONE)
    if different:
        raise ValueError(
            "the state is of a loader with another order: it has "
            + ", ".join(f"{name}={their.get(name)!r}" for name in different)
            + ", but this one "
            + ", ".join(f"{name}={our.get(name)!r}" for name in different)
        )


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts with the sampler's settings among them; as from a file, where tuples are lists."""
    flat: dict[str, Any] = json.loads(json.dumps(facts))
    settings = flat.pop("settings")
    return {**flat, **{f"sampler.{name}": value for name, value in settings.items()}}


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
    if state["generator"] is not None:
        Generator.check_state(state["generator"])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list_of_parts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_compact, value))


def _is_list_of_skips(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_skip, value))


def _is_skip(value: Any) -> bool:
    """Whether it is the number of an epoch and a part: a run of three numbers, or a text."""
    if not isinstance(value, list | tuple) or len(value) < 2 or not _is_count(value[0]):
        return False
    part = list(value[1:])
    return is_compact(part[0] if len(part) == 1 else part)


_A_COUNT = (_is_count, "an integer >= 0")
_A_COUNT_OR_NONE = (lambda value: value is None or _is_count(value), "an integer >= 0, or None")
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epoch": _A_COUNT,
    "epoch_begun": (lambda value: isinstance(value, bool), "True or False"),
    "batches_yielded": _A_COUNT,
    "ahead": (_is_list_of_parts, "a list of [first, stop, step] and texts"),
    "skip": (_is_list_of_skips, "a list of [epoch, first, stop, step] and [epoch, text]"),
    "seed": _A_COUNT_OR_NONE,
    "base_seed": _A_COUNT_OR_NONE,
    "num_workers": _A_COUNT_OR_NONE,
    "order": (lambda value: isinstance(value, dict), "a dictionary"),
    "sampler": (lambda value: isinstance(value, dict), "a dictionary"),
    "generator": (lambda value: value is None or isinstance(value, dict), "a dictionary or None"),
}
