"""Samplers: iterables of indices that decide in which order a loader visits a data set.

A sampler may offer two methods, with which a `DataLoader` resumes in the middle of an epoch:
``state_dict()``, the state (for ``json``) from which the next ``iter(sampler)`` will start, or
None if it cannot tell; and ``load_state_dict(state)``, after which ``iter(sampler)`` gives the
same indices again. A sampler without the two must give the same indices in every epoch.

Two more are asked where a sampler has them. ``order_settings()`` returns what decides the order
besides that state, a small dictionary for ``json``: a loader refuses a state of other settings.
``check_state_dict(state)`` raises the error that ``load_state_dict(state)`` would raise, without
loading it: so a broken state is refused at once, and not when the epoch begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar, cast

from tinytrain.data.sampler_checks import (
    check_generator_state,
    check_sampler_state,
    digest,
    sampler_settings,
)
from tinytrain.generator import Generator, as_generator, default_generator

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler"]

Index_co = TypeVar("Index_co", covariant=True)

_DRAWS_AT_ONCE = 32


class Sampler(Generic[Index_co]):
    """Base class of samplers: define ``__iter__``, and ``__len__`` where a length is known.

    Examples
    --------
    >>> class EvenNumbers(Sampler[int]):
    ...     def __iter__(self):
    ...         return iter(range(0, 6, 2))
    ...     def __len__(self):
    ...         return 3
    >>> list(EvenNumbers())
    [0, 2, 4]
    """

    def __iter__(self) -> Iterator[Index_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class SequentialSampler(Sampler[int]):
    """The indices 0 ... n - 1 in order.

    Parameters
    ----------
    data_source
        Anything with a length n.

    Examples
    --------
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        """The number of indices."""
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Random indices below n: a new permutation in each epoch, or draws with replacement.

    The order equals that of PyTorch's sampler of the same name with a generator of the same
    seed, over all epochs.

    Parameters
    ----------
    data_source
        Anything with a length n.
    replacement
        Whether each index is drawn independently of the others.
    num_samples
        How many indices an epoch has; None means n. Without replacement a larger number takes
        one permutation after the other.
    generator
        A generator or a seed. With None every epoch draws the seed of its own private
        generator from the default generator of the process.

    Raises
    ------
    TypeError
        If `replacement` is not a bool.
    ValueError
        If `num_samples` is not positive (an empty `data_source` included).

    Examples
    --------
    >>> sampler = RandomSampler(range(5), generator=1)
    >>> list(sampler), list(sampler)
    ([0, 4, 2, 3, 1], [4, 1, 0, 2, 3])
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | int | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = None if generator is None else as_generator(generator)
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        # True is 1 here, as in PyTorch.
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, "
                f"but got num_samples={self.num_samples}"
            )

    @property
    def num_samples(self) -> int:
        """The number of indices of an epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        # A chain hands out the indices of a list without a step of Python for each.
        return itertools.chain.from_iterable(self.lists())

    def __len__(self) -> int:
        """The number of indices of an epoch."""
        return self.num_samples

    def lists(self) -> Iterator[list[int]]:
        """The indices of an epoch in lists, of which each is drawn when it is asked for."""
        generator = self.generator
        if generator is None:
            generator = Generator(default_generator().random_int64())
        n = len(self.data_source)
        # A generator function: nothing is drawn before the first index is asked for.
        yield from (
            self._draws(generator, n) if self.replacement else self._permutations(generator, n)
        )

    def _draws(self, generator: Generator, n: int) -> Iterator[list[int]]:
        for start in range(0, self.num_samples, _DRAWS_AT_ONCE):
            yield generator.randint(n, min(_DRAWS_AT_ONCE, self.num_samples - start)).tolist()

    def _permutations(self, generator: Generator, n: int) -> Iterator[list[int]]:
        rounds, rest = divmod(self.num_samples, n)
        for _ in range(rounds):
            yield generator.randperm(n).tolist()
        # PyTorch draws one more permutation and takes its first `rest` items, even if that is
        # none of them. The next epoch's order depends on it.
        if rest:
            yield generator.randperm(n)[:rest].tolist()
        else:
            generator.skip_randperm(n)

    def order_settings(self) -> dict[str, Any]:
        """Whether and how many are drawn, beside the generator's state."""
        return {"replacement": self.replacement, "num_samples": self.num_samples}

    def state_dict(self) -> dict[str, Any] | None:
        """The generator's state, or None: without a generator the order cannot be repeated."""
        return generator_state(self.generator)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the generator to a state that `state_dict` returned."""
        load_generator_state(self, self.generator, state)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the ValueError of `load_state_dict`, but load nothing."""
        check_generator_state(self, self.generator, state)


