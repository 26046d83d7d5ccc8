"""Figures by which orders are compared: who meets whom again, what is padding, what follows what.

An epoch is given as a list of batches, each a sequence of indices of samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["batch_lengths", "batch_tokens", "lag_correlation", "padding_share", "repeat_mates"]

Epoch = Sequence[Sequence[int]]


def repeat_mates(first: Epoch, second: Epoch) -> float:
    """The share of the pairs of samples in one batch of an epoch that meet again in another.

    With n_bc samples in batch b of the first and batch c of the second epoch, and n_b in batch b
    of those that both epochs have, it is sum_bc n_bc (n_bc - 1) / sum_b n_b (n_b - 1): 1 for an
    order without shuffling, about batch_size / n for a shuffled one. Of a sample that an epoch
    has several times the first visit counts.

    Returns
    -------
    float
        In [0, 1]; NaN if no two samples share a batch.

    Examples
    --------
    >>> repeat_mates([[0, 1, 2], [3, 4, 5]], [[2, 1, 3], [0, 4, 5]])
    0.3333333333333333
    """
    samples, first_batch = _batch_of_each(first)
    others, second_batch = _batch_of_each(second)
    _, here, there = np.intersect1d(samples, others, assume_unique=True, return_indices=True)
    before, after = first_batch[here], second_batch[there]
    _, together = np.unique(before * (len(second) + 1) + after, return_counts=True)
    _, mates = np.unique(before, return_counts=True)
    pairs = float((mates * (mates - 1)).sum())
    return float((together * (together - 1)).sum()) / pairs if pairs else float("nan")


def lag_correlation(values: ArrayLike) -> float:
    """The correlation of a series with itself one step later (lag 1).

    r = sum_t (v_t - m)(v_{t+1} - m) / sum_t (v_t - m)^2, with the mean m over all (G. Box and
    G. Jenkins, "Time Series Analysis", section 2.1.5). Batches that are sorted by length come
    near 1, shuffled ones near 0.

    Returns
    -------
    float
        In [-1, 1]; NaN for a series that is constant or has fewer than two values.

    Examples
    --------
    >>> round(lag_correlation([1, 2, 3, 4, 5, 6]), 2)
    0.5
    """
    series = np.asarray(values, dtype=np.float64)
    deviations = series - series.mean() if series.size else series
    variance = float(deviations @ deviations)
    return float(deviations[:-1] @ deviations[1:]) / variance if variance else float("nan")


def batch_lengths(epoch: Epoch, lengths: ArrayLike) -> NDArray[np.int64]:
    """The length of each batch when it is padded: that of its longest sample.

    Examples
    --------
    >>> batch_lengths([[0, 1], [2]], lengths=[3, 5, 2])
    array([5, 2])
    """
    return _per_batch(np.maximum, epoch, lengths)


def batch_tokens(epoch: Epoch, lengths: ArrayLike) -> NDArray[np.int64]:
    """The tokens of each batch: the sum of its samples' lengths.

    Examples
    --------
    >>> batch_tokens([[0, 1], [2]], lengths=[3, 5, 2])
    array([8, 2])
    """
    return _per_batch(np.add, epoch, lengths)


def padding_share(epoch: Epoch, lengths: ArrayLike) -> float:
    """The share of positions that are padding if each batch is padded to its longest sample.

    1 - sum of all lengths / sum over batches of (rows x longest)

    Examples
    --------
    >>> padding_share([[0, 1], [2, 3]], lengths=[3, 5, 2, 2])
    0.1428571428571429
    """
    rows = np.array([len(batch) for batch in epoch])
    positions = float((rows * batch_lengths(epoch, lengths)).sum())
    tokens = float(batch_tokens(epoch, lengths).sum())
    return 1 - tokens / positions if positions else float("nan")


def _batch_of_each(epoch: Epoch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The samples of an epoch, sorted, and the number of the batch that has each of them first."""
    flat = _flat(epoch)
    numbers = np.repeat(np.arange(len(epoch)), [len(batch) for batch in epoch])
    samples, position = np.unique(flat, return_index=True)
    return samples, numbers[position]


def _per_batch(combine: np.ufunc, epoch: Epoch, lengths: ArrayLike) -> NDArray[np.int64]:
    known = np.asarray(lengths)
    if known.ndim != 1 or known.dtype.kind not in "iu":
        raise TypeError(
            f"lengths must be 1-D integers, one per sample, but are {known.dtype} {known.shape}"
        )
    flat = _flat(epoch)
    if flat.size and not 0 <= flat.min() <= flat.max() < len(known):
        raise ValueError(
            f"the epoch has samples {flat.min()} to {flat.max()}, but there are {len(known)} "
            "lengths"
        )
    if any(len(batch) == 0 for batch in epoch):
        raise ValueError("a batch without samples has no length")
    starts = np.cumsum([0, *map(len, epoch)])[:-1]
    result: NDArray[np.int64] = combine.reduceat(known[flat].astype(np.int64), starts)
    return result


def _flat(epoch: Epoch) -> NDArray[np.int64]:
    flat = np.array(list(itertools.chain.from_iterable(epoch)))
    if flat.size and (flat.dtype.kind not in "iu" or flat.ndim > 1):
        first = next(index for batch in epoch for index in batch)
        raise TypeError(
            "the measures of an order need batches of integer indices, but the sampler gives "
            f"{first!r} (a {type(first).__name__})"
        )
    return flat.astype(np.int64)
