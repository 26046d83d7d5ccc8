"""Scaling a series by the mean and the deviation of its training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["StandardScaler"]


class StandardScaler:
    """Subtracts a mean and divides by a standard deviation that were learnt from some rows.

        transform(x) = (x - mean) / std         per column, over the rows given to `fit`

    Learn from the training rows alone: the mean of all rows tells the model where the test rows
    lie. For a series (T, C) both have the shape (C,), for (T,) they are numbers. They are computed
    in float64, and float32 stays float32 (integers become float64). A column without any variation
    is only shifted, as if its deviation were 1. The deviation is that of the rows themselves, with
    the divisor n, as in scikit-learn's class of the same name.

    Examples
    --------
    >>> from tinytrain.data import WindowDataset, chronological_split, covered_rows
    >>> series = np.arange(20.0)
    >>> train, test = chronological_split(WindowDataset(series, 3, 1), [0.5, 0.5])
    >>> scaler = StandardScaler().fit(series[covered_rows(train)])
    >>> float(scaler.mean), round(float(scaler.std), 3)
    (4.5, 2.872)
    >>> scaled = scaler.transform(series)
    >>> bool(np.allclose(scaler.inverse_transform(scaled), series))
    True
    """

    def __init__(self) -> None:
        self._fitted: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of each column, float64."""
        return self._statistics()[0]

    @property
    def std(self) -> NDArray[np.float64]:
        """The standard deviation of each column, float64; 1 for a column without variation."""
        return self._statistics()[1]

    def fit(self, rows: NDArray[Any]) -> StandardScaler:
        """Learn mean and deviation from rows (n,) or (n, C), and return the scaler itself.

        Raises
        ------
        TypeError
            If the rows are no real numbers.
        ValueError
            If there are none, they have another number of axes, or one is not finite.
        """
        values = _real(rows)
        if values.ndim not in (1, 2) or len(values) == 0:
            raise ValueError(f"fit needs rows of shape (n,) or (n, C), but got {values.shape}")
        values = values.astype(np.float64)
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{np.count_nonzero(~finite)} of {len(values)} rows are not finite, the first is "
                f"row {np.flatnonzero(~finite)[0]}; leave them out or fill them in"
            )
        mean, std = values.mean(axis=0), values.std(axis=0)
        constant = values.max(axis=0) == values.min(axis=0)  # rounding may give it a tiny deviation
        self._fitted = np.asarray(mean), np.where(constant, 1.0, std)
        return self

    def transform(self, values: NDArray[Any]) -> NDArray[Any]:
        """Scale values (..., C); of any shape, if it was fitted on numbers, rows (n,).

        Raises
        ------
        TypeError, ValueError
            If they are no real numbers, have other columns, or `fit` was not called.
        """
        array, mean, std = self._fitting(values)
        return ((array - mean) / std).astype(_floating(array), copy=False)

    def inverse_transform(self, values: NDArray[Any]) -> NDArray[Any]:
        """Undo `transform`."""
        array, mean, std = self._fitting(values)
        return (array * std + mean).astype(_floating(array), copy=False)

    def state_dict(self) -> dict[str, Any]:
        """Mean and deviation, for ``json``."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the mean and deviation that `state_dict` returned."""
        if set(state) != {"mean", "std"}:
            raise ValueError(f"expected a state with mean and std, but got {sorted(state)}")
        mean, std = (np.asarray(state[name], dtype=np.float64) for name in ("mean", "std"))
        if mean.shape != std.shape or mean.ndim > 1 or not (np.isfinite(mean).all()):
            raise ValueError(f"mean {mean} and std {std} are not those of a scaler")
        if not (np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"std must be finite and above 0, but got {std}")
        self._fitted = mean, std

    def _statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._fitted is None:
            raise ValueError("the scaler has learnt nothing yet: call fit(training rows) first")
        return self._fitted

    def _fitting(
        self, values: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        array = _real(values)
        mean, std = self._statistics()
        if mean.ndim and array.shape[-1:] != mean.shape:
            raise ValueError(
                f"the scaler has {len(mean)} columns, but the values have the shape {array.shape}"
            )
        return array, mean, std


def _real(values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"a scaler needs real numbers, but got {array.dtype}")
    return array


def _floating(array: NDArray[Any]) -> np.dtype[Any]:
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
