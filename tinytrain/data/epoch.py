"""One epoch of a loader: the number of every batch, and which of them are still to come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Epoch", "too_short"]

_END = object()


@dataclass
class Epoch:
    """An epoch under way. Its batches are numbered 0, 1, 2 ... in the order of the sampler.

    Attributes
    ----------
    number
        The number of the epoch, 0 for the first of the loader.
    seed
        What the random numbers of samples depend on, beside the epoch's number and the index.
    base_seed
        The seed of worker 0.
    order
        The state (of generator and sampler) from which the order of the epoch began.
    position
        Every batch below this number has been handed out, or was left out.
    ahead
        Batches above that are handed out already, as they may be out of order.
    skipped
        Numbers to leave out. The set may grow during the epoch.
    in_order
        Whether batches are handed out by rising numbers.
    dataset_state
        The state of an iterable data set at `position`, if it has one to restore.
    exhausted
        Whether an iterable data set has come to its end, where its own state says no more.
    passed_over
        How many batches the iterator over the order has left out already (see `Epoch.tasks`).
    readers
        How many workers read an iterable data set, and what other number would read the same; None
        for a map-style one.
    """

    number: int
    seed: int
    base_seed: int
    order: dict[str, Any]
    position: int = 0
    ahead: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    in_order: bool = True
    dataset_state: Any = None
    exhausted: bool = False
    passed_over: int = 0
    readers: tuple[int, ...] | None = None

    def is_due(self, number: int) -> bool:
        """Whether a batch is still to be handed out."""
        return number >= self.position and number not in self.ahead and number not in self.skipped

    def hand_out(self, number: int) -> None:
        """Note that a batch is handed out (or left out, in an epoch without order)."""
        if self.in_order:
            position = number + 1
            # What was handed out beyond the position before a resume may lie below it now.
            ahead = {later for later in self.ahead if later > number} if self.ahead else set()
        else:
            position, ahead = self.position, self.ahead | {number}
        while position in ahead:
            ahead.remove(position)
            position += 1
        # At the end and together: a signal handler's exception comes between calls, not here.
        self.position, self.ahead = position, ahead

    def tasks(self, indices: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        """The batches that are due: pairs of number and indices, in the order of the sampler.

        `indices` begins at batch `passed_over`; what comes before `position` is dropped.

        Raises
        ------
        ValueError
            If the sampler ends before the position from which a resumed epoch goes on.
        """
        for number in range(self.passed_over, self.position):
            if next(indices, _END) is _END:
                raise too_short(self.position, number)
        for number, task in zip(itertools.count(self.position), indices, strict=False):
            if self.is_due(number):
                yield number, task
            elif not self.in_order and number not in self.ahead:
                self.hand_out(number)


def too_short(position: int, found: int) -> ValueError:
    """The error of an epoch that cannot go on because there are fewer batches than before."""
    return ValueError(
        f"cannot resume after batch {position}: the sampler or data set ended after {found}; is "
        "this the data set and sampler that the state is from?"
    )
