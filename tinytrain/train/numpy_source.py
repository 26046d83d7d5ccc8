"""NumPy's random generators with the methods of tinytrain's: a state to take, to check, to set.

NumPy does not look at all of a state that it is given, and reads beyond its memory afterwards: so
the states of its generators are checked here.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.twister import STATE_WORDS

NumpyGenerator: TypeAlias = np.random.Generator | np.random.RandomState

_LIMITS = {"pos": 625, "buffer_pos": 5, "has_uint32": 2, "has_gauss": 2, "uinteger": 2**32}


class NumpySource:
    """One generator of NumPy's; its state is made of numbers, text and lists.

    Parameters
    ----------
    generator : numpy.random.Generator or numpy.random.RandomState

    Examples
    --------
    >>> source = NumpySource(np.random.default_rng(0))
    >>> state = source.get_state()
    >>> first = source.generator.random()
    >>> source.set_state(state)
    >>> source.generator.random() == first
    True
    """

    def __init__(self, generator: NumpyGenerator) -> None:
        self.generator = generator

    def get_state(self) -> dict[str, Any]:
        """Return where the generator is."""
        return _listed(self._state())  # type: ignore[no-any-return]

    def bookmark(self) -> "NumpyBookmark":
        """Return where the generator is now, as `tinytrain.Generator.bookmark` does."""
        return NumpyBookmark(self._state())

    def _state(self) -> Any:
        if isinstance(self.generator, np.random.Generator):
            return self.generator.bit_generator.state
        return self.generator.get_state(legacy=False)

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the generator where it was.

        Raises
        ------
        ValueError
            It is no state of such a generator; nothing is changed then.
        """
        checked = checked_like(self._state(), state, "the state")
        if isinstance(self.generator, np.random.Generator):
            self.generator.bit_generator.state = checked
        else:
            self.generator.set_state(checked)

    def check_state(self, state: Any) -> None:
        """Raise a ValueError where something is no state of such a generator."""
        checked_like(self._state(), state, "the state")


class NumpyBookmark(NamedTuple):
    """A place in the stream of a generator.

    Parameters
    ----------
    taken : dict
        As NumPy gives it.
    """

    taken: Any

    def state(self) -> dict[str, Any]:
        """Return what `NumpySource.get_state` would have returned there."""
        return _listed(self.taken)  # type: ignore[no-any-return]


def _listed(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _listed(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def checked_like(own: Any, saved: Any, name: str) -> Any:
    """Hold a saved state against the present one, part by part; return it as NumPy takes it.

    Raises
    ------
    ValueError
        A part is of another kind, or out of range.

    Examples
    --------
    >>> checked_like({"pos": 3}, {"pos": 625}, "the state")
    Traceback (most recent call last):
        ...
    ValueError: pos of a random generator is out of range: 625
    """
    if isinstance(own, dict):
        if not isinstance(saved, dict) or own.keys() != saved.keys():
            raise ValueError(f"{name} is not of this kind of random generator")
        return {part: checked_like(value, saved[part], part) for part, value in own.items()}
    if isinstance(own, np.ndarray):
        return _checked_words(own, saved, name)
    if isinstance(own, str):
        if own != saved:
            raise ValueError(f"the random generator is a {own}, the saved one {saved!r:.40}")
        return saved
    if isinstance(own, float):
        if not isinstance(saved, float) or not math.isfinite(saved):
            raise ValueError(f"{name} of a random generator is {saved!r:.40}")
        return saved
    if whole_number(name, saved, least=0) >= _LIMITS.get(name, 2**128):
        raise ValueError(f"{name} of a random generator is out of range: {saved}")
    return saved


def _checked_words(own: Any, saved: Any, name: str) -> Any:
    if isinstance(saved, list):
        largest = 2 ** (8 * own.dtype.itemsize)
        if not all(type(word) is int and 0 <= word < largest for word in saved):
            raise ValueError(f"{name} of a random generator has words out of range")
        saved = np.array(saved, dtype=own.dtype)
    if not isinstance(saved, np.ndarray) or (saved.dtype, saved.shape) != (own.dtype, own.shape):
        raise ValueError(f"{name} of a random generator has another shape or dtype")
    if name == "key" and len(saved) == STATE_WORDS:
        check_twister(saved)
    return saved


def check_twister(words: Any) -> None:
    """Raise a ValueError for the one state of a Mersenne Twister that it never leaves: all zeros.

    It gives zeros for ever, and whoever draws again until a number is another one waits as long.
    """
    if not any(words[1:]) and int(words[0]) < 2**31:
        raise ValueError("the words of a random generator are all zeros")
