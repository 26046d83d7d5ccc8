"""What a plan of batches costs: how much padding, and how even the batches are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tinytrain.data.length_checks import IntArray, checked_lengths, round_up
from tinytrain.data.packing_report import lower_bound as packing_bound

__all__ = ["LengthReport"]


@dataclass(frozen=True)
class LengthReport:
    """The figures of one epoch's batches, each padded to its longest row.

    Parameters
    ----------
    batches
        How many there are.
    rows
        Sequences in all of them.
    tokens
        The sum of their lengths.
    positions
        The sum of rows x width over the batches, padding included.
    largest
        The most positions of any batch.
    mean_tokens
        Tokens per batch.
    variation
        The coefficient of variation of the tokens per batch: standard deviation / mean.
    budget
        The most positions allowed in a batch, where there is such a limit.
    lower_bound
        A number of batches below which no plan exists: the better of ceil(tokens / budget) and
        Martello and Toth's bound L2 (see `martello_toth_bound`), of lengths rounded up to the
        multiple. None without a budget, or where a batch is over it.

    Examples
    --------
    >>> print(LengthReport.of([3, 4, 9, 10], [[0, 1], [2, 3]], budget=20))
    batches         2 (no plan needs fewer than 2)
    rows            4, on average 2.0 per batch
    tokens         26
    positions      28, at most 20 in a batch of at most 20
    efficiency  92.86 % of the positions hold a token
    padding      7.14 %
    per batch      13 tokens on average, coefficient of variation 0.462
    """

    batches: int
    rows: int
    tokens: int
    positions: int
    largest: int
    mean_tokens: float
    variation: float
    budget: int | None = None
    lower_bound: int | None = None

    @classmethod
    def of(
        cls,
        lengths: ArrayLike,
        batches: Sequence[ArrayLike],
        multiple_of: int = 1,
        budget: int | None = None,
    ) -> LengthReport:
        """Measure batches, which are lists of indices into the lengths.

        Parameters
        ----------
        lengths
            The length of every sequence, 1-D integers.
        batches
            Lists of indices, none of them empty.
        multiple_of
            Batches are padded to a multiple of this.
        budget
            The most positions allowed in a batch: for the text and the lower bound.

        Raises
        ------
        ValueError
            If there are no batches, or one is empty.
        """
        rows = np.array([np.size(batch) for batch in batches], dtype=np.int64)
        if len(rows) == 0 or rows.min() == 0:
            raise ValueError("a report needs batches, and none of them empty")
        of_items = checked_lengths(lengths)[np.concatenate([np.asarray(b) for b in batches])]
        starts = np.cumsum(rows) - rows
        tokens = np.add.reduceat(of_items, starts)
        widths = round_up(np.maximum.reduceat(of_items, starts), multiple_of)
        positions = rows * widths
        return cls(
            batches=len(rows),
            rows=int(rows.sum()),
            tokens=int(tokens.sum()),
            positions=int(positions.sum()),
            largest=int(positions.max()),
            mean_tokens=float(tokens.mean()),
            variation=float(tokens.std() / tokens.mean()),
            budget=budget,
            lower_bound=_batches_needed(
                round_up(of_items, multiple_of), int(positions.max()), budget
            ),
        )

    @property
    def efficiency(self) -> float:
        """The share of positions that hold a token."""
        return self.tokens / self.positions

    @property
    def padding_share(self) -> float:
        """The share of positions that are padding, 1 - efficiency."""
        return 1.0 - self.efficiency

    def __str__(self) -> str:
        per_batch = self.rows / self.batches
        known = self.lower_bound
        bound = "" if known is None else f" (no plan needs fewer than {known:,})"
        limit = "" if self.budget is None else f" of at most {self.budget:,}"
        if self.budget is not None and self.largest > self.budget:
            limit = f": over the budget of {self.budget:,}"
        lines = [
            ("batches", f"{self.batches:,}", bound),
            ("rows", f"{self.rows:,}", f", on average {per_batch:.1f} per batch"),
            ("tokens", f"{self.tokens:,}", ""),
            ("positions", f"{self.positions:,}", f", at most {self.largest:,} in a batch{limit}"),
            ("efficiency", f"{100 * self.efficiency:.2f}", " % of the positions hold a token"),
            ("padding", f"{100 * self.padding_share:.2f}", " %"),
            (
                "per batch",
                f"{self.mean_tokens:,.0f}",
                f" tokens on average, coefficient of variation {self.variation:.3f}",
            ),
        ]
        width = max(len(figure) for _, figure, _ in lines)
        return "\n".join(f"{name:<11} {figure:>{width}}{rest}" for name, figure, rest in lines)


def _batches_needed(widths: IntArray, largest: int, budget: int | None) -> int | None:
    if budget is None or largest > budget:
        return None
    return packing_bound(*np.unique(widths, return_counts=True), budget)[0]
