"""Parts of a data set: chosen samples, and random splits."""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Sequence, Sized
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.data.dataset import Dataset
from tinytrain.data.indices import index_array
from tinytrain.generator import Generator, as_generator

__all__ = ["Subset", "random_split"]

Sample = TypeVar("Sample")


class Subset(Dataset[Sample]):
    """The samples of a data set at given indices, in the order of the indices.

    Parameters
    ----------
    dataset
        The data set to choose from.
    indices
        1-D integers; `Subset` keeps them as an int64 array. Or the keys of a data set that is a
        mapping (strings, bytes or tuples), kept as a list.

    Raises
    ------
    TypeError
        If the indices are neither (a boolean mask: pass ``np.flatnonzero(mask)``).
    NotImplementedError
        If a subclass defines ``__getitem__`` but not ``__getitems__``: a loader would pass the
        first over.

    Notes
    -----
    Two subsets are equal if they choose the same indices of the same data set (or of equal
    ranges or subsets).

    Examples
    --------
    >>> subset = Subset(["a", "b", "c", "d"], [3, 1])
    >>> subset[0], len(subset)
    ('d', 2)
    """

    def __init__(self, dataset: Dataset[Sample] | Sequence[Sample], indices: ArrayLike) -> None:
        own_item = type(self).__getitem__ is not Subset.__getitem__
        if own_item and type(self).__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{type(self).__name__} overrides __getitem__ but not __getitems__, by which a "
                "DataLoader fetches a batch: define it too, for example as "
                "[self[index] for index in indices]"
            )
        self.dataset = dataset
        self.indices: Any = _keys(indices)
        if self.indices is None:
            self.indices = _integers(indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Subset):
            return NotImplemented
        same = self.dataset is other.dataset or (
            isinstance(self.dataset, (range, Subset)) and self.dataset == other.dataset
        )
        return same and list(self.indices) == list(other.indices)

    def __hash__(self) -> int:
        return hash((Subset, len(self.indices)))

    def __getitem__(self, index: Any) -> Any:
        """The sample at `indices[index]` of the data set.

        For a slice or a list of positions: what the data set returns for the list of indices.
        """
        if isinstance(self.indices, np.ndarray):
            return self.dataset[self.indices[index].tolist()]
        if isinstance(index, list | tuple | np.ndarray):
            return cast("Any", self.dataset)[self._chosen(index)]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Sample]:
        """The samples at several positions, fetched together where the data set can."""
        chosen = self._chosen(indices)
        fetch_together = getattr(self.dataset, "__getitems__", None)
        if fetch_together is not None:
            return cast("Sequence[Sample]", fetch_together(chosen))
        return [self.dataset[index] for index in chosen]

    def _chosen(self, positions: Any) -> list[Any]:
        """The indices at several positions."""
        rows = index_array(positions, self)
        if isinstance(self.indices, np.ndarray):
            return cast("list[Any]", self.indices[rows].tolist())
        return [self.indices[row] for row in rows.tolist()]

    def __len__(self) -> int:
        """The number of indices."""
        return len(self.indices)


def _keys(indices: Any) -> list[Any] | None:
    """The indices as a list if they are keys of a mapping; None if they are numbers."""
    if isinstance(indices, np.ndarray):
        return indices.tolist() if indices.dtype.kind in "US" and indices.ndim == 1 else None
    keys = isinstance(indices, list | tuple) and len(indices) > 0
    if keys and all(issubclass(kind, str | bytes | tuple) for kind in set(map(type, indices))):
        return list(indices)
    return None


def _integers(indices: ArrayLike) -> NDArray[np.int64]:
    chosen = np.asarray(indices)
    if chosen.size == 0 and chosen.ndim == 1:
        chosen = chosen.astype(np.int64)
    if chosen.ndim != 1 or not np.can_cast(chosen.dtype, np.int64) or chosen.dtype == bool:
        raise TypeError(
            "Subset needs a 1-D sequence of integer indices (for a mask pass "
            f"np.flatnonzero(mask)), but got {chosen.dtype} of shape {chosen.shape}"
        )
    return chosen.astype(np.int64)


def random_split(
    dataset: Dataset[Sample] | Sequence[Sample],
    lengths: Sequence[int | float],
    generator: Generator | int | None = None,
) -> list[Subset[Sample]]:
    """Split a data set at random into parts that do not overlap; the parts equal PyTorch's.

    Parameters
    ----------
    dataset
        The data set to split, of n samples.
    lengths
        The sizes of the parts, which add up to n; or fractions that add up to 1, where part i
        gets floor(n f_i) samples and the rest goes to the parts in turn, one each.
    generator
        A generator, a seed, or None for the default generator of the process.

    Raises
    ------
    ValueError
        If the lengths do not add up to n, or one is negative or no integer.

    Warns
    -----
    UserWarning
        If a fraction gives an empty part.

    Examples
    --------
    >>> small, large = random_split(range(10), [3, 7], generator=1)
    >>> small.indices
    array([5, 6, 1])
    >>> large.indices
    array([2, 0, 8, 9, 3, 7, 4])
    """
    total = len(cast("Sized", dataset))
    sizes = _split_sizes(total, lengths)
    order = as_generator(generator).randperm(total)
    starts = itertools.accumulate(sizes, initial=0)
    return [
        Subset(dataset, order[start : start + size])
        for start, size in zip(starts, sizes, strict=False)
    ]


def _split_sizes(total: int, lengths: Sequence[int | float]) -> list[int]:
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        return _fraction_sizes(total, lengths)
    try:
        sizes = [operator.index(cast("int", length)) for length in lengths]
    except TypeError:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! Lengths must "
            "be integers, or fractions that add up to 1 (not above), "
            f"but got {list(lengths)} with the sum {sum(lengths)}"
        ) from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"lengths must not be negative, but got {sizes}")
    if sum(sizes) != total:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"{' + '.join(map(str, sizes)) or 'Nothing'} is {sum(sizes)}, not {total}"
        )
    return sizes


def _fraction_sizes(total: int, fractions: Sequence[float]) -> list[int]:
    for position, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {position} is not between 0 and 1, but {fraction}")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for position in range(total - sum(sizes)):
        sizes[position % len(sizes)] += 1
    for position, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"Length of split at index {position} is 0. This might result in an empty dataset.",
                stacklevel=4,
            )
    return sizes