class SubsetRandomSampler(Sampler[Any]):
    """Given indices in a new random order in each epoch, PyTorch's for the same seed.

    Parameters
    ----------
    indices
        A sequence of indices.
    generator
        A generator or a seed; None draws from the default generator of the process.

    Examples
    --------
    >>> list(SubsetRandomSampler([10, 20, 30], generator=1))
    [20, 30, 10]
    """

    def __init__(self, indices: Sequence[Any], generator: Generator | int | None = None) -> None:
        self.indices = indices
        self.generator = None if generator is None else as_generator(generator)

    def __iter__(self) -> Iterator[Any]:
        for position in as_generator(self.generator).randperm(len(self.indices)).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        """The number of indices."""
        return len(self.indices)

    def order_settings(self) -> dict[str, Any]:
        """A checksum of the indices, if they are numbers or strings."""
        return {"indices": digest(self.indices)}

    def state_dict(self) -> dict[str, Any] | None:
        """The generator's state, or None: without a generator the order cannot be repeated."""
        return generator_state(self.generator)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the generator to a state that `state_dict` returned."""
        load_generator_state(self, self.generator, state)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the ValueError of `load_state_dict`, but load nothing."""
        check_generator_state(self, self.generator, state)


class BatchSampler(Sampler[list[Any]]):
    """Groups the indices of another sampler into lists of `batch_size`.

    Parameters
    ----------
    sampler
        Any iterable of indices.
    batch_size
        The number of indices per batch, a positive ``int``.
    drop_last
        Whether to leave out a last batch that is smaller.

    Raises
    ------
    ValueError
        If `batch_size` is not a positive ``int`` or `drop_last` not a bool.

    Examples
    --------
    >>> list(BatchSampler(SequentialSampler(range(7)), batch_size=3, drop_last=False))
    [[0, 1, 2], [3, 4, 5], [6]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        if not _is_positive_integer(batch_size):
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        return self.batches(self.sampler)

    def batches(self, indices: Iterable[Any]) -> Iterator[list[Any]]:
        """The batches of these indices; nothing is asked for before the first batch is."""
        indices = iter(indices)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        """The number of batches."""
        full, rest = divmod(len(cast("Sized", self.sampler)), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def state_dict(self) -> dict[str, Any] | None:
        """The state of the wrapped sampler; an empty one if it offers none."""
        return sampler_state(self.sampler)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the wrapped sampler."""
        load_sampler_state(self.sampler, state)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the error of the wrapped sampler's `load_state_dict`, if it can tell."""
        check_sampler_state(self.sampler, state)

    def order_settings(self) -> dict[str, Any]:
        """The settings of the wrapped sampler. (Its own two a loader notes by itself.)"""
        return sampler_settings(self.sampler)


def generator_state(generator: Generator | None) -> dict[str, Any] | None:
    """The state of a sampler that is one of its generator; None without a generator."""
    return None if generator is None else {"generator": generator.get_state()}


def load_generator_state(
    sampler: object, generator: Generator | None, state: dict[str, Any]
) -> None:
    """Set a sampler's generator to a state that `generator_state` returned."""
    check_generator_state(sampler, generator, state)
    cast("Generator", generator).set_state(state["generator"])


def sampler_state(sampler: object) -> dict[str, Any] | None:
    """`sampler.state_dict()`, or an empty dictionary if the sampler offers no state."""
    offer = getattr(sampler, "state_dict", None)
    return {} if offer is None else cast("dict[str, Any] | None", offer())


def load_sampler_state(sampler: object, state: dict[str, Any]) -> None:
    """`sampler.load_state_dict(state)`, unless the state is empty because none was offered."""
    if state and not hasattr(sampler, "load_state_dict"):
        raise ValueError(
            f"the state holds a sampler's state ({sorted(state)}), but {type(sampler).__name__} "
            "has no load_state_dict; restore it with the sampler it was saved with"
        )
    if state:
        cast("Any", sampler).load_state_dict(state)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
