"""Adding up rows by id on the CPU: the gradient of an embedding."""

import numpy as np

from tinytrain.backend import Array

ONE_HOT_LIMIT = 1 << 20
"""The largest one-hot matrix, in elements, that is worth building to add up rows by id."""


def scatter_add_rows(ids: Array, rows: Array, count: int) -> Array:
    """Add up rows by id: result[i] = sum of rows[n] over all n with ids[n] == i.

    Few ids make it a matrix product with their one-hot matrix; many are sorted, so that equal ids
    stand together and each run is one sum. Both are several times faster than `numpy.add.at`, and
    both always add in the same order. In the product an infinity or NaN spoils its whole column,
    because 0 times infinity is NaN: it is never lost, but no longer tells its row.

    Parameters
    ----------
    ids : integer array (N,)
        Each in 0 .. count - 1.
    rows : array (N, D)
    count : int
        The number of rows of the result.

    Examples
    --------
    >>> import numpy as np
    >>> scatter_add_rows(np.array([2, 0, 2]), np.array([[1.0], [2.0], [3.0]]), 3)
    array([[2.],
           [0.],
           [4.]])
    """
    if count * ids.size <= ONE_HOT_LIMIT:
        one_hot = (np.arange(count)[:, None] == ids).astype(rows.dtype)  # (count, N)
        return one_hot @ rows
    total = np.zeros((count, rows.shape[1]), dtype=rows.dtype)
    if ids.size:
        order = np.argsort(ids, kind="stable")
        in_order = ids[order]
        starts = np.flatnonzero(np.diff(in_order, prepend=in_order[:1] - 1))
        total[in_order[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def scatter_add_rows_simple(ids: Array, rows: Array, count: int) -> Array:
    """Say in one line what `scatter_add_rows` does."""
    total = np.zeros((count, rows.shape[1]), dtype=rows.dtype)
    np.add.at(total, ids, rows)
    return total
