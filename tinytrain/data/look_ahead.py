"""The next epochs of a loader, found out with a copy of it: nothing that it does is changed."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytrain.data.dataset import IterableDataset
from tinytrain.generator import default_generator

__all__ = ["Epoch", "first_batches", "upcoming_epochs"]

Epoch = list[list[Any]]
"""A list of batches, each a list of indices."""

_ALIVE = ("_pool", "_staging")  # what a loader has running, and a copy has not


def upcoming_epochs(loader: Any, count: int) -> list[Epoch] | None:
    """Return the batches of indices of a loader's next epochs, which it does not notice.

    Returns
    -------
    list of epochs, or None
        An epoch is a list of batches, a batch a list of indices. None for an iterable data set,
        which has none.

    Examples
    --------
    >>> from tinytrain.data import DataLoader
    >>> loader = DataLoader(range(6), batch_size=2, shuffle=True, generator=0)
    >>> upcoming_epochs(loader, 1), [batch.tolist() for batch in loader]
    ([[[5, 1], [0, 3], [2, 4]]], [[5, 1], [0, 3], [2, 4]])
    """
    if isinstance(loader.dataset, IterableDataset):
        return None
    with _random_state_kept(loader.dataset):
        indices = _copied(loader, dataset=_Indices(loader.dataset), collate_fn=_as_list)
        return [list(indices) for _ in range(count)]


def first_batches(loader: Any, count: int) -> tuple[list[Any], float]:
    """Return the first batches of a loader's next epoch, and the seconds they took.

    They are fetched in this process, whatever the number of workers; an iterable data set is read
    through a shallow copy, so that its attributes stay what they are.

    Examples
    --------
    >>> from tinytrain.data import DataLoader
    >>> loader = DataLoader(range(6), batch_size=2, shuffle=True, generator=0)
    >>> first_batches(loader, 1)[0], next(iter(loader))
    ([array([5, 1])], array([5, 1]))
    """
    if not count:
        return [], 0.0
    dataset = loader.dataset
    with _random_state_kept(dataset):
        iterable = isinstance(dataset, IterableDataset)
        batches = iter(_copied(loader, dataset=copy.copy(dataset) if iterable else dataset))
        start = time.perf_counter()
        fetched = [batch for _, batch in zip(range(count), batches, strict=False)]
        return fetched, time.perf_counter() - start


class _Indices:
    """Stands for a data set of which sample i is i."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        return index


def _as_list(index: Any) -> list[Any]:
    return index if isinstance(index, list) else [index]


def _copied(loader: Any, **instead: Any) -> Any:
    """Copy a loader with its samplers and generators, but not its data, and without workers."""
    changes: dict[str, Any] = {"num_workers": 0, "persistent_workers": False, "timeout": 0}
    changes |= {"pin_memory": False} | dict.fromkeys(_ALIVE) | instead
    # Named in the memo, an object is taken for its own copy. One memo for all attributes: a
    # generator that two of them share is one again in the copy.
    memo = {id(value): value for value in (loader.dataset, loader.collate_fn)}
    try:
        state = {
            name: changes[name] if name in changes else copy.deepcopy(value, memo)
            for name, value in vars(loader).items()
        }
    except TypeError as error:
        raise TypeError(
            f"explain works with copies of a loader's samplers, and one cannot be copied: {error}"
        ) from error
    clone = copy.copy(loader)
    vars(clone).update(state)
    return clone


@contextmanager
def _random_state_kept(dataset: Any) -> Iterator[None]:
    """Put back, after the block, every random state that fetching may have moved on."""
    own = [value for value in getattr(dataset, "__dict__", {}).values() if _is_random(value)]
    before = [copy.deepcopy(value.bit_generator.state) for value in own]
    default, python = default_generator().get_state(), random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        for value, state in zip(own, before, strict=True):
            value.bit_generator.state = state
        default_generator().set_state(default)
        np.random.set_state(numpy)  # noqa: NPY002
        random.setstate(python)


def _is_random(value: object) -> bool:
    return isinstance(value, np.random.Generator)
