"""Random numbers of one sample: the same in every process, and after a resume.

A data set that keeps one random generator gives other numbers with two workers than with none,
because each worker has a copy of its own. So the numbers of a sample should depend on nothing
but the seed of the loader, the epoch and the index of the sample.
"""

from __future__ import annotations

import operator
from contextvars import ContextVar, Token
from dataclasses import dataclass

import numpy as np

__all__ = ["Fetch", "current_fetch", "fetching", "sample_rng"]

# A context variable belongs to one thread: two loaders that fetch side by side do not meet.
_current: ContextVar[Fetch | None] = ContextVar("tinytrain.data.sample_random", default=None)


@dataclass(frozen=True)
class Fetch:
    """For which epoch of which loader samples are fetched; a small object to hand to threads.

    Attributes
    ----------
    seed : int
        The seed of the loader.
    epoch : int
        The number of its epoch, 0 for the first.

    Examples
    --------
    >>> fetch = Fetch(seed=1, epoch=0)
    >>> fetch.rng(7).random() == fetch.rng(7).random()
    True
    """

    seed: int
    epoch: int

    def rng(self, index: int) -> np.random.Generator:
        """The random generator of the sample at an index: see `sample_rng`.

        Raises
        ------
        ValueError
            If the index is negative.
        """
        position = operator.index(index)
        if position < 0:
            raise ValueError(f"sample_rng needs an index >= 0, but got {position}")
        return np.random.default_rng(np.random.SeedSequence([self.seed, self.epoch, position]))


def current_fetch() -> Fetch:
    """The fetch that is under way in this thread, for threads that a data set starts.

    `sample_rng` knows the loader only in the thread that calls ``__getitem__`` or
    ``__getitems__``. A data set that reads with threads or processes of its own asks there, and
    hands the answer over.

    Raises
    ------
    RuntimeError
        If no `DataLoader` is fetching in this thread.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from tinytrain.data import DataLoader, Dataset
    >>> class Threaded(Dataset[float]):
    ...     def __getitems__(self, indices):
    ...         fetch = current_fetch()
    ...         with ThreadPoolExecutor(2) as pool:
    ...             return list(pool.map(lambda i: i + fetch.rng(i).uniform(), indices))
    ...     def __len__(self):
    ...         return 4
    >>> batch = next(iter(DataLoader(Threaded(), batch_size=4, generator=0)))
    >>> batch.astype(int)
    array([0, 1, 2, 3])
    """
    fetch = _current.get()
    if fetch is None:
        raise RuntimeError(
            "no DataLoader is fetching in this thread, so its seed and epoch, on which the random "
            "numbers of samples depend, are not known. Call sample_rng in __getitem__ while a "
            "loader fetches. In a thread that the data set starts: take "
            "`fetch = tinytrain.data.current_fetch()` in __getitem__ or __getitems__ before, and "
            "call `fetch.rng(index)` in the thread. Without a loader: "
            "`tinytrain.data.Fetch(seed, epoch).rng(index)`"
        )
    return fetch


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
        If no `DataLoader` is fetching in this thread (see `current_fetch`).
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
    return current_fetch().rng(index)


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

    __slots__ = ("_fetch", "_token")

    def __init__(self, seed: int, epoch: int) -> None:
        if seed < 0 or epoch < 0:
            raise ValueError(f"seed and epoch must not be negative, but are {seed} and {epoch}")
        self._fetch = Fetch(seed, epoch)
        self._token: Token[Fetch | None] | None = None

    def __enter__(self) -> None:
        self._token = _current.set(self._fetch)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
