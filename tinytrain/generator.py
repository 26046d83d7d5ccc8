"""Random numbers: one Mersenne Twister stream whose shuffles equal PyTorch's, bit for bit.

Every random choice of tinytrain (initial weights, dropout, the order of a data set) is drawn
from a `Generator` that was handed over, or from the default generator of the process. NumPy's
global random state is neither read nor written.
"""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_SEED", "Generator", "as_generator", "default_generator", "manual_seed"]

DEFAULT_SEED: Final = 67280421310721
"""The seed of a generator that is given none: PyTorch's, so that fresh generators agree."""

_STATE_WORDS: Final = 624
# From this length on PyTorch draws 64 bits per swap, another stream than the one written here.
_LARGEST_PERMUTATION: Final = (2**32 - 1) // 20
# Likewise for an integer below a bound.
_WIDE_RANGE: Final = 2**28


class Generator:
    """A stream of random bits (MT19937) with the draws that PyTorch's CPU generator makes.

    The same seed gives the same `randperm` and `random_int64` as ``torch.Generator`` on the
    CPU. Normal, uniform and other floating-point draws come from `numpy`, a
    ``np.random.Generator`` over the same bits; those follow NumPy's recipes, not PyTorch's.

    As in PyTorch only the low 32 bits of a seed reach the stream: two seeds that differ by a
    multiple of 2**32 give the same numbers.

    Parameters
    ----------
    seed
        An integer in [-2**63, 2**64). A negative one means ``seed + 2**64``. The default is
        PyTorch's, `DEFAULT_SEED`.

    Raises
    ------
    TypeError
        If the seed is no integer.
    ValueError
        If the seed is out of range.

    References
    ----------
    M. Matsumoto and T. Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998.

    Examples
    --------
    >>> generator = Generator(1)
    >>> generator.randperm(5)
    array([0, 4, 2, 3, 1])
    >>> generator.manual_seed(1).randperm(5)
    array([0, 4, 2, 3, 1])
    >>> generator.numpy.normal(size=(2, 3)).shape
    (2, 3)
    """

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._bits = np.random.MT19937(0)
        self._numpy = np.random.Generator(self._bits)
        self.manual_seed(seed)

    def __repr__(self) -> str:
        return f"Generator(initial_seed={self._initial_seed})"

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream from a seed and return the generator itself."""
        self._initial_seed = _checked_seed(seed)
        # RandomState's documented state is the plain seeding of the 1998 paper, which PyTorch
        # uses too; MT19937(seed) would hash the seed first.
        state = np.random.RandomState(self._initial_seed & 0xFFFFFFFF).get_state(legacy=False)
        self._bits.state = {"bit_generator": "MT19937", "state": state["state"]}
        return self

    def initial_seed(self) -> int:
        """The seed the stream was last started from, in [0, 2**64)."""
        return self._initial_seed

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's distributions (normal, uniform, integers, ...) over this stream."""
        return self._numpy

    def get_state(self) -> dict[str, Any]:
        """The exact position in the stream, as a dictionary that ``json`` can write (7 KB).

        Examples
        --------
        >>> generator = Generator(0)
        >>> state = generator.get_state()
        >>> first = generator.raw32(3)
        >>> generator.set_state(state)
        >>> bool((generator.raw32(3) == first).all())
        True
        """
        state = self._bits.state["state"]
        return {
            "algorithm": "MT19937",
            "initial_seed": self._initial_seed,
            "position": int(state["pos"]),
            "words": state["key"].tolist(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned.

        Raises
        ------
        ValueError
            If the dictionary is not such a state. The generator is then unchanged.
        """
        words, position = _checked_state(state)
        self._initial_seed = _checked_seed(state["initial_seed"])
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": position}}

    def raw32(self, count: int) -> NDArray[np.uint32]:
        """The next `count` outputs of the stream, 32 random bits each."""
        return self._bits.random_raw(count).astype(np.uint32)

    def random_int64(self) -> int:
        """One integer in [0, 2**63), as ``torch.empty((), dtype=torch.int64).random_()``."""
        high, low = (int(word) for word in self.raw32(2))
        return ((high << 32) | low) % 2**63

    def randint(self, high: int, count: int) -> NDArray[np.int64]:
        """`count` integers in [0, high), as ``torch.randint(high, (count,), generator=...)``.

        Each is a 32-bit output modulo `high` (from 2**28 on: a pair of outputs), as in PyTorch,
        so that small values are more likely than large ones by a share of up to 1/16 for `high`
        just below 2**28, and far less for smaller ones.

        Raises
        ------
        ValueError
            If `high` is not in [1, 2**63].

        Examples
        --------
        >>> Generator(0).randint(10, count=4)
        array([4, 9, 3, 0])
        """
        if not 1 <= high <= 2**63:
            raise ValueError(f"randint needs 1 <= high <= 2**63, but got high={high}")
        if high < _WIDE_RANGE:
            return (self.raw32(count) % np.uint32(high)).astype(np.int64)
        words = self.raw32(2 * count).astype(np.uint64)
        pairs = (words[0::2] << np.uint64(32)) | words[1::2]
        return (pairs % np.uint64(high)).astype(np.int64)

    def randperm(self, n: int) -> NDArray[np.int64]:
        """A random order of 0 ... n - 1, equal to ``torch.randperm(n, generator=...)``.

        Fisher and Yates' shuffle: for i = 0 ... n - 2, swap the items at i and
        i + (r_i mod (n - i)), where r_i is the next 32-bit output.

        Parameters
        ----------
        n
            The number of items, 0 <= n < 214748364. (From there on PyTorch shuffles
            differently.)

        Returns
        -------
        ndarray
            int64, shape (n,).

        Raises
        ------
        ValueError
            If n is out of range.

        Examples
        --------
        >>> Generator(42).randperm(6)
        array([0, 3, 2, 4, 1, 5])
        """
        n = operator.index(n)
        if not 0 <= n < _LARGEST_PERMUTATION:
            raise ValueError(f"randperm needs 0 <= n < {_LARGEST_PERMUTATION}, but got n={n}")
        steps = np.arange(n)
        partners = steps.copy()
        distances = self.raw32(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint32)
        partners[:-1] += distances.astype(np.int64)
        return _apply_swaps(steps, partners)

    def skip_randperm(self, n: int) -> None:
        """Move on by as many bits as `randperm` of n would use, without the work."""
        if n > 1:
            self._bits.random_raw(n - 1, output=False)


def _apply_swaps(steps: NDArray[np.int64], partners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Swap items i and partners[i] >= i of 0 ... n - 1, for i = 0, 1, ... in turn.

    Position i is final after step i, and holds what lay at partners[i] just before. So only two
    questions matter, and both have an answer for all steps at once: which earlier step last
    wrote to a position, and where did the item that this step wrote come from?

    The plain loop needs five times as long for 60,000 items; a test holds it against this.
    """
    moves = partners > steps
    # The item at i before step i was written by the last step whose partner is i (of repeated
    # positions an assignment keeps the last), which wrote what lay at its own place before ...
    written_by = steps.copy()
    written_by[partners[moves]] = steps[moves]
    while True:  # ... and so on back to an item that nobody had moved: halve all paths at once.
        jumped = written_by[written_by]
        if np.array_equal(jumped, written_by):
            break
        written_by = jumped
    original = written_by

    # Steps with the same partner, in order: each finds there what the one before it has left.
    by_partner = np.sort((partners << 32) | steps)
    partner, step = by_partner >> 32, by_partner & 0xFFFFFFFF
    again = np.flatnonzero(partner[1:] == partner[:-1]) + 1
    shuffled = partners
    shuffled[step[again]] = original[step[again - 1]]
    return shuffled


def _checked_seed(seed: int) -> int:
    if isinstance(seed, (bool, np.bool_)):
        raise TypeError(f"a seed must be an integer, but got {seed!r}")
    try:
        value = operator.index(seed)
    except TypeError:
        raise TypeError(f"a seed must be an integer, but got {seed!r}") from None
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"a seed must be in [-2**63, 2**64), but got {value}")
    return value % 2**64


def _checked_state(state: dict[str, Any]) -> tuple[NDArray[np.uint32], int]:
    keys = {"algorithm", "initial_seed", "position", "words"}
    if not isinstance(state, dict) or set(state) != keys or state["algorithm"] != "MT19937":
        raise ValueError(
            f"not the state of an MT19937 generator: expected the keys {sorted(keys)}, "
            f"but got {sorted(state) if isinstance(state, dict) else type(state).__name__}"
        )
    words = np.asarray(state["words"])
    position = operator.index(state["position"])
    exact = words.shape == (_STATE_WORDS,) and words.dtype.kind in "iu"
    if not exact or words.min() < 0 or words.max() >= 2**32:
        raise ValueError(f"a state has {_STATE_WORDS} words of 32 bits, but got {words!r}")
    if not 0 <= position <= _STATE_WORDS:
        raise ValueError(f"position must be in [0, {_STATE_WORDS}], but got {position}")
    return words.astype(np.uint32), position


_default = Generator()


def default_generator() -> Generator:
    """The generator of the process, used wherever none is given.

    It starts from `DEFAULT_SEED`, so that a program draws the same numbers each time it runs
    until it calls `manual_seed` itself.
    """
    return _default


def manual_seed(seed: int) -> Generator:
    """Restart the default generator of the process from a seed, and return it.

    Examples
    --------
    >>> _ = manual_seed(1)
    >>> default_generator().randperm(5)
    array([0, 4, 2, 3, 1])
    """
    return _default.manual_seed(seed)


def as_generator(generator: Generator | int | None) -> Generator:
    """A generator from itself, from a seed, or (None) the default generator of the process.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if generator is None:
        return _default
    if isinstance(generator, Generator):
        return generator
    if isinstance(generator, (int, np.integer)) and not isinstance(generator, bool):
        return Generator(int(generator))
    raise TypeError(
        "generator must be a tinytrain Generator, an integer seed or None, "
        f"but got {type(generator).__name__}"
    )
