"""Windows of a time series: a stretch of inputs, and the stretch after it to be forecast."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.array_dataset import ArrayBatch
from tinytrain.data.dataset import Dataset
from tinytrain.data.indices import index_array
from tinytrain.data.subset import Subset

__all__ = ["WindowDataset", "covered_rows"]


class WindowDataset(Dataset[tuple[NDArray[Any], NDArray[Any]]]):
    """Windows over the rows of a series: window i has `input_length` rows, then `horizon` targets.

        inputs   rows [i stride, i stride + input_length)
        targets  rows [i stride + input_length, i stride + input_length + horizon)

    There are floor((T - input_length - horizon) / stride) + 1 windows, each of them whole; rows
    at the end that fill no window are not used.

    ``windows[i]`` is a pair of read-only *views* of the series; ``__getitems__`` (and so a
    `DataLoader`) makes *copies*, a whole batch at once. The dtype is the series' own. Missing
    values (NaN) are handed on as they are.

    Neighbouring windows share rows. So do not split them at random: see `chronological_split`.

    Parameters
    ----------
    series
        The series in the order of time, numbers, (T,) or (T, C). It is kept, not copied.
    input_length
        Rows of input per window.
    horizon
        Rows to forecast, which follow the inputs.
    stride
        Rows from the start of a window to that of the next.

    Raises
    ------
    TypeError
        If the series is no NumPy array of numbers.
    ValueError
        If the series has another number of axes, a length is no whole number from 1,
        or not even one window fits.

    Examples
    --------
    >>> windows = WindowDataset(np.arange(8.0), input_length=3, horizon=2, stride=2)
    >>> len(windows), windows[1]
    (2, (array([2., 3., 4.]), array([5., 6.])))
    >>> windows.__getitems__([0, 1]).arrays[1]
    array([[3., 4.],
           [5., 6.]])
    """

    def __init__(
        self, series: NDArray[Any], input_length: int, horizon: int, stride: int = 1
    ) -> None:
        if not isinstance(series, np.ndarray) or series.dtype.kind not in "biufc":
            found = getattr(series, "dtype", type(series).__name__)
            raise TypeError(f"a series must be a NumPy array of numbers, but got {found}")
        if series.ndim not in (1, 2):
            raise ValueError(f"a series has the shape (T,) or (T, C), but got {series.shape}")
        self.series = series
        self.input_length = whole_number("input_length", input_length)
        self.horizon = whole_number("horizon", horizon)
        self.stride = whole_number("stride", stride)
        if len(series) < self.span:
            raise ValueError(
                f"a window takes {self.input_length} + {self.horizon} rows, but the series has "
                f"only {len(series)}"
            )

    @property
    def span(self) -> int:
        """The rows that a window covers: input_length + horizon."""
        return self.input_length + self.horizon

    def __len__(self) -> int:
        """The number of windows."""
        return (len(self.series) - self.span) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and targets of a window, as read-only views."""
        start = int(self.starts(operator.index(index)))
        rows = np.asarray(self.series)[start : start + self.span]
        rows.flags.writeable = False
        return rows[: self.input_length], rows[self.input_length :]

    def __getitems__(self, indices: Sequence[int]) -> ArrayBatch:
        """Inputs (B, input_length, ...) and targets (B, horizon, ...) of windows, copied."""
        starts = self.starts(index_array(indices, self))
        rows = starts[:, None] + np.arange(self.span)
        values = np.asarray(self.series)
        inputs, targets = rows[:, : self.input_length], rows[:, self.input_length :]
        return ArrayBatch((values.take(inputs, axis=0), values.take(targets, axis=0)))

    def starts(self, indices: Any) -> NDArray[np.int64]:
        """The first row of the window (or windows) at an index (or indices).

        Raises
        ------
        IndexError
            If there is no such window. As in lists, -1 is the last one.
        TypeError
            If an index is no integer.
        """
        chosen = np.asarray(indices)
        chosen = index_array(chosen.ravel(), self).reshape(chosen.shape)
        wrong = (chosen < -len(self)) | (chosen >= len(self))
        if wrong.any():
            raise IndexError(f"no window {chosen[wrong].flat[0]}: there are {len(self)} windows")
        return np.where(chosen < 0, chosen + len(self), chosen) * self.stride


def first_rows(
    windows: WindowDataset | Subset[Any],
) -> tuple[WindowDataset, NDArray[np.int64]]:
    """The data set of windows below the subset (or subsets of it), and each window's first row."""
    indices: NDArray[np.int64] | None = None
    while isinstance(windows, Subset):
        indices = windows.indices if indices is None else windows.indices[indices]
        windows = windows.dataset  # type: ignore[assignment]
    if not isinstance(windows, WindowDataset):
        raise TypeError(
            f"expected a WindowDataset or a Subset of one, but got {type(windows).__name__}"
        )
    return windows, windows.starts(np.arange(len(windows)) if indices is None else indices)


def covered_rows(windows: WindowDataset | Subset[Any]) -> NDArray[np.int64]:
    """The rows of the series that some of the windows covers, inputs or targets, ascending.

    Of the windows of a training set these are the rows from which a scaler may learn.

    Raises
    ------
    TypeError
        If it is no `WindowDataset` and no `Subset` of one.

    Examples
    --------
    >>> windows = WindowDataset(np.zeros(100), input_length=3, horizon=1, stride=5)
    >>> covered_rows(Subset(windows, [0, 2]))
    array([ 0,  1,  2,  3, 10, 11, 12, 13])
    """
    dataset, starts = first_rows(windows)
    # +1 where a window starts, -1 where it has ended: the running sum counts the windows at a row.
    changes = np.zeros(len(dataset.series) + 1, dtype=np.int64)
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + dataset.span, -1)
    return np.flatnonzero(np.cumsum(changes[:-1]))
