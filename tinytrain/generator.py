"""Random numbers: one Mersenne Twister stream whose shuffles equal PyTorch's, bit for bit.

Every random choice of tinytrain (initial weights, dropout, the order of a data set) is drawn
from a `Generator` that was handed over, or from the default generator of the process. NumPy's
global random state is neither read nor written.
"""

from __future__ import annotations

import operator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinytrain.twister import STATE_WORDS, place_of, state_at

__all__ = [
    "DEFAULT_SEED",
    "Bookmark",
    "Generator",
    "as_generator",
    "default_generator",
    "manual_seed",
]

DEFAULT_SEED: Final = 67280421310721
"""The seed of a generator that is given none: PyTorch's, so that fresh generators agree."""

# From this length on PyTorch draws 64 bits per swap, another stream than the one written here.
_LARGEST_PERMUTATION: Final = (2**32 - 1) // 20
# Likewise for an integer below a bound.
_WIDE_RANGE: Final = 2**28


class Bookmark(NamedTuple):
    """A place in the stream of a `Generator`, taken in a microsecond or two.

    Parameters
    ----------
    initial_seed : int
    draws : int or None
        The outputs drawn since the seed, where all were counted.
    place : bytes
        Where they were not: the words of the twister.

    Examples
    --------
    >>> generator = Generator(0)
    >>> bookmark = generator.bookmark()
    >>> first = generator.random_int64()
    >>> generator.set_state(bookmark.state())
    >>> generator.random_int64() == first
    True
    """

    initial_seed: int
    draws: int | None
    place: bytes

    def state(self) -> dict[str, Any]:
        """Return what `Generator.get_state` would have returned there."""
        known = {"algorithm": "MT19937", "initial_seed": self.initial_seed}
        if self.draws is not None:
            return {**known, "draws": self.draws}
        state = state_at(self.place)["state"]
        return {**known, "position": state["pos"], "words": state["key"].tolist()}


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
        # Draws by `numpy` pass this class by. So, once it was handed out, the place in the stream
        # where the last counted draw ended is kept, to tell whether others came in between.
        self._numpy_in_use = False
        self._counted_to: bytes | None = None
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
        self._set_draws(0)
        return self

    def initial_seed(self) -> int:
        """The seed the stream was last started from, in [0, 2**64)."""
        return self._initial_seed

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's distributions (normal, uniform, integers, ...) over this stream."""
        if not self._numpy_in_use:
            self._numpy_in_use = True
            self._set_draws(self._draws)
        return self._numpy

    def get_state(self) -> dict[str, Any]:
        """The exact position in the stream, as a small dictionary that ``json`` can write.

        It is the seed and the number of 32-bit outputs drawn since. After draws by `numpy`, whose
        outputs are not counted, it is the 624 words of the twister (7 KB) until the next
        `manual_seed`.

        Examples
        --------
        >>> generator = Generator(0)
        >>> first = generator.raw32(3)
        >>> state = generator.get_state()
        >>> state
        {'algorithm': 'MT19937', 'initial_seed': 0, 'draws': 3}
        >>> second = generator.raw32(3)
        >>> generator.set_state(state)
        >>> bool((generator.raw32(3) == second).all())
        True
        """
        return self.bookmark().state()

    def bookmark(self) -> Bookmark:
        """Where the stream is now; `Bookmark.state` makes the dictionary of it, at leisure."""
        draws = self._counted_draws()
        return Bookmark(
            self._initial_seed, draws, b"" if draws is not None else place_of(self._bits)
        )

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned.

        From a number of draws it moves on at 4 to 5 ns each: half a second for 10**8.

        Raises
        ------
        ValueError
            If the dictionary is not such a state. The generator is then unchanged.
        """
        seed, draws, twister = _checked_state(state)
        self.manual_seed(seed)
        if draws is None:
            self._bits.state = {
                "bit_generator": "MT19937",
                "state": {"key": twister["key"], "pos": twister["pos"]},
            }
        else:
            self._bits.random_raw(draws, output=False)
        self._set_draws(draws)

    @staticmethod
    def check_state(state: dict[str, Any]) -> None:
        """Raise the ValueError of `set_state` if the dictionary is no state of a generator."""
        _checked_state(state)

    def _set_draws(self, draws: int | None) -> None:
        """Note how many outputs were drawn since the seed (None: unknown) up to this place."""
        self._draws = draws
        if self._numpy_in_use:
            self._counted_to = place_of(self._bits)

    def _counted_draws(self) -> int | None:
        """The outputs drawn since the seed; None if some were not counted."""
        if self._draws is None or self._counted_to is None:
            return self._draws
        return self._draws if place_of(self._bits) == self._counted_to else None

    def raw32(self, count: int) -> NDArray[np.uint32]:
        """The next `count` outputs of the stream, 32 random bits each."""
        draws = self._counted_draws()
        outputs = self._bits.random_raw(count).astype(np.uint32)
        self._set_draws(None if draws is None else draws + count)
        return outputs

    def random(self, count: int) -> NDArray[np.float64]:
        """`count` floats in [0, 1) of 53 bits, two outputs each, as ``numpy.random(count)``."""
        words = self.raw32(2 * count).astype(np.float64)
        high, low = words[0::2] // 32, words[1::2] // 64
        return np.asarray((high * 2.0**26 + low) / 2.0**53)

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
        steps = np.arange(n, dtype=np.int32)
        partners = steps.copy()
        distances = self.raw32(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint32)
        partners[:-1] += distances.astype(np.int32)
        return _apply_swaps(steps, partners).astype(np.int64)

    def skip_randperm(self, n: int) -> None:
        """Move on by as many bits as `randperm` of n would use, without the work."""
        if n > 1:
            draws = self._counted_draws()
            self._bits.random_raw(n - 1, output=False)
            self._set_draws(None if draws is None else draws + n - 1)


def _apply_swaps(steps: NDArray[np.int32], partners: NDArray[np.int32]) -> NDArray[np.int32]:
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
    jumped = np.empty_like(steps)
    while True:  # ... and so on back to an item that nobody had moved: halve all paths at once.
        np.take(written_by, written_by, out=jumped, mode="clip")
        if np.array_equal(jumped, written_by):
            break
        written_by, jumped = jumped, written_by
    original = written_by

    # Steps with the same partner, in order: each finds there what the one before it has left.
    by_partner = (partners.astype(np.int64) << 32) | steps
    by_partner.sort()
    partner, step = (by_partner >> 32).astype(np.int32), by_partner.astype(np.int32)
    again = np.flatnonzero(partner[1:] == partner[:-1])
    shuffled = partners
    shuffled[step[again + 1]] = original[step[again]]
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


def _checked_state(state: dict[str, Any]) -> tuple[int, int | None, dict[str, Any]]:
    """The seed and either the number of draws or the twister's position and words."""
    found = set(state) if isinstance(state, dict) else set()
    found ^= {"algorithm", "initial_seed"}
    if found not in ({"draws"}, {"position", "words"}) or state["algorithm"] != "MT19937":
        raise ValueError(
            "not the state of an MT19937 generator: expected the keys algorithm, initial_seed "
            "and draws (or position and words), "
            f"but got {sorted(state) if isinstance(state, dict) else type(state).__name__}"
        )
    seed = _checked_seed(state["initial_seed"])
    if "draws" in found:
        draws = state["draws"]
        if not isinstance(draws, int) or draws < 0:
            raise ValueError(f"the number of draws must be an integer >= 0, but is {draws!r}")
        return seed, draws, {}
    words = np.asarray(state["words"])
    position = operator.index(state["position"])
    exact = words.shape == (STATE_WORDS,) and words.dtype.kind in "iu"
    if not exact or words.min() < 0 or words.max() >= 2**32:
        raise ValueError(f"a state has {STATE_WORDS} words of 32 bits, but got {words!r}")
    if not 0 <= position <= STATE_WORDS:
        raise ValueError(f"position must be in [0, {STATE_WORDS}], but got {position}")
    return seed, None, {"key": words.astype(np.uint32), "pos": position}


_default = Generator()


def default_generator() -> Generator:
    """The generator of the process, used wherever none is given.

    It starts from `DEFAULT_SEED`, so that a program draws the same numbers each time it runs
    until it calls `manual_seed` itself.

    Examples
    --------
    >>> import tinytrain as tt
    >>> default_generator() is tt.manual_seed(0)
    True
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
