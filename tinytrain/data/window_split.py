"""Splitting windows by time: no row of a part's windows is a row of another part's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.data.subset import Subset
from tinytrain.data.windows import WindowDataset

__all__ = ["ChronologicalSplit", "chronological_split"]


@dataclass(frozen=True, eq=False)
class ChronologicalSplit:
    """Parts of a data set of windows, one after the other in time. Unpack it to get them.

    Parameters
    ----------
    windows
        The data set that was split.
    parts
        A `Subset` for each fraction, oldest first.
    boundaries
        Part k has the rows [boundaries[k], boundaries[k + 1]) of the series.
    embargo
        Rows left out at the start of every part but the first.

    Examples
    --------
    >>> import numpy as np
    >>> import tinytrain as tt
    >>> windows = tt.data.WindowDataset(np.arange(100.0), 8, 2)
    >>> split = tt.data.chronological_split(windows, [0.75, 0.25])
    >>> training, validation = split
    >>> len(training), len(validation), split.boundaries
    (66, 16, (0, 75, 100))
    """

    windows: WindowDataset
    parts: tuple[Subset[Any], ...]
    boundaries: tuple[int, ...]
    embargo: int

    @property
    def purged(self) -> int:
        """How many windows are in no part, because they cross a boundary or its embargo."""
        return len(self.windows) - sum(map(len, self.parts))

    def __iter__(self) -> Iterator[Subset[Any]]:
        return iter(self.parts)

    def __len__(self) -> int:
        """The number of parts."""
        return len(self.parts)

    def __getitem__(self, index: int) -> Subset[Any]:
        return self.parts[index]

    def report(self) -> str:
        """The rows and windows of every part, and what was purged, as a few lines of text."""
        lines = [
            f"part {number}   rows {first:>7,} to {end - 1:>7,}   windows {len(part):>7,}"
            for number, (part, (first, end)) in enumerate(
                zip(self.parts, itertools.pairwise(self.boundaries), strict=True)
            )
        ]
        lines.append(
            f"purged   {self.purged:,} of {len(self.windows):,} windows: they span "
            f"{self.windows.span:,} rows and cross a boundary (embargo {self.embargo:,} rows)"
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.report()


def chronological_split(
    windows: WindowDataset, fractions: Sequence[float], embargo: int = 0
) -> ChronologicalSplit:
    """Split windows by time, so that nothing in a later part has been seen in an earlier one.

    The rows of the series are cut at floor(T (f_0 + ... + f_k)). A window belongs to a part if
    all its rows do, inputs and targets; between two parts, k and k + 1,

        last row of a target of part k < first row of an input of part k + 1 - embargo.

    Windows that cross a boundary, or begin in the embargo after it, are *purged*: they are in no
    part, and the split counts them. That depends on which rows a window covers, not on how many
    windows lie between: with any stride just those windows go that have to.

    The embargo leaves further rows between two parts, for a series whose values still echo a
    while after the last target.

    Parameters
    ----------
    windows
        The data set.
    fractions
        The share of rows of each part, oldest first; positive numbers that add up to 1.
    embargo
        Rows to leave out after each boundary.

    Raises
    ------
    TypeError
        If `windows` is no `WindowDataset`.
    ValueError
        If the fractions do not add up to 1, there are fewer than two, or a part would be empty.

    References
    ----------
    M. López de Prado, "Advances in Financial Machine Learning", Wiley, 2018, section 7.4 (purging
    and embargo).

    Examples
    --------
    >>> windows = WindowDataset(np.arange(100.0), input_length=8, horizon=2)
    >>> split = chronological_split(windows, [0.6, 0.4], embargo=5)
    >>> print(split)
    part 0   rows       0 to      59   windows      51
    part 1   rows      60 to      99   windows      26
    purged   14 of 91 windows: they span 10 rows and cross a boundary (embargo 5 rows)
    >>> train, test = split
    >>> train[50][1], test[0][0][0]  # the last targets of the one, the first input of the other
    (array([58., 59.]), np.float64(65.0))
    """
    if not isinstance(windows, WindowDataset):
        raise TypeError(f"expected a WindowDataset, but got {type(windows).__name__}")
    embargo = whole_number("embargo", embargo, least=0)
    boundaries = _boundaries(len(windows.series), fractions)
    parts = []
    for number, (first, end) in enumerate(itertools.pairwise(boundaries)):
        open_from = first + embargo if number else first
        # The first window that starts no earlier, and the last that ends no later.
        begin = -(-open_from // windows.stride)
        stop = min((end - windows.span) // windows.stride + 1, len(windows))
        if stop <= begin:
            raise ValueError(
                f"part {number} has no window: its rows are {first} to {end - 1}, an embargo of "
                f"{embargo if number else 0} rows included, and a window takes {windows.span}"
            )
        parts.append(Subset(windows, np.arange(begin, stop)))
    return ChronologicalSplit(windows, tuple(parts), boundaries, embargo)


def _boundaries(rows: int, fractions: Sequence[float]) -> tuple[int, ...]:
    shares = [float(fraction) for fraction in fractions]
    positive = all(math.isfinite(share) and share > 0 for share in shares)
    if len(shares) < 2 or not positive or not math.isclose(sum(shares), 1):
        raise ValueError(
            "fractions must be at least two positive numbers that add up to 1, but got "
            f"{shares} with the sum {sum(shares)}"
        )
    # Sums such as 0.7 + 0.2 are a little below 0.9: a boundary that is a whole number stays one.
    inner = [math.floor(rows * total + 1e-9) for total in itertools.accumulate(shares[:-1])]
    return (0, *inner, rows)
