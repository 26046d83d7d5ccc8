"""The figures of a packing, and a number of rows below which there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinytrain.data.length_checks import IntArray

__all__ = ["PackingReport", "lower_bound", "martello_toth_bound", "volume_bound"]


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
    rows             2 of 10 positions (no plan needs fewer than 2, by volume)
    sequences        5, on average 2.5 per row
    tokens          20, on average 10.0 per row, coefficient of variation 0.000
    efficiency  100.00 % of the positions hold a token
    padding       0.00 %
    split            1 sequences, into pieces that fit
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


def lower_bound(lengths: IntArray, counts: IntArray, capacity: int) -> tuple[int, str]:
    """Return the better of the two bounds below, and its name.

    Parameters
    ----------
    lengths
        The lengths that occur, ascending, int64 (L,) in [1, capacity].
    counts
        How many sequences have each of them, int64 (L,).
    capacity
        Positions per row.

    Examples
    --------
    >>> lower_bound(np.array([6]), np.array([3]), capacity=10)
    (3, 'by the bound of Martello and Toth')
    """
    volume = volume_bound(lengths, counts, capacity)
    best = martello_toth_bound(lengths, counts, capacity)
    if best > volume:
        return best, "by the bound of Martello and Toth"
    return volume, "by volume"


def volume_bound(lengths: IntArray, counts: IntArray, capacity: int) -> int:
    """Return ceil(sum of lengths / capacity); the arguments are those of `lower_bound`.

    Examples
    --------
    >>> volume_bound(np.array([6]), np.array([3]), capacity=10)
    2
    """
    return -(-int(counts @ lengths) // capacity)


def martello_toth_bound(lengths: IntArray, counts: IntArray, capacity: int) -> int:
    """Return L2, which is never below the volume's; the arguments are those of `lower_bound`.

    For a threshold k <= capacity / 2, an item longer than capacity - k shares its row with none
    of length k or more. Items longer than capacity / 2 need a row each, and those of length
    k ... capacity / 2 fill up the rows of the second kind before they need rows of their own.
    The bound is the best over all k. It suffices to look at the lengths that occur: the largest k
    with the same items of length k or more is the best of those.

    References
    ----------
    S. Martello and P. Toth, "Knapsack Problems", Wiley, 1990, section 8.3.

    Examples
    --------
    >>> martello_toth_bound(np.array([4, 7]), np.array([3, 2]), capacity=10)
    4
    """
    if len(lengths) == 0:
        return 0
    items = np.concatenate(([0], np.cumsum(counts)))  # items[i]: how many have one of the first i
    volume = np.concatenate(([0], np.cumsum(counts * lengths)))
    half = int(np.searchsorted(lengths, capacity // 2, side="right"))
    if half == 0:
        return int(items[-1])
    k = np.arange(half)  # by the place of the threshold among the lengths
    fitting = np.searchsorted(lengths, capacity - lengths[:half], side="right")
    alone = items[-1] - items[fitting]
    large = items[fitting] - items[half]
    room_beside_large = large * capacity - (volume[fitting] - volume[half])
    overflow = np.maximum(volume[half] - volume[k] - room_beside_large, 0)
    return int((alone + large + -(-overflow // capacity)).max())
