"""All the random generators that a run may draw from: saving and restoring where they are.

Those are tinytrain's default generator, the generators that layers have of their own, and the
global ones of Python's `random` and of `numpy.random`, which a user's transforms may use.
"""

import ctypes
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinytrain.generator import Generator, default_generator
from tinytrain.nn.module import Module

_WORDS = 624  # of the Mersenne Twister, and its position as one more


def generators_of(model: Module) -> list[Generator]:
    """Return the default generator, and those that layers such as dropout have of their own."""
    found = [default_generator()]
    for layer in model.modules():
        for value in vars(layer).values():
            if isinstance(value, Generator) and all(value is not known for known in found):
                found.append(value)
    return found


def capture_random(generators: Sequence[Generator]) -> dict[str, Any]:
    """Return the states of generators, and of Python's and NumPy's global ones.

    Examples
    --------
    >>> generators = [default_generator()]
    >>> state = capture_random(generators)
    >>> first = random.random(), np.random.random(), default_generator().random_int64()
    >>> restore_random(generators, state)
    >>> first == (random.random(), np.random.random(), default_generator().random_int64())
    True
    """
    return {
        "generators": [generator.get_state() for generator in generators],
        "python": _of_python(random.getstate()),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - not ours, a user's
    }


def restore_random(generators: Sequence[Generator], state: Mapping[str, Any]) -> None:
    """Put back what `capture_random` returned.

    Raises
    ------
    ValueError, TypeError, KeyError
        The state is of another number of generators, or none at all.
    """
    saved = state["generators"]
    if len(generators) != len(saved):
        raise ValueError(f"it has {len(saved)} generators, not {len(generators)}")
    for generator, one in zip(generators, saved, strict=True):
        generator.set_state(one)
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["normal"]))
    np.random.set_state(state["numpy"])  # noqa: NPY002


class RandomBookmark:
    """Remembers where all generators are before each step, in a few microseconds.

    Asking NumPy for the state of a Mersenne Twister takes as long as a small training step, since
    it makes Python numbers of 624 words; this copies its memory, whose address NumPy gives, and
    makes the numbers only when they are asked for.

    Parameters
    ----------
    generators : sequence of Generator

    Examples
    --------
    >>> bookmark = RandomBookmark([default_generator()])
    >>> bookmark.place()
    >>> expected = default_generator().get_state()
    >>> _ = default_generator().random_int64()
    >>> bookmark.read()["generators"][0] == expected
    True
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        self.generators = list(generators)
        # Where NumPy lays its memory out in another way, the slow way is the only one.
        self._is_quick = all(_is_readable(one.numpy.bit_generator) for one in self.generators)
        self._numpy: dict[str, Any] = {"has_gauss": 1}
        self._numpy_memory = b""
        self.place()

    def place(self) -> None:
        """Remember where the generators are now, instead of where they were before."""
        self._python = random.getstate()
        self._place_numpy()
        if not self._is_quick:
            self._states = [generator.get_state() for generator in self.generators]
            return
        self._seeds = [generator.initial_seed() for generator in self.generators]
        self._memory = [_memory_of(generator.numpy.bit_generator) for generator in self.generators]

    def _place_numpy(self) -> None:
        """Ask NumPy's global generator, unless it clearly is where it was."""
        stream: Any = np.random.get_bit_generator()  # type: ignore[attr-defined]
        memory = _memory_of(stream) if isinstance(stream, np.random.MT19937) else b""
        # A normal number may be left over from a pair: using it up does not move the stream.
        if memory != self._numpy_memory or not memory or self._numpy["has_gauss"]:
            self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002
            self._numpy_memory = memory

    def read(self) -> dict[str, Any]:
        """Return what `capture_random` would have returned then."""
        if self._is_quick:
            self._states = [
                _state_of(generator, seed, memory)
                for generator, seed, memory in zip(
                    self.generators, self._seeds, self._memory, strict=True
                )
            ]
        return {
            "generators": self._states,
            "python": _of_python(self._python),
            "numpy": self._numpy,
        }


def _of_python(state: Any) -> dict[str, Any]:
    version, words, normal = state
    return {"version": version, "words": np.array(words, np.uint32), "normal": normal}


def _state_of(generator: Generator, seed: int, memory: bytes) -> dict[str, Any]:
    words, position = _words_of(memory)
    return {
        **generator.get_state(),
        "initial_seed": seed,
        "position": position,
        "words": words.tolist(),
    }


def _memory_of(stream: Any) -> bytes:
    return ctypes.string_at(stream.ctypes.state_address, 4 * (_WORDS + 1))


def _words_of(memory: bytes) -> tuple[Any, int]:
    words = np.frombuffer(memory, np.uint32)
    return words[:_WORDS].copy(), int(words[_WORDS])


def _is_readable(stream: Any) -> bool:
    """Whether the memory of a bit generator is 624 words and a position, as here understood."""
    state = stream.state
    if state.get("bit_generator") != "MT19937":
        return False
    words, position = _words_of(_memory_of(stream))
    return np.array_equal(words, state["state"]["key"]) and position == state["state"]["pos"]
