"""The figures of a packing, and a number of rows below which there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PackingReport", "lower_bound", "martello_toth_bound", "volume_bound"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PackingReport:
    """How well rows are filled.

    Parameters
    ----------
    rows
        How many there are.
    capacity
        Positions per row.
    sequences
        Sequences and pieces in all rows.
    tokens
        The sum of their lengths.
    bound
        A number of rows below which no packing exists.
    bound_name
        Where that comes from.
    variation
        The coefficient of variation of the tokens per row: standard deviation / mean.
    batch_size
        Rows per batch, if `batch_tokens` and `batch_variation` are given: the mean and the
        coefficient of variation of the tokens per batch.
    num_truncated, num_split
        Sequences that lost tokens, and that became several pieces.
    longest_wait
        Of a stream: the most sequences that came between the arrival of one and the end of its row.
        None if no row has ended.

    Examples
    --------
    >>> print(PackingReport(2, 10, 5, 20, 2, "by volume", 0.0, num_split=1))
    rows              2 of 10 positions (no plan needs fewer than 2, by volume)
    sequences         5, on average 2.5 per row
    tokens           20, on average 10.0 per row, coefficient of variation 0.000
    efficiency   100.00 % of the positions hold a token
    padding        0.00 %
    split             1 sequences, into pieces that fit
    """

    rows: int
    capacity: int
    sequences: int
    tokens: int
    bound: int
    bound_name: str
    variation: float
    batch_size: int | None = None
    batch_tokens: float = math.nan
    batch_variation: float = math.nan
    num_truncated: int = 0
    num_split: int = 0
    longest_wait: int | None = None

    @property
    def efficiency(self) -> float:
        """The share of positions that hold a token: tokens / (rows x capacity); NaN of no rows."""
        return self.tokens / (self.rows * self.capacity) if self.rows else math.nan

    def __str__(self) -> str:
        if not self.rows:
            return "no row is closed yet: there is nothing to report"
        lines = [
            (
                "rows",
                f"{self.rows:,}",
                f" of {self.capacity:,} positions "
                f"(no plan needs fewer than {self.bound:,}, {self.bound_name})",
            ),
            (
                "sequences",
                f"{self.sequences:,}",
                f", on average {self.sequences / self.rows:.1f} per row",
            ),
            (
                "tokens",
                f"{self.tokens:,}",
                f", on average {self.tokens / self.rows:,.1f} per row, "
                f"coefficient of variation {self.variation:.3f}",
            ),
            ("efficiency", f"{100 * self.efficiency:.2f}", " % of the positions hold a token"),
            ("padding", f"{100 * (1 - self.efficiency):.2f}", " %"),
        ]
        if self.batch_size is not None:
            lines.append(
                (
                    "per batch",
                    f"{self.batch_tokens:,.0f}",
                    f" tokens in {self.batch_size:,} rows on average, "
                    f"coefficient of variation {self.batch_variation:.3f}",
                )
            )
        if self.num_truncated:
            lines.append(("truncated", f"{self.num_truncated:,}", " sequences lost their ends"))
        if self.num_split:
            lines.append(("split", f"{self.num_split:,}", " sequences, into pieces that fit"))
        if self.longest_wait is not None:
            lines.append(
                (
                    "wait",
                    f"{self.longest_wait:,}",
                    " sequences at most, from arrival to the end of the row",
                )
            )
        width = max(len(figure) for _, figure, _ in lines)
        return "\n".join(f"{name:10}  {figure:>{width}}{rest}" for name, figure, rest in lines)


def lower_bound(counts: IntArray) -> tuple[int, str]:
    """Return the better of the two bounds below, and its name.

    Parameters
    ----------
    counts
        How many sequences have the length 0, 1, ... capacity, int64 (capacity + 1,).

    Examples
    --------
    >>> lower_bound(np.bincount([6, 6, 6], minlength=11))
    (3, 'by the bound of Martello and Toth')
    """
    volume, best = volume_bound(counts), martello_toth_bound(counts)
    if best > volume:
        return best, "by the bound of Martello and Toth"
    return volume, "by volume"


def volume_bound(counts: IntArray) -> int:
    """Return ceil(sum of lengths / capacity), from the counts of the lengths 0 ... capacity.

    Examples
    --------
    >>> volume_bound(np.bincount([6, 6, 6], minlength=11))
    2
    """
    capacity = len(counts) - 1
    return -(-int(counts @ np.arange(len(counts))) // capacity)


def martello_toth_bound(counts: IntArray) -> int:
    """Return L2, from the counts of the lengths 0 ... capacity; it is never below the volume's.

    For a threshold k <= capacity / 2, an item longer than capacity - k shares its row with none
    of length k or more. Items longer than capacity / 2 need a row each, and those of length
    k ... capacity / 2 fill up the rows of the second kind before they need rows of their own.
    The bound is the best over all k.

    References
    ----------
    S. Martello and P. Toth, "Knapsack Problems", Wiley, 1990, section 8.3.

    Examples
    --------
    >>> martello_toth_bound(np.bincount([7, 7, 4, 4, 4], minlength=11))
    4
    """
    capacity = len(counts) - 1
    items = np.cumsum(counts)  # items[w]: how many have a length of at most w
    volume = np.cumsum(counts * np.arange(capacity + 1))
    half = capacity // 2
    k = np.arange(half + 1)
    alone = items[capacity] - items[capacity - k]
    large = items[capacity - k] - items[half]
    room_beside_large = large * capacity - (volume[capacity - k] - volume[half])
    small_volume = volume[half] - np.concatenate(([0], volume[:half]))
    overflow = np.maximum(small_volume - room_beside_large, 0)
    return int((alone + large + -(-overflow // capacity)).max())
