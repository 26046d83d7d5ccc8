"""Where a loader is: how many epochs it has begun, in which order, and how to go on from there."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinytrain.data.epoch import Epoch
from tinytrain.data.number_sets import from_compact, to_compact
from tinytrain.data.resumed_order import iterate_from
from tinytrain.data.sampler import load_sampler_state, sampler_state
from tinytrain.data.sampler_checks import check_sampler_state
from tinytrain.data.state_checks import check_readers, check_state
from tinytrain.generator import Generator, default_generator

__all__ = ["Progress"]


class Progress:
    """Begins the epochs of a loader, and keeps what is needed to resume one.

    Parameters
    ----------
    sampler
        Gives the indices of an epoch (or lists of them).
    order
        The generator that decides the order, if the loader has one.
    reseeds
        Whether `order` gets a seed from the default generator at every epoch.
    own_sampler
        Whether the loader made the sampler itself, so that `order` is all of its state.
    """

    def __init__(
        self, sampler: Iterable[Any], order: Generator | None, reseeds: bool, own_sampler: bool
    ) -> None:
        self._sampler = sampler
        self._order = order
        self._reseeds = reseeds
        self._own_sampler = own_sampler
        self._seed: int | None = None
        self._next_epoch = 0
        self._skips: dict[int, set[int]] = {}
        self._epoch: Epoch | None = None
        self._restored: dict[str, Any] | None = None

    def begin(
        self, in_order: bool, readers: tuple[int, ...] | None = None
    ) -> tuple[Epoch, Iterator[Any]]:
        """Begin the next epoch, or go on with a restored one: itself, and its indices.

        `readers` says how many workers will read an iterable data set (see `Epoch.readers`).
        """
        state = self._restored
        resumed = state if state is not None and state["epoch_begun"] else None
        if state is not None:
            check_readers(state, readers)
            self._set_order(state)
        base_seed = resumed["base_seed"] if resumed is not None else None
        if self._order is not None and self._reseeds and base_seed is None:
            base_seed = default_generator().random_int64()
            self._order.manual_seed(default_generator().random_int64())
        order = self._order_state()
        position = 0 if resumed is None else resumed["batches_yielded"]
        indices, passed_over = iterate_from(self._sampler, position)
        number, seed = self._next_epoch, self._sample_seed()
        if self._order is not None and not self._reseeds:
            # PyTorch draws a seed for its workers first: without it the orders differ.
            base_seed = self._order.random_int64()
        elif base_seed is None and order["sampler"] is None:  # from the default generator, too
            base_seed = default_generator().random_int64()
        elif base_seed is None:
            words = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
            base_seed = int(words[0]) % 2**63
        epoch = Epoch(number, seed, base_seed, order, in_order=in_order, passed_over=passed_over)
        epoch.readers = readers
        # One that was broken off is over now.
        self._skips = {later: self._skips[later] for later in self._skips if later >= number}
        epoch.skipped = self._skips.setdefault(number, set())
        if resumed is not None:
            epoch.position, epoch.ahead = position, from_compact(resumed["ahead"])
            epoch.dataset_state = resumed["dataset"]
        # Not before: where any of this fails, the state is still to be resumed.
        self._restored = None
        self._next_epoch += 1
        self._epoch = epoch
        return epoch, indices

    def end(self, epoch: Epoch) -> None:
        """Note that the batches of an epoch are exhausted."""
        self._skips.pop(epoch.number, None)
        if self._epoch is epoch:
            self._epoch = None

    def skip(self, batches: Iterable[int], epoch: int | None, length: int | None) -> None:
        """Leave out batches of an epoch: see `DataLoader.skip`."""
        here, passed, ahead = self._place()
        number = here if epoch is None else operator.index(epoch)
        if number < here:
            raise ValueError(f"epoch {number} is over: the loader is at epoch {here}")
        chosen = {operator.index(batch) for batch in batches}
        wrong = {batch for batch in chosen if batch < 0 or (length is not None and batch >= length)}
        if wrong:
            raise ValueError(
                f"an epoch has {'' if length is None else length} batches, numbered from 0, but "
                f"{sorted(wrong)} were to be skipped"
            )
        late = {batch for batch in chosen if batch < passed or batch in ahead}
        if number == here and late:
            raise ValueError(
                f"batches {sorted(late)} of epoch {number} have been handed out already, and "
                "cannot be skipped: restore a state from before them first"
            )
        # In place: an epoch under way holds the same set.
        self._skips.setdefault(number, set()).update(chosen)

    def _place(self) -> tuple[int, int, set[int]]:
        """The epoch under way or else the next, its position, and what was handed out beyond."""
        if self._restored is not None and self._restored["epoch_begun"]:
            state = self._restored
            return self._next_epoch, state["batches_yielded"], from_compact(state["ahead"])
        if self._restored is None and self._epoch is not None:
            return self._epoch.number, self._epoch.position, self._epoch.ahead
        return self._next_epoch, 0, set()

    def state_dict(
        self, length: int | None, facts: dict[str, Any], dataset_state: Any
    ) -> dict[str, Any]:
        """The state as `DataLoader.state_dict` returns it."""
        skip = [
            [epoch, *part] if isinstance(part, list) else [epoch, part]
            for epoch in sorted(self._skips)
            for part in to_compact(self._skips[epoch])
        ]
        if self._restored is not None:
            state = {**self._restored, "skip": skip}
            if not (state["epoch_begun"] or self._own_sampler):
                state["sampler"] = sampler_state(self._sampler)
            return state
        epoch = self._epoch
        order = self._order_state() if epoch is None else epoch.order
        if order["sampler"] is None:
            raise ValueError(
                f"the order of a {facts['sampler']} without a generator cannot be repeated; "
                "give the sampler generator=..."
            )
        if epoch is None and self._reseeds:
            order = {**order, "generator": None}
        if epoch is None or epoch.exhausted:
            dataset_state = None
        # Until a batch has come or the data set has told its place, anyone can begin.
        begun = epoch is not None and (epoch.position > 0 or dataset_state is not None)
        return {
            "epoch": self._next_epoch if epoch is None else epoch.number,
            "epoch_begun": epoch is not None,
            "batches_yielded": 0 if epoch is None else epoch.position,
            "ahead": [] if epoch is None else to_compact(epoch.ahead),
            "batches_per_epoch": length,
            "order": facts,
            **order,
            "seed": self._seed if epoch is None else epoch.seed,
            "base_seed": None if epoch is None else epoch.base_seed,
            "skip": skip,
            "num_workers": epoch.readers[0] if begun and epoch and epoch.readers else None,
            "dataset": dataset_state,
        }

    def load_state_dict(
        self,
        state: dict[str, Any],
        length: int | None,
        facts: dict[str, Any],
        readers: tuple[int, ...] | None = None,
    ) -> None:
        """Restore a state, as `DataLoader.load_state_dict` does."""
        needs_generator = None if self._reseeds else self._order is not None
        check_state(state, facts, length, needs_generator)
        check_readers(state, readers)
        if not self._own_sampler:
            check_sampler_state(self._sampler, state["sampler"])
            if not state["epoch_begun"]:  # now: `set_epoch` may come before the next epoch
                load_sampler_state(self._sampler, state["sampler"])
        self._restored = dict(state)
        self._next_epoch = state["epoch"]
        # A seed that is the generator's is not kept: after the epoch the state names none.
        self._seed = None if self._is_seeded_by_generator() else state["seed"]
        self._skips = {}
        for epoch, *part in state["skip"]:
            numbers = from_compact(part if len(part) == 1 else [part])
            self._skips.setdefault(epoch, set()).update(numbers)

    def let_anyone_read(self) -> None:
        """Allow a restored epoch another number of workers (for a look ahead, not for training)."""
        if self._restored is not None:
            self._restored["num_workers"] = None

    def _is_seeded_by_generator(self) -> bool:
        return self._order is not None and not self._reseeds

    def _sample_seed(self) -> int:
        """The seed of the samples' random numbers: the loader's, or the default generator's."""
        if self._order is not None and self._is_seeded_by_generator():
            return self._order.initial_seed()
        if self._seed is None:
            self._seed = default_generator().initial_seed()
        return self._seed

    def _order_state(self) -> dict[str, Any]:
        return {
            "generator": None if self._order is None else self._order.get_state(),
            "sampler": {} if self._own_sampler else sampler_state(self._sampler),
        }

    def _set_order(self, state: dict[str, Any]) -> None:
        if self._order is not None and state["generator"] is not None:
            self._order.set_state(state["generator"])
        if state["epoch_begun"] and not self._own_sampler:
            load_sampler_state(self._sampler, state["sampler"])
