"""Map-style data sets: `dataset[i]` is one sample, `len(dataset)` says how many there are."""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.generator import Generator, as_generator

__all__ = ["ArrayBatch", "Dataset", "Subset", "TensorDataset", "random_split"]

Sample = TypeVar("Sample")
Sample_co = TypeVar("Sample_co", covariant=True)


class Dataset(Generic[Sample_co]):
    """Base class of map-style data sets: define ``__getitem__`` and ``__len__``.

    Inheriting is optional; a list works as well. A data set that can fetch several samples
    faster together than one by one may define ``__getitems__(indices)`` too, which returns a
    sequence with one sample per index.

    Examples
    --------
    >>> class Squares(Dataset[int]):
    ...     def __getitem__(self, index):
    ...         return index * index
    ...     def __len__(self):
    ...         return 5
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: int) -> Sample_co:
        """The sample at a position."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __len__(self) -> int:
        """The number of samples."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__")


class ArrayBatch(Sequence[tuple[Any, ...]]):
    """Samples that were fetched together, one array per field instead of one tuple per sample.

    To a collate function it is what PyTorch would hand it: a sequence of samples, where sample i
    is the tuple of row i of every array. `default_collate` knows that the arrays are stacked
    already and returns `list(batch.arrays)`.

    Parameters
    ----------
    arrays
        One array per field, all with the same first length (the number of samples).

    Examples
    --------
    >>> batch = ArrayBatch((np.array([[1, 2], [3, 4]]), np.array([7, 8])))
    >>> len(batch)
    2
    >>> batch[1]
    (array([3, 4]), np.int64(8))
    """

    def __init__(self, arrays: tuple[NDArray[Any], ...]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        """The sample at an index, or for a slice the batch of those samples."""
        rows = tuple(array[index] for array in self.arrays)
        return ArrayBatch(rows) if isinstance(index, slice) else rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.arrays, strict=True)

    def __repr__(self) -> str:
        fields = ", ".join(f"{array.dtype}{array.shape}" for array in self.arrays)
        return f"ArrayBatch({fields})"


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples that are the rows of one or more arrays: sample i is the tuple of their row i.

    A whole batch is fetched with one indexing operation per array (see `ArrayBatch`).

    Parameters
    ----------
    *tensors
        Arrays of equal first length. They are kept as they are, not copied.

    Raises
    ------
    TypeError
        If one of them is not a NumPy array.
    ValueError
        If there are none, or one has no axis, or the first lengths differ.

    Examples
    --------
    >>> data = TensorDataset(np.array([[0.5, 1.0], [2.0, 4.0]]), np.array([0, 1]))
    >>> data[1]
    (array([2., 4.]), np.int64(1))
    """

    def __init__(self, *tensors: NDArray[Any]) -> None:
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, np.ndarray):
                raise TypeError(
                    f"TensorDataset needs NumPy arrays, but argument {position} is a "
                    f"{type(tensor).__name__}; convert it with np.asarray (a tensor with .numpy())"
                )
            if tensor.dtype == object:
                raise TypeError(f"TensorDataset needs numbers, argument {position} holds objects")
        shapes = [tensor.shape for tensor in tensors]
        if not tensors or any(shape == () for shape in shapes):
            raise ValueError(f"TensorDataset needs arrays with a first axis, but got {shapes}")
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"Size mismatch between tensors: got the shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Row `index` of every array."""
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> ArrayBatch:
        """The rows of every array at the indices, copied."""
        rows = np.asarray(indices, dtype=np.int64)
        # asarray: the rows of a memory map are ordinary arrays in memory.
        return ArrayBatch(tuple(np.asarray(tensor).take(rows, axis=0) for tensor in self.tensors))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.tensors[0])


class Subset(Dataset[Sample]):
    """The samples of a data set at given indices, in the order of the indices.

    Parameters
    ----------
    dataset
        The data set to choose from.
    indices
        1-D integers; `Subset` keeps them as an int64 array.

    Raises
    ------
    TypeError
        If the indices are not integers (a boolean mask: pass ``np.flatnonzero(mask)``).

    Examples
    --------
    >>> subset = Subset(["a", "b", "c", "d"], [3, 1])
    >>> subset[0], len(subset)
    ('d', 2)
    """

    def __init__(self, dataset: Dataset[Sample] | Sequence[Sample], indices: ArrayLike) -> None:
        chosen = np.asarray(indices)
        if chosen.size == 0 and chosen.ndim == 1:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or not np.can_cast(chosen.dtype, np.int64) or chosen.dtype == bool:
            raise TypeError(
                "Subset needs a 1-D sequence of integer indices (for a mask pass "
                f"np.flatnonzero(mask)), but got {chosen.dtype} of shape {chosen.shape}"
            )
        self.dataset = dataset
        self.indices: NDArray[np.int64] = chosen.astype(np.int64)

    def __getitem__(self, index: int) -> Sample:
        """The sample at `indices[index]` of the data set."""
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Sample]:
        """The samples at several positions, fetched together where the data set can."""
        chosen = self.indices[np.asarray(indices, dtype=np.int64)].tolist()
        fetch_together = getattr(self.dataset, "__getitems__", None)
        if fetch_together is not None:
            return cast("Sequence[Sample]", fetch_together(chosen))
        return [self.dataset[index] for index in chosen]

    def __len__(self) -> int:
        """The number of indices."""
        return len(self.indices)


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
    sizes = _split_sizes(len(dataset), lengths)
    order = as_generator(generator).randperm(len(dataset))
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
            "lengths must be integers, or fractions that add up to 1 (not above), "
            f"but got {list(lengths)} with the sum {sum(lengths)}"
        ) from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"lengths must not be negative, but got {sizes}")
    if sum(sizes) != total:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"{' + '.join(map(str, sizes))} is {sum(sizes)}, not {total}"
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
