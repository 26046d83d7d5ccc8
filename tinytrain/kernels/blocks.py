"""Large arrays, cut into blocks that stay in the processor's cache while several passes run."""

from collections.abc import Iterator

from tinytrain.backend import Array

BLOCK_ELEMENTS = 1 << 16
"""Elements per block: a quarter of a mebibyte in float32, which fits a core's second cache."""


def blocks(array: Array, row_size: int = 1) -> Iterator[slice]:
    """Cut the first axis of an array into slices of about `BLOCK_ELEMENTS` elements.

    Examples
    --------
    >>> import numpy as np
    >>> [s.start for s in blocks(np.zeros(150_000))]
    [0, 65536, 131072]
    """
    count = array.shape[0]
    step = max(1, BLOCK_ELEMENTS // max(1, row_size))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
