"""Random numbers of one sample: the same in every process, and after a resume.

A data set that keeps one random generator gives other numbers with two workers than with none,
because each worker has a copy of its own. So the numbers of a sample should depend on nothing
but the seed of the loader, the epoch and the index of the sample.
"""

from __future__ import annotations

import operator
from contextvars import ContextVar, Token

import numpy as np

__all__ = ["fetching", "sample_rng"]

_Epoch = tuple[int, int]
# A context variable belongs to one thread: two loaders that fetch side by side do not meet.
_current: ContextVar[_Epoch | None] = ContextVar("tinytrain.data.sample_random", default=None)


def sample_rng(index: int) -> np.random.Generator:
    """A random generator for the sample at an index, to be used in ``__getitem__``.

    It is ``np.random.default_rng(np.random.SeedSequence([seed, epoch, index]))``, with the seed
    of the loader that fetches the sample and the number of its epoch (0 for the first).

    Parameters
    ----------
    index
        The index of the sample, not negative.

    Returns
    -------
    numpy.random.Generator
        A new one at each call: the same index twice in an epoch gives the same numbers.

    Raises
    ------
    RuntimeError
        If no `DataLoader` is fetching.
    ValueError
        If the index is negative.

    Examples
    --------
    >>> from tinytrain.data import DataLoader, Dataset
    >>> class Noisy(Dataset[float]):
    ...     def __getitem__(self, index):
    ...         return index + sample_rng(index).uniform()
    ...     def __len__(self):
    ...         return 4
    >>> loader = DataLoader(Noisy(), batch_size=2, generator=0)
    >>> first = next(iter(loader))
    >>> again = next(iter(DataLoader(Noisy(), batch_size=4, generator=0)))
    >>> bool((first == again[:2]).all())
    True
    """
    epoch = _current.get()
    if epoch is None:
        raise RuntimeError(
            "sample_rng was called outside of a DataLoader: its numbers depend on the loader's "
            "seed and epoch. Call it in __getitem__ while a loader fetches, or wrap the call in "
            "`with tinytrain.data.sample_random.fetching(seed, epoch):`"
        )
    position = operator.index(index)
    if position < 0:
        raise ValueError(f"sample_rng needs an index >= 0, but got {position}")
    return np.random.default_rng(np.random.SeedSequence([*epoch, position]))


class fetching:
    """While the block runs, `sample_rng` belongs to this seed and epoch; then as before.

    Parameters
    ----------
    seed, epoch
        Integers that are not negative.

    Examples
    --------
    >>> with fetching(seed=0, epoch=1):
    ...     first = sample_rng(5).integers(1000)
    >>> with fetching(seed=1, epoch=0):
    ...     other = sample_rng(5).integers(1000)
    >>> bool(first == other)
    False
    """

    __slots__ = ("_epoch", "_token")

    def __init__(self, seed: int, epoch: int) -> None:
        if seed < 0 or epoch < 0:
            raise ValueError(f"seed and epoch must not be negative, but are {seed} and {epoch}")
        self._epoch = (seed, epoch)
        self._token: Token[_Epoch | None] | None = None

    def __enter__(self) -> None:
        self._token = _current.set(self._epoch)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
