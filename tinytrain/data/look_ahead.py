"""The next epochs of a loader, found out with a copy of it: nothing that it does is changed."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from tinytrain.data.dataset import IterableDataset
from tinytrain.data.loader_state import Progress
from tinytrain.data.random_states import random_states_kept

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
    with random_states_kept():
        progress = _copied(loader)._progress
        return [_next_epoch(progress, loader.batch_sampler is not None) for _ in range(count)]


def _next_epoch(progress: Progress, is_batched: bool) -> Epoch:
    under_way, indices = progress.begin(in_order=True)
    batches = [_batch(task, is_batched) for _, task in under_way.tasks(indices)]
    progress.end(under_way)
    return batches


def first_batches(loader: Any, count: int) -> tuple[list[Any], float]:
    """Return the first batches of a loader's next epoch, and the seconds of fetching them.

    That is the time for samples and collating; the drawing of the order does not count.
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
    with random_states_kept(dataset, loader.collate_fn):
        iterable = isinstance(dataset, IterableDataset)
        clone = _copied(loader, dataset=copy.copy(dataset) if iterable else dataset)
        if iterable:
            clone._progress.let_anyone_read()
        batches = iter(clone)
        source = batches._source
        watch = source.fetch = _Stopwatch(source.fetch)
        fetched = [batch for _, batch in zip(range(count), batches, strict=False)]
        return fetched, watch.seconds


class _Stopwatch:
    """A function that notes how long its calls take."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.perf_counter() - start


def _batch(indices: Any, is_batch: bool) -> list[Any]:
    return list(indices) if is_batch or isinstance(indices, list) else [indices]


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
