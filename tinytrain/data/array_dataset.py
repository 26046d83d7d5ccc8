"""Data sets of arrays: a sample is a row, and a batch is fetched by one indexing operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinytrain.data.dataset import Dataset
from tinytrain.data.indices import index_array

__all__ = ["ArrayBatch", "TensorDataset", "takes_array_batch"]

Collate = TypeVar("Collate", bound=Callable[..., Any])


class ArrayBatch(Sequence[tuple[Any, ...]]):
    """Samples that were fetched together, one array per field instead of one tuple per sample.

    It is a sequence of samples, where sample i is the tuple of row i of every array.
    `default_collate` knows that the arrays are stacked already and returns `list(batch.arrays)`,
    and so may a collate function of your own that is marked with `takes_array_batch`. To any
    other one a loader hands the list of tuples, as PyTorch does.

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


def takes_array_batch(collate_fn: Collate) -> Collate:
    """Mark a collate function as one that may get an `ArrayBatch` instead of a list of samples.

    Examples
    --------
    >>> from tinytrain.data import DataLoader
    >>> @takes_array_batch
    ... def centred(batch):
    ...     (rows,) = batch.arrays
    ...     return rows - rows.mean()
    >>> list(DataLoader(TensorDataset(np.array([1.0, 3.0])), 2, collate_fn=centred))
    [array([-1.,  1.])]
    """
    collate_fn.takes_array_batch = True  # type: ignore[attr-defined]
    return collate_fn


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

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """Row `index` of every array (for a slice or a list: the rows, in one array each)."""
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> ArrayBatch:
        """The rows of every array at the indices, copied; TypeError if one is no integer."""
        rows = index_array(indices, self)
        # asarray: the rows of a memory map are ordinary arrays in memory.
        return ArrayBatch(tuple(np.asarray(tensor).take(rows, axis=0) for tensor in self.tensors))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.tensors[0])
