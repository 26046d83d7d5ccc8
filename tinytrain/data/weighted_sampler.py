"""Indices drawn in proportion to weights, of which an index of weight zero is never drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.data.sampler import Sampler, generator_state, load_generator_state
from tinytrain.data.sampler_checks import check_generator_state, digest
from tinytrain.generator import Generator, as_generator

__all__ = ["WeightedRandomSampler"]


class WeightedRandomSampler(Sampler[int]):
    """Random indices 0 ... n - 1, index i with a probability in proportion to weight i.

    With replacement a draw is the inverse of the cumulative distribution: the first i with
    ``w_0 + ... + w_i >= u sum(w)``, u uniform in [0, 1). Without replacement each index gets the
    time ``-log(1 - u) / w_i``, and the indices of the smallest times come in their order, which
    is the order of drawing one after the other in proportion to the weights that are left. An
    epoch of a single index is drawn in this second way.

    The order is that of PyTorch's sampler of the same name with a generator of the same seed, on
    the CPU, over all epochs. What PyTorch does besides is an error here or does not happen: it
    gives an index of weight zero where fewer are above zero than are to be drawn without
    replacement (and, once in 2**53 draws, with), and refuses more than 2**24 weights.

    Parameters
    ----------
    weights
        1-D, not negative, any positive sum and any number.
    num_samples
        How many indices an epoch has.
    replacement
        Whether an index can come again.
    generator
        A generator or a seed; None draws from the default generator of the process.

    Raises
    ------
    ValueError
        If `num_samples` is not a positive ``int`` or `replacement` not a bool; if the weights
        are not 1-D, one is negative or not finite, or all are zero; or if without replacement
        fewer than `num_samples` weights are above zero.

    References
    ----------
    P. S. Efraimidis and P. G. Spirakis, "Weighted random sampling with a reservoir",
    Information Processing Letters 97(5), 2006.

    Examples
    --------
    >>> sampler = WeightedRandomSampler([0.1, 0.0, 3.0], num_samples=6, generator=0)
    >>> list(sampler)
    [2, 2, 2, 2, 2, 2]
    >>> sorted(WeightedRandomSampler([0.1, 0.0, 3.0], 2, replacement=False, generator=0))
    [0, 2]
    """

    def __init__(
        self,
        weights: ArrayLike,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | int | None = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = _checked_weights(weights)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = None if generator is None else as_generator(generator)
        possible = np.count_nonzero(self.weights)
        if not replacement and num_samples > possible:
            raise ValueError(
                f"cannot draw {num_samples} indices without replacement: only {possible} of "
                f"{self.weights.size} weights are above zero; draw fewer or with replacement"
            )

    def __iter__(self) -> Iterator[int]:
        with_replacement = self.replacement and self.num_samples > 1
        draw = _with_replacement if with_replacement else _without_replacement
        yield from draw(self.weights, self.num_samples, as_generator(self.generator)).tolist()

    def __len__(self) -> int:
        """The number of indices of an epoch."""
        return self.num_samples

    def state_dict(self) -> dict[str, Any] | None:
        """The generator's state, or None: without a generator the order cannot be repeated."""
        return generator_state(self.generator)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the generator to a state that `state_dict` returned."""
        load_generator_state(self, self.generator, state)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the ValueError of `load_state_dict`, but load nothing."""
        check_generator_state(self, self.generator, state)

    def order_settings(self) -> dict[str, Any]:
        """The arguments that decide the order, the weights as a checksum."""
        return {
            "weights": digest(self.weights),
            "num_samples": self.num_samples,
            "replacement": self.replacement,
        }


def _uniform(count: int, generator: Generator) -> NDArray[np.float64]:
    """Numbers in [0, 1) as PyTorch makes them: the low 53 bits of two outputs."""
    words = generator.raw32(2 * count).astype(np.uint64)
    bits = ((words[0::2] << np.uint64(32)) | words[1::2]) & np.uint64(2**53 - 1)
    return np.asarray(bits.astype(np.float64) * 2.0**-53)


def _with_replacement(
    weights: NDArray[np.float64], count: int, generator: Generator
) -> NDArray[np.intp]:
    possible = np.flatnonzero(weights)
    weights = weights[possible]
    with np.errstate(over="ignore"):
        cumulative = np.cumsum(weights)
    if cumulative[-1] == np.inf:
        cumulative = np.cumsum(weights / weights.max())
    cumulative /= cumulative[-1]
    return possible[np.searchsorted(cumulative, _uniform(count, generator), side="left")]


def _without_replacement(
    weights: NDArray[np.float64], count: int, generator: Generator
) -> NDArray[np.intp]:
    possible = np.flatnonzero(weights)
    # An index of weight zero takes its number, too: PyTorch's order depends on it.
    waited = -np.log1p(-_uniform(weights.size, generator))[possible]
    weights = weights[possible]
    with np.errstate(divide="ignore", over="ignore", under="ignore"):  # u may be 0
        rates, logarithms = weights / waited, np.log(weights) - np.log(waited)
    # The logarithms part what is too large or too small for a quotient.
    return possible[np.lexsort((-logarithms, -rates))[:count]]


def _checked_weights(weights: ArrayLike) -> NDArray[np.float64]:
    checked = np.array(weights, dtype=np.float64)
    if checked.ndim != 1:
        raise ValueError(
            f"weights should be a 1d sequence but given weights have shape {checked.shape}"
        )
    wrong = np.flatnonzero(~(np.isfinite(checked) & (checked >= 0)))
    if wrong.size:
        raise ValueError(
            f"weights must be finite and not negative, but weight {wrong[0]} is {checked[wrong[0]]}"
        )
    if not checked.any():
        raise ValueError(f"weights must have a positive sum, but all {checked.size} are zero")
    return checked
