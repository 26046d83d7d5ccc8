"""All checks of one sampler by one call."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytrain.testing.errors import CheckError, Step, name_of, run_steps
from tinytrain.testing.global_state import changes, restored
from tinytrain.testing.random_effects import random_effects

SEEDS = (1, 2)
EPOCHS = 3
MANY_EPOCHS = 10
STATE = "state_dict() must hold, as plain values, all that load_state_dict(state) reads"
REMEDY = "make(seed) must return a sampler with __iter__; see tinytrain.data.Sampler"


def check_sampler(
    make: Callable[[int], Any],
    length: int,
    *,
    shuffled: bool = True,
    covers: bool = True,
    spread: float = 0.03,
) -> list[str]:
    """Check everything that a sampler has to get right, and say in words what it got wrong.

    Its length; integers within the data set, each once in each of ten epochs; the same order for
    the same seed, another one in every epoch and for another seed, and not the old one turned
    round; two epochs that run at once; nothing global touched but by draws from tinytrain's default
    generator; and a state from which the next epoch is repeated.

    Parameters
    ----------
    make : callable
        Takes a seed and returns a new sampler of indices, or of lists of them.
    length : int
        The number of items in the data set.
    shuffled : bool
        Whether epochs differ. Otherwise all epochs, and all seeds, must give the same.
    covers : bool
        Whether an epoch has every index exactly once.
    spread : float
        The half of the indices that moves most from one epoch to the next moves at least this
        share of `length`: a quarter and more after a full shuffle, 0 where a few items change
        places. Looked at where epochs are shuffled and cover everything; 0 to let all pass.

    Returns
    -------
    list of str
        The names of the checks made.

    Raises
    ------
    CheckError
        An objection: what was found and expected, and what to do.
    TypeError
        `make` is no function.
    ValueError
        `length` is too small for shuffling to show.

    Examples
    --------
    >>> from tinytrain.data import RandomSampler
    >>> check_sampler(lambda seed: RandomSampler(range(20), generator=seed), 20)
    ['length', 'indices', 'cover', 'repeatable', 'epochs', 'spread', 'two at once', 'global state',
    'state']
    """
    if not callable(make):
        raise TypeError(
            "check_sampler takes a function from a seed to a sampler, got a "
            f"{type(make).__name__}; write lambda seed: ..."
        )
    if length < 10:
        raise ValueError(f"check_sampler needs a data set of at least 10 items, got {length}")
    steps: list[Step] = [
        ("length", lambda: _check_length(make), REMEDY),
        ("indices", lambda: _check_indices(make, length), REMEDY),
    ]
    if covers:
        steps.append(("cover", lambda: _check_cover(make, length), REMEDY))
    steps += [
        ("repeatable", lambda: _check_repeatable(make), REMEDY),
        ("epochs", lambda: _check_epochs(make, shuffled), REMEDY),
    ]
    if covers and shuffled:
        steps.append(("spread", lambda: _check_spread(make, length, spread), REMEDY))
    steps += [
        ("two at once", lambda: _check_two_at_once(make, length, covers), REMEDY),
        ("global state", lambda: _check_global_state(make), REMEDY),
        ("state", lambda: _check_state(make, shuffled), STATE),
    ]
    with restored():
        return run_steps(name_of(type(make(SEEDS[0]))), steps)


def _epochs(sampler: Any, count: int = EPOCHS) -> list[list[Any]]:
    return [list(sampler) for _ in range(count)]


def _flat(epoch: Sequence[Any]) -> list[Any]:
    """List the indices of an epoch, of batches too."""
    return [i for item in epoch for i in (item if isinstance(item, list | tuple) else [item])]


def _check_length(make: Callable[[int], Any]) -> None:
    sampler = make(SEEDS[0])
    for number, epoch in enumerate(_epochs(sampler)):
        if not epoch:
            raise CheckError(
                f"epoch {number} is empty; every call of __iter__ must start a new epoch"
            )
        if hasattr(sampler, "__len__") and len(sampler) != len(epoch):
            raise CheckError(
                f"len(sampler) is {len(sampler)}, but epoch {number} has {len(epoch)} items; "
                "__len__ must count what __iter__ gives (or leave it out)"
            )


def _check_indices(make: Callable[[int], Any], length: int) -> None:
    for number, epoch in enumerate(_epochs(make(SEEDS[0]))):
        for index in _flat(epoch):
            if isinstance(index, bool | np.bool_) or not isinstance(index, int | np.integer):
                raise CheckError(
                    f"epoch {number} has the index {index!r} of type {type(index).__name__}; "
                    "give Python integers (array.tolist())"
                )
            if not 0 <= index < length:
                raise CheckError(
                    f"epoch {number} has the index {index}, outside 0 to {length - 1}; a data set "
                    "would raise, or count from its end"
                )


def _check_cover(make: Callable[[int], Any], length: int) -> None:
    for number, epoch in enumerate(_epochs(make(SEEDS[0]), MANY_EPOCHS)):
        counts = np.bincount(_flat(epoch), minlength=length)
        wrong = np.flatnonzero(counts != 1)
        if len(wrong):
            raise CheckError(
                f"epoch {number} has index {wrong[0]} {counts[wrong[0]]} times, expected once "
                f"({len(wrong)} of {length} are wrong); say covers=False if that is meant"
            )


def _check_repeatable(make: Callable[[int], Any]) -> None:
    for seed in SEEDS:
        first, second = _epochs(make(seed)), _epochs(make(seed))
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            if one != other:
                raise CheckError(
                    f"two samplers of seed {seed} differ in epoch {number}, {_show(one)} and "
                    f"{_show(other)}; draw from a tt.Generator(seed) of your own, and from "
                    "nothing shared"
                )


def _check_epochs(make: Callable[[int], Any], shuffled: bool) -> None:
    first, *others = _epochs(make(SEEDS[0]))
    for number, epoch in enumerate(others, start=1):
        if shuffled and epoch == first:
            raise CheckError(
                f"epoch {number} has the order of epoch 0, {_show(epoch)}; go on drawing from the "
                "same generator in every epoch, or say shuffled=False"
            )
        if not shuffled and epoch != first:
            raise CheckError(f"epoch {number} differs from epoch 0; say shuffled=True if meant")
    same = _epochs(make(SEEDS[1]))[0] == first
    if same == shuffled:
        raise CheckError(
            f"seeds {SEEDS[0]} and {SEEDS[1]} give {'the same order' if same else 'other orders'}; "
            f"{'use the seed' if same else 'say shuffled=True if meant'}"
        )


def _check_spread(make: Callable[[int], Any], length: int, spread: float) -> None:
    """Compare where each index stands in one epoch and in the next."""
    places = [np.argsort(_flat(epoch)) for epoch in _epochs(make(SEEDS[0]), MANY_EPOCHS)]
    steps = np.diff(places, axis=0)
    if spread and (steps % length == steps[:, :1] % length).all():
        raise CheckError(
            "every epoch is the one before turned round: each index moves by the same number of "
            f"places, and keeps its neighbours (epoch 1: by {int(steps[0, 0] % length)} of "
            f"{length}); draw a new permutation in every epoch, or give spread=0 if that is meant"
        )
    moves = np.abs(steps)
    median = float(np.median(moves))
    if median < spread * length:
        raise CheckError(
            f"from one epoch to the next half of the {length} indices move by no more than "
            f"{median:g} places ({float((moves == 0).mean()):.0%} stay), and after a full shuffle "
            f"by some {0.3 * length:.0f}; draw a new permutation in every epoch, or give spread=0 "
            "if so little is meant"
        )


def _check_two_at_once(make: Callable[[int], Any], length: int, covers: bool) -> None:
    """Two epochs in step, as a loader for training and another one would walk them."""
    alone = [len(epoch) for epoch in _epochs(make(SEEDS[0]), 2)]
    sampler = make(SEEDS[0])
    open_ones = [iter(sampler), iter(sampler)]
    epochs: list[list[Any]] = [[], []]
    going = [0, 1]
    while going:
        for which in list(going):
            try:
                epochs[which].append(next(open_ones[which]))
            except StopIteration:
                going.remove(which)
    for which, epoch in enumerate(epochs):
        whole = sorted(_flat(epoch)) == list(range(length)) if covers else len(epoch) in alone
        if not whole:
            raise CheckError(
                f"of two iterators that were open at once, number {which} gave {len(epoch)} items, "
                f"{_show(epoch)}, and no whole epoch; every call of __iter__ must return an "
                "iterator of its own (a generator function does, `return self` does not)"
            )


def _check_global_state(make: Callable[[int], Any]) -> None:
    """Object to an epoch that touches NumPy's random state, or reseeds the default generator."""
    changed = changes(lambda: list(make(SEEDS[0])))
    if changed:
        raise CheckError(
            f"an epoch changed {changed[0]}, which belongs to the whole process; draw from a "
            "tt.Generator(seed) of your own, and restore what you change (with a block)"
        )
    effects = random_effects(lambda: list(make(SEEDS[0])))
    if effects.numpy:
        raise CheckError(
            "an epoch changed np.random's state, which belongs to the whole process; draw from a "
            "tt.Generator(seed) of your own"
        )
    if effects.reseeded:
        raise CheckError(
            "an epoch reseeded tinytrain's default generator (tt.manual_seed), from which weights "
            "and dropout are drawn; use a tt.Generator(seed) of your own"
        )


