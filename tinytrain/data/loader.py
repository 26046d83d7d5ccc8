"""The loader: batches of a data set, in an order that can be repeated and resumed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence, Sized
from multiprocessing.context import BaseContext
from typing import Any, cast

from numpy.typing import ArrayLike

from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.dataset import Dataset, IterableDataset
from tinytrain.data.epoch import Epoch
from tinytrain.data.epoch_source import open_source, readers_of, worker_settings
from tinytrain.data.explanation import LoaderReport, explain
from tinytrain.data.loader_iterator import ExcessWarning, LoaderIterator
from tinytrain.data.loader_options import (
    check_batching,
    check_iterable,
    check_workers,
    checked_context,
    checked_prefetch_factor,
    warn_about_workers,
)
from tinytrain.data.loader_state import Progress
from tinytrain.data.pinned import Staging
from tinytrain.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from tinytrain.data.state_checks import order_facts
from tinytrain.data.workers import WorkerPool
from tinytrain.generator import Generator, as_generator

__all__ = ["DataLoader"]

_FIXED = (
    "batch_size",
    "batch_sampler",
    "sampler",
    "drop_last",
    "dataset",
    "persistent_workers",
    "generator",
)


class DataLoader:
    """Iterates over a data set in batches; every ``iter(loader)`` begins a new epoch.

    Arguments, checks and order are those of PyTorch's loader of the same name. An epoch that
    shuffles visits the samples in PyTorch's order, for a generator of the same seed (and for
    the default generators after `manual_seed` with the same seed).

    Parameters
    ----------
    dataset
        Anything with ``dataset[i]`` and a length; with ``__getitems__`` too (or, for batches,
        instead), a batch is fetched with one call of it. Or an `IterableDataset`, whose samples
        are taken as they come.
    batch_size
        Samples per batch, an ``int`` (no NumPy integer, as in PyTorch). None turns batching off:
        each item is a single sample, converted by `default_convert`.
    shuffle
        Whether to visit the samples in a new random order in every epoch.
    sampler
        An iterable of indices, instead of `shuffle`.
    batch_sampler
        An iterable of lists of indices, instead of `batch_size`, `shuffle`, `sampler` and
        `drop_last`.
    num_workers
        The number of processes that fetch batches; 0 fetches in this one. What `sample_rng` gives
        and, over whole epochs, the order are the same for any number. After an epoch that was
        broken off the next one may have another order than without workers: see the notes.
    collate_fn
        A function that makes a batch of a list of samples; `default_collate` by default.
    pin_memory
        Whether batches are staged for the GPU (see `tinytrain.data.pinned`).
    drop_last
        Whether to leave out a last batch that is smaller.
    timeout
        How many seconds to wait for a batch of a worker; 0 waits for ever. The start of the
        workers does not count, their `worker_init_fn` does.
    worker_init_fn
        Called with the number of the worker in each worker, before its first batch.
    multiprocessing_context
        How workers are started: a start method's name, a context of `multiprocessing`, or None
        to choose a safe one.
    generator
        A generator, or a seed for a new one. As in PyTorch it moves on by one draw at the start
        of every epoch, shuffled or not. With None, a shuffled epoch draws the seed of its order
        from the default generator of the process; a loader that does not shuffle draws nothing,
        so that a pass over a validation set changes no random number elsewhere.
    prefetch_factor
        How many batches each worker fetches ahead; 2 by default.
    persistent_workers
        Whether the workers, and their copies of the data set, live on after an epoch. The order
        is the same with and without, at the same number of workers, after a ``break`` too. (In
        PyTorch it is another from the second epoch on.)
    pin_memory_device
        Deprecated, as in PyTorch: the chosen device is the one.
    in_order
        Whether batches come in the order of the sampler, or else as soon as they are ready.

    Attributes
    ----------
    last_indices
        The indices of the batch handed out last: a list, or one index where batching is off. None
        before the first batch, and for an iterable data set, which has none.

    Raises
    ------
    TypeError
        If the data set is of no kind named above, or `generator` or the context is not one.
    ValueError
        If arguments exclude each other or are out of range, or a data set to be shuffled is
        empty.

    Notes
    -----
    **Random samples.** `tinytrain.data.sample_rng` gives the random numbers of a sample. They
    depend on a seed, the epoch and the index only. The seed is the first one of `generator`, or
    of the default generator of the process.

    **Breaking off.** Workers ask the sampler for up to ``num_workers * prefetch_factor`` batches
    ahead of those handed out. If the loop ends by a ``break``, the generator has moved on by what
    the sampler drew for them. A shuffled epoch is one draw at its first batch and one at its end
    (see `RandomSampler`). So the next epoch has the order that it would have without workers,
    unless workers had come to the end of the indices, because fewer than
    ``num_workers * prefetch_factor`` batches were left. Then the order is that of PyTorch with as
    many workers, and another one than with none. A sampler that draws while it goes, as
    `RandomSampler` with replacement does, shows it after any ``break``. A loop that is resumed
    from a `state_dict` is not concerned.

    **Threads.** One thread at a time may ask an iterator with workers for a batch: a second one
    gets an error that names both.

    **Resuming.** `state_dict` says where the loader is: the state of the generator at the start
    of the epoch and the number of batches handed out since. A new loader with the same
    arguments that loads it continues in the middle of the epoch, without fetching the samples
    that were handed out, and its further epochs are those of the first loader; the number of
    workers may be another. A `generator` given to the loader should serve nothing else, because
    resuming takes it back to the start of the epoch. With ``generator=None`` the epochs after
    the resumed one draw their seeds from the default generator: save and restore that as well. The
    state says which of the two it was, and is refused by a loader of the other kind.

    A sampler or batch sampler of your own is iterated again up to the position. So it must give
    the same indices in every epoch, or take its randomness from this loader's `generator`
    alone, or offer ``state_dict()`` and ``load_state_dict(state)`` (see
    `tinytrain.data.sampler`). An iterable data set is read again up to the position, unless it
    has these two methods and there are no workers. In the middle of an epoch it needs the same
    number of workers, since another number reads other parts; it is refused otherwise. (0 and 1
    are the same for a `ShardedIterableDataset` without the two methods.)

    Examples
    --------
    >>> loader = DataLoader(range(10), batch_size=4, shuffle=True, generator=0)
    >>> for batch in loader:
    ...     print(batch)
    ...     state = loader.state_dict()
    ...     break
    [3 7 5 2]
    >>> resumed = DataLoader(range(10), batch_size=4, shuffle=True, generator=0)
    >>> resumed.load_state_dict(state)
    >>> list(resumed)
    [array([0, 8, 1, 6]), array([9, 4])]
    """

    _initialized = False

    def __init__(
        self,
        dataset: Dataset[Any] | Sequence[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: BaseContext | str | None = None,
        generator: Generator | int | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self.prefetch_factor = checked_prefetch_factor(
            num_workers, timeout, prefetch_factor, persistent_workers
        )
        self.num_workers = num_workers
        self.multiprocessing_context = multiprocessing_context
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            check_iterable(shuffle, sampler, batch_sampler)
        check_batching(batch_size, shuffle, sampler, batch_sampler, drop_last)
        batches = batch_size is not None or batch_sampler is not None
        if not hasattr(dataset, "__getitem__") and not (
            batches and hasattr(dataset, "__getitems__")
        ):
            raise TypeError(
                "DataLoader needs a data set with __getitem__ (dataset[i] is sample i), or for "
                "batches __getitems__, or an IterableDataset, but got a "
                f"{type(dataset).__name__}"
            )
        self.generator = None if generator is None else as_generator(generator)
        # Without a generator every shuffled epoch gets a seed of its own from the default one.
        reseeds = bool(shuffle) and self.generator is None
        order = Generator() if reseeds else self.generator
        own_sampler = sampler is None and batch_sampler is None
        if batch_sampler is not None:
            batch_size = None
        if sampler is None and iterable:
            sampler = itertools.repeat(None)  # an iterable data set has no indices
        elif sampler is None and shuffle:
            sampler = RandomSampler(cast("Sized", dataset), generator=order)
        elif sampler is None:
            sampler = SequentialSampler(cast("Sized", dataset))
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        warn_about_workers(num_workers, dataset if iterable else None, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._iterable = iterable
        self._length_asked_for: int | None = None
        self.last_indices: Any = None
        self._progress = Progress(self._index_sampler, order, reseeds, own_sampler)
        self._staging: Staging | None = Staging(pin_memory, pin_memory_device)
        self._pool: WorkerPool | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: object) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """The context that starts the workers; None chooses one. It may be set by name."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: BaseContext | str | None) -> None:
        self._context = checked_context(context, self.num_workers)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Iterable[Any]:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        """The number of batches of an epoch (of samples, where batching is off).

        For an iterable data set it is made of ``len(dataset)``; batches that are skipped count.
        """
        length = self._count()
        if self._iterable:
            self._length_asked_for = len(cast("Sized", self.dataset))
        return length

    def _count(self) -> int:
        if not self._iterable:
            return len(cast("Sized", self._index_sampler))
        length = len(cast("Sized", self.dataset))
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)

    def __iter__(self) -> LoaderIterator:
        check_workers(self.num_workers, self.timeout, self.prefetch_factor)
        stage = None if self._staging is None else self._staging.begin_epoch()
        # The batches of an iterable data set have no numbers but those of their coming.
        in_order = self.in_order or self.num_workers == 0 or self._iterable
        epoch, indices = self._progress.begin(in_order, readers_of(self))
        excess = None
        if self._iterable and self._length_asked_for is not None:
            excess = ExcessWarning(self.dataset, self._length_asked_for, self.num_workers)
        source = open_source(self, epoch, indices)
        end, tell = self._progress.end, self._note_indices
        return LoaderIterator(source, epoch, end, self._length(), stage, excess, tell)

    def _note_indices(self, indices: Any) -> None:
        # A copy: a batch sampler may fill the same list again.
        self.last_indices = list(indices) if isinstance(indices, list) else indices

    def _workers_for(self, epoch: Epoch) -> WorkerPool:
        if self._pool is not None and not self._pool.closed:
            return self._pool
        pool = WorkerPool(worker_settings(self), epoch.base_seed)
        if self.persistent_workers:
            self._pool = pool
        return pool

    def skip(self, batches: Iterable[int], epoch: int | None = None) -> None:
        """Leave out some batches of an epoch, for example those that made the loss jump.

        They are not fetched (of an iterable data set: read, but not collated), and the batches
        after them keep their numbers. ``len(loader)`` still counts them. The choice is part of
        the state, until the epoch is over.

        Parameters
        ----------
        batches
            Numbers of batches, from 0 at the start of the epoch.
        epoch
            Which epoch, from 0 for the first of the loader; None for the one under way
            (resumed ones included), or the next one if none is.

        Raises
        ------
        ValueError
            If the epoch is over, or a number is negative, beyond the end of the epoch, or that
            of a batch handed out before.

        Examples
        --------
        >>> loader = DataLoader(range(8), batch_size=2)
        >>> loader.skip([1, 2])
        >>> list(loader), len(list(loader))
        ([array([0, 1]), array([6, 7])], 4)
        """
        self._progress.skip(batches, epoch, self._length())

    def explain(
        self,
        *,
        lengths: ArrayLike | None = None,
        padding_value: int | None = None,
        fetch: int = 1,
    ) -> LoaderReport:
        """Report what batches hold and how epochs are ordered: see `explanation.explain`."""
        return explain(self, lengths=lengths, padding_value=padding_value, fetch=fetch)

    def state_dict(self) -> dict[str, Any]:
        """The position of the loader, as a small dictionary that ``json`` can write.

        It takes 500 to 600 bytes. Batches to be skipped take 20 bytes more for every long run that
        is evenly spaced (for all of ``range(0, 100_000, 2)`` together), and 1.3 to 4 for each
        that is not: 40 of 100,000 fit into 1 KB, 300 take 700 bytes more, 1,000 take 1.7 KB more.
        What was handed out ahead with ``in_order=False`` is kept in the same way, at most
        ``prefetch_factor * num_workers`` gaps. A sampler's own state comes on top, and that of a
        generator whose `numpy` has been drawn from (7 KB).

        In the middle of an epoch (also after a ``break``) it counts the batches handed out, the
        present one included. Between epochs it stands for the start of the next one. If several
        iterators are alive, it is that of the epoch begun last.

        Raises
        ------
        ValueError
            If the order cannot be repeated: a random sampler without a generator.
        """
        of_dataset = None
        if self._iterable and self.num_workers == 0 and hasattr(self.dataset, "state_dict"):
            of_dataset = self.dataset.state_dict()
        return self._progress.state_dict(self._length(), self._order_facts(), of_dataset)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a loader with the same arguments: see the class's notes.

        The next ``iter(loader)`` gives the batches that were left. (None, if all had been handed
        out but the loop over them had not ended.)

        Raises
        ------
        ValueError
            If it is no state, or that of a loader with another number of batches or samples,
            another batch size or `drop_last`, another class of sampler or other settings of it
            (where it names them: see `tinytrain.data.sampler`), or with a generator where this one
            has none, or the other way round; or if the epoch of an iterable data set was under way
            with another number of workers. The data themselves are not compared.
        """
        self._progress.load_state_dict(state, self._length(), self._order_facts(), readers_of(self))

    def _order_facts(self) -> dict[str, Any]:
        index_sampler = None if self._iterable else self._index_sampler
        return order_facts(
            self.dataset,
            index_sampler,
            self.batch_size,
            self.drop_last,
            has_generator=self.generator is not None,
        )

    def _length(self) -> int | None:
        try:
            return self._count()
        except TypeError:  # a sampler or an iterable data set without a length
            return None
