"""Data sets side by side: sample i holds sample i of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytrain.data.dataset import Dataset
from tinytrain.data.indices import refuse_numbers_that_are_no_indices

__all__ = ["StackDataset"]


class StackDataset(Dataset[Any]):
    """Data sets of equal length, stacked: sample i is the tuple, or dictionary, of their samples i.

    Parameters
    ----------
    *args
        Data sets; a sample is then a tuple.
    **kwargs
        Data sets by name; a sample is then a dictionary with these names.

    Raises
    ------
    ValueError
        If there is no data set, or both kinds are given, or the lengths differ.

    Examples
    --------
    >>> StackDataset([1, 2], "ab")[1]
    (2, 'b')
    >>> StackDataset(number=[1, 2], letter="ab").__getitems__([1, 0])
    [{'number': 2, 'letter': 'b'}, {'number': 1, 'letter': 'a'}]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets: tuple[Any, ...] | dict[str, Any] = args or kwargs
        lengths = [len(dataset) for dataset in self._columns]
        if len(set(lengths)) > 1:
            raise ValueError("Size mismatch between datasets")
        self._length = lengths[0]

    @property
    def _columns(self) -> tuple[Any, ...]:
        datasets = self.datasets
        return tuple(datasets.values()) if isinstance(datasets, dict) else datasets

    def __getitem__(self, index: int) -> Any:
        """The samples at a position, one of each data set."""
        return self._sample([dataset[index] for dataset in self._columns])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples at several positions, fetched together where a data set can.

        Raises
        ------
        ValueError
            If ``__getitems__`` of a data set returns another number of samples.
        TypeError
            If there is a bool or a fraction among the indices.
        """
        refuse_numbers_that_are_no_indices(indices, self)
        columns = [_fetch_column(dataset, indices) for dataset in self._columns]
        return [self._sample(list(samples)) for samples in zip(*columns, strict=True)]

    def __len__(self) -> int:
        """The number of samples."""
        return self._length

    def _sample(self, samples: list[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, samples, strict=True))
        return tuple(samples)


def _fetch_column(dataset: Any, indices: Sequence[int]) -> Sequence[Any]:
    fetch_together = getattr(dataset, "__getitems__", None)
    if not callable(fetch_together):
        return [dataset[index] for index in indices]
    samples: Sequence[Any] = fetch_together(indices)
    if len(samples) != len(indices):
        raise ValueError(
            f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(samples)}"
        )
    return samples