def _check_state(make: Callable[[int], Any], shuffled: bool) -> None:
    sampler = make(SEEDS[0])
    if not (hasattr(sampler, "state_dict") and hasattr(sampler, "load_state_dict")):
        if shuffled:
            raise CheckError(
                "epochs differ, but there is no state_dict() and load_state_dict(state): a loader "
                "could not resume; offer the generator's state"
            )
        return
    for epoch in range(EPOCHS):
        state = sampler.state_dict()
        if state is None:
            raise CheckError("state_dict() is None, though there is a seed; return the state")
        text = _as_json(state)
        expected = list(sampler)
        if _as_json(state) != text:
            raise CheckError(
                f"the state taken before epoch {epoch} changed while it ran; return copies"
            )
        other = make(SEEDS[1])
        given = json.loads(text)
        other.load_state_dict(given)
        found = list(other)
        if _as_json(given) != text:
            raise CheckError(
                "the dictionary given to load_state_dict changed; copy what is in it, for somebody "
                "else may load it too"
            )
        if found != expected:
            raise CheckError(
                f"after load_state_dict, epoch {epoch} is {_show(found)}, expected "
                f"{_show(expected)}; the state must hold all that decides the next epoch"
            )


def _as_json(state: Any) -> str:
    try:
        return json.dumps(state)
    except TypeError as error:
        raise CheckError(f"state_dict() is nothing for json: {error}; use plain values") from error


def _show(epoch: Sequence[Any]) -> str:
    return f"{epoch[:4]}..."
