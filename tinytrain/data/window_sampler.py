"""Batches of windows that share no row with each other."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.length_report import LengthReport
from tinytrain.data.planned_batches import PlannedBatchSampler
from tinytrain.data.ranks import checked_drop_last
from tinytrain.data.subset import Subset
from tinytrain.data.windows import WindowDataset, first_rows

__all__ = ["DisjointWindowBatchSampler", "WindowReport"]


@dataclass(frozen=True)
class WindowReport(LengthReport):
    """The figures of one epoch's batches of windows, which need no padding.

    Parameters
    ----------
    smallest
        The fewest windows of any batch.
    span
        Rows of a window, inputs and targets.
    batch_size
        The most windows asked for.
    side_by_side
        The most windows that a batch of any size could hold.

    Examples
    --------
    >>> windows = WindowDataset(np.arange(20.0), input_length=3, horizon=2, stride=2)
    >>> print(DisjointWindowBatchSampler(windows, batch_size=4).report())
    batches      3
    windows      8, in batches of 2 to 3
    asked for    4 in a batch, more than lie side by side: 3
    padding   none: each window has 5 rows
    """

    smallest: int = 0
    span: int = 0
    batch_size: int = 0
    side_by_side: int = 0

    def __str__(self) -> str:
        largest = self.largest // self.span
        sizes = (
            f"{self.smallest:,}"
            if self.smallest == largest
            else f"{self.smallest:,} to {largest:,}"
        )
        few = f", more than lie side by side: {self.side_by_side:,}"
        asked = few if self.batch_size > self.side_by_side else ""
        figures = [f"{n:,}" for n in (self.batches, self.rows, self.batch_size)]
        width = max(4, *map(len, figures))
        return (
            f"batches    {figures[0]:>{width}}\n"
            f"windows    {figures[1]:>{width}}, in batches of {sizes}\n"
            f"asked for  {figures[2]:>{width}} in a batch{asked}\n"
            f"padding    {'none':>{width}}: each window has {self.span:,} rows"
        )


class DisjointWindowBatchSampler(PlannedBatchSampler):
    """Batches of windows of which no two overlap, mixed anew in every epoch.

    Windows at a small stride repeat each other's rows, and a random batch then often holds almost
    the same window twice: its gradient is noisier than its size promises. Here window i has the
    colour i mod k, k = ceil((input_length + horizon) / stride). Windows of one colour start at
    least input_length + horizon rows apart, and a batch is drawn from one colour.

    A colour has about n / k windows, the most that fit side by side into the series. In each epoch
    it is shuffled and dealt out evenly: to ceil(n_c / batch_size) batches whose sizes differ by at
    most one. With ``drop_last=True`` instead into batches of exactly `batch_size`, and what is left
    over of each colour, another choice in each epoch, is not visited. The batches come in random
    order. Otherwise every window occurs once in an epoch, unless `uneven` says otherwise.

    Parameters
    ----------
    windows
        A `WindowDataset`, or a `Subset` of one (a part of a `chronological_split`).
    batch_size
        The most windows of a batch.
    drop_last
        Whether all batches have exactly `batch_size` windows.
    seed
        A whole number from 0. The order is a pure function of (seed, epoch).
    rank, num_replicas
        Which share of the batches is given, and of how many.
    uneven
        What to do when the batches do not divide by the number of ranks: "split" the largest,
        "drop" the last or "repeat" the first; see `tinytrain.data.ranks`.

    Raises
    ------
    TypeError
        If `windows` is something else.
    ValueError
        If a window occurs twice in the subset, an argument is out of range, or no batch is left;
        or `drop_last` meets ``uneven="split"`` with several ranks: it promises batches of one size.

    Examples
    --------
    >>> windows = WindowDataset(np.arange(20.0), input_length=3, horizon=2, stride=2)
    >>> sampler = DisjointWindowBatchSampler(windows, batch_size=2)
    >>> sorted(sorted(batch) for batch in sampler)  # colours 0, 1, 2: every third window
    [[0, 3], [1, 4], [2, 5], [6], [7]]
    """

    def __init__(
        self,
        windows: WindowDataset | Subset[Any],
        batch_size: int,
        *,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        uneven: str = "split",
    ) -> None:
        dataset, starts = first_rows(windows)
        if len(starts) == 0 or len(np.unique(starts)) < len(starts):
            raise ValueError(
                "the windows of a batch cannot be apart from each other if one occurs twice in "
                f"the subset; got {len(starts)} windows, {len(np.unique(starts))} of them different"
            )
        self.batch_size = whole_number("batch_size", batch_size)
        self.drop_last = checked_drop_last(drop_last, num_replicas, uneven)
        self._span = dataset.span
        colours = _colours(starts // dataset.stride, -(-dataset.span // dataset.stride))
        sizes = [self._sizes_of(len(colour)) for colour in colours]
        if not any(sizes):
            raise ValueError(
                f"drop_last=True leaves no batch: of these {len(starts)} windows at most "
                f"{max(map(len, colours))} lie side by side, and batch_size is {batch_size}"
            )
        self._side_by_side = max(map(len, colours))
        self._taken = [(colour, sum(cut)) for colour, cut in zip(colours, sizes, strict=True)]
        super().__init__(
            np.full(len(starts), dataset.span),
            [size for cut in sizes for size in cut],
            seed=seed,
            rank=rank,
            num_replicas=num_replicas,
            uneven=uneven,
            settings={
                "batch_size": self.batch_size,
                "drop_last": self.drop_last,
                "stride": dataset.stride,
                "starts": zlib.crc32(starts.astype("<i8").tobytes()),
            },
        )

    def report(self, epoch: int | None = None) -> WindowReport:
        """The figures of an epoch, by default the next one, of all ranks together."""
        batches = self.plan(self.epoch if epoch is None else epoch)
        return WindowReport(
            **vars(LengthReport.of(self.lengths, batches)),
            smallest=min(map(len, batches)),
            span=self._span,
            batch_size=self.batch_size,
            side_by_side=self._side_by_side,
        )

    def _sizes_of(self, windows: int) -> list[int]:
        """The sizes of the batches of a colour."""
        if self.drop_last:
            return [self.batch_size] * (windows // self.batch_size)
        batches = -(-windows // self.batch_size)
        sizes: list[int] = np.diff(np.arange(batches + 1) * windows // batches).tolist()
        return sizes

    def _order(self, random: np.random.Generator) -> NDArray[np.int64]:
        return np.concatenate([random.permutation(colour)[:n] for colour, n in self._taken])


def _colours(numbers: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Positions of the windows by their number modulo the number of colours, none of them empty."""
    colours = numbers % count
    order = np.argsort(colours, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(colours[order])) + 1)
