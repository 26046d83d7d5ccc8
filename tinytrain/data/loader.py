"""The loader: batches of a data set, in an order that can be repeated and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.dataset import Dataset
from tinytrain.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    load_sampler_state,
    sampler_state,
)
from tinytrain.generator import Generator, as_generator, default_generator

__all__ = ["DataLoader"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "generator")
_END = object()


@dataclass
class _Epoch:
    """An epoch under way: the state its order began with, and the batches handed out."""

    order: dict[str, Any]
    batches: int


class DataLoader:
    """Iterates over a data set in batches; every ``iter(loader)`` begins a new epoch.

    Arguments, checks and order are those of PyTorch's loader of the same name. An epoch that
    shuffles visits the samples in PyTorch's order, for a generator of the same seed (and for
    the default generators after `manual_seed` with the same seed).

    Parameters
    ----------
    dataset
        Anything with ``dataset[i]`` and a length. If it has ``__getitems__``, a batch is
        fetched with one call of it.
    batch_size
        Samples per batch. None turns batching off: each item is a single sample, converted by
        `default_convert`.
    shuffle
        Whether to visit the samples in a new random order in every epoch.
    sampler
        An iterable of indices, instead of `shuffle`.
    batch_sampler
        An iterable of lists of indices, instead of `batch_size`, `shuffle`, `sampler` and
        `drop_last`.
    collate_fn
        A function that makes a batch of a list of samples; `default_collate` by default.
    drop_last
        Whether to leave out a last batch that is smaller.
    generator
        A generator, or a seed for a new one. As in PyTorch it moves on by one draw at the start
        of every epoch, shuffled or not. With None, a shuffled epoch draws the seed of its order
        from the default generator of the process; a loader that does not shuffle draws nothing,
        so that a pass over a validation set changes no random number elsewhere.

    Raises
    ------
    TypeError
        If the data set has no ``__getitem__``, or `generator` is not one.
    ValueError
        If arguments exclude each other, `batch_size` is not a positive ``int``, or a data set
        to be shuffled is empty.

    Notes
    -----
    **Resuming.** `state_dict` says where the loader is: the state of the generator at the start
    of the epoch and the number of batches handed out since. A new loader with the same
    arguments that loads it continues in the middle of the epoch, without fetching the samples
    that were handed out, and its further epochs are those of the first loader. A `generator`
    given to the loader should serve nothing else, because resuming takes it back to the start of
    the epoch. With ``generator=None`` the epochs after the resumed one draw their seeds from the
    default generator: save and restore that one as well.

    A sampler or batch sampler of your own is iterated again up to the position. So it must give
    the same indices in every epoch, or take its randomness from this loader's `generator`
    alone, or offer ``state_dict()`` and ``load_state_dict(state)`` (see
    `tinytrain.data.sampler`).

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
        *,
        collate_fn: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
        generator: Generator | int | None = None,
    ) -> None:
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "DataLoader needs a data set with __getitem__ (dataset[i] is sample i), "
                f"but got a {type(dataset).__name__}"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching "
                "and is mutually exclusive with drop_last"
            )
        self.generator = None if generator is None else as_generator(generator)
        # Without a generator every shuffled epoch gets a seed of its own from the default one.
        self._reseeds = bool(shuffle) and self.generator is None
        self._order = Generator() if self._reseeds else self.generator
        self._own_sampler = sampler is None and batch_sampler is None
        if sampler is None and shuffle:
            sampler = RandomSampler(dataset, generator=self._order)
        elif sampler is None:
            sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate

        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn
        self._epoch: _Epoch | None = None
        self._restored: dict[str, Any] | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: object) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _index_sampler(self) -> Iterable[Any]:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        """The number of batches of an epoch (of samples, where batching is off)."""
        return len(cast("Sized", self._index_sampler))

    def __iter__(self) -> Iterator[Any]:
        epoch = self._begin_epoch()
        self._epoch = epoch
        return self._batches(epoch)

    def _batches(self, epoch: _Epoch) -> Iterator[Any]:
        indices = iter(self._index_sampler)
        for position in range(epoch.batches):
            if next(indices, _END) is _END:
                raise ValueError(
                    f"cannot resume after batch {epoch.batches}: the sampler ended after "
                    f"{position}; is this the data set and sampler that the state is from?"
                )
        for index in indices:
            batch = self._fetch(index)
            epoch.batches += 1
            yield batch
        if self._epoch is epoch:
            self._epoch = None

    def _fetch(self, index: Any) -> Any:
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[index])
        fetch_together = getattr(self.dataset, "__getitems__", None)
        if not fetch_together:
            return self.collate_fn([self.dataset[one] for one in index])
        samples = fetch_together(index)
        if len(samples) != len(index):
            raise ValueError(
                f"{type(self.dataset).__name__}.__getitems__ must return one sample per index, "
                f"but returned {len(samples)} for {len(index)} indices"
            )
        return self.collate_fn(samples)

    def _begin_epoch(self) -> _Epoch:
        state, self._restored = self._restored, None
        if state is not None:
            self._set_order_state(state)
            if state["epoch_begun"]:
                order = {key: state[key] for key in ("generator", "sampler")}
                return _Epoch(order, state["batches_yielded"])
        # PyTorch's loader first draws a seed for its workers: without it the orders differ.
        if self._reseeds:
            default_generator().random_int64()
            cast("Generator", self._order).manual_seed(default_generator().random_int64())
        elif self._order is not None:
            self._order.random_int64()
        return _Epoch(self._order_state(), batches=0)

    def _order_state(self) -> dict[str, Any]:
        return {
            "generator": None if self._order is None else self._order.get_state(),
            "sampler": {} if self._own_sampler else sampler_state(self._index_sampler),
        }

    def _set_order_state(self, state: dict[str, Any]) -> None:
        if self._order is not None and state["generator"] is not None:
            self._order.set_state(state["generator"])
        if not self._own_sampler:
            load_sampler_state(self._index_sampler, state["sampler"])

    def state_dict(self) -> dict[str, Any]:
        """The position of the loader, as a dictionary that ``json`` can write.

        In the middle of an epoch (also after a ``break``) it counts the batches handed out, the
        present one included. Between epochs it stands for the start of the next one. If several
        iterators are alive, it is that of the epoch begun last.

        Raises
        ------
        ValueError
            If the order cannot be repeated: a `RandomSampler` without a generator.
        """
        if self._restored is not None:
            return dict(self._restored)
        if self._epoch is not None:
            order, batches = self._epoch.order, self._epoch.batches
        else:
            order, batches = self._order_state(), 0
            if self._reseeds:
                order["generator"] = None
        if order["sampler"] is None:
            raise ValueError(
                "the order of a RandomSampler without a generator cannot be repeated; "
                "give it generator=..."
            )
        return {
            "epoch_begun": self._epoch is not None,
            "batches_yielded": batches,
            "batches_per_epoch": self._length(),
            **order,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a loader with the same arguments: see the class's notes.

        The next ``iter(loader)`` gives the batches that were left. (None, if all had been handed
        out but the loop over them had not ended.)

        Raises
        ------
        ValueError
            If the state is of a loader with another number of batches, or one that shuffles
            while this one does not, or no state at all.
        """
        keys = {"epoch_begun", "batches_yielded", "batches_per_epoch", "generator", "sampler"}
        if set(state) != keys:
            raise ValueError(
                f"not the state of a DataLoader: expected the keys {sorted(keys)}, "
                f"but got {sorted(state)}"
            )
        if state["batches_per_epoch"] != self._length():
            raise ValueError(
                f"the state is of a loader with {state['batches_per_epoch']} batches per epoch, "
                f"but this one has {self._length()}"
            )
        expects_generator = self._order is not None
        if self._reseeds:
            expects_generator = state["epoch_begun"]
        if expects_generator != (state["generator"] is not None):
            raise ValueError(
                "the state is of a loader with another order: only one of the two "
                "shuffles or has a generator"
            )
        self._restored = dict(state)

    def _length(self) -> int | None:
        try:
            return len(self)
        except TypeError:  # a sampler without a length
            return None
