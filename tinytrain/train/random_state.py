"""All the random generators that a run may draw from: saving and restoring where they are.

Those are tinytrain's default generator, the generators that layers have of their own (tinytrain's
and NumPy's), and the global ones of Python's `random` and of `numpy.random`, which a user's
transforms may use. All states are checked before any is set.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.generator import Generator, default_generator
from tinytrain.nn.module import Module
from tinytrain.train.numpy_source import (
    NumpyGenerator,
    NumpySource,
    check_twister,
    checked_like,
)
from tinytrain.twister import place_of

RandomSource: TypeAlias = Generator | NumpySource

MOST_DRAWS = 2**36
"""What a generator can be moved on by, from its seed, in some minutes."""


def generators_of(model: Module) -> list[RandomSource]:
    """Return the default generator, and those that layers such as dropout have of their own.

    Those in lists, tuples and dictionaries of a layer are found too.
    """
    found: list[Generator | NumpyGenerator] = [default_generator()]
    for layer in model.modules():
        for source in _generators_in(list(vars(layer).values()), depth=4):
            if all(source is not known for known in found):
                found.append(source)
    return [one if isinstance(one, Generator) else NumpySource(one) for one in found]


def _generators_in(value: Any, depth: int) -> Iterator[Generator | NumpyGenerator]:
    if isinstance(value, Generator | NumpyGenerator):
        yield value
    elif isinstance(value, Mapping):
        yield from _generators_in(list(value.values()), depth)
    elif isinstance(value, list | tuple) and depth:
        for item in value:
            yield from _generators_in(item, depth - 1)


@contextmanager
def random_kept(model: Module) -> Iterator[None]:
    """Put tinytrain's default generator, and those of the layers, back at the end of the block."""
    before = [(source, source.get_state()) for source in generators_of(model)]
    try:
        yield
    finally:
        for source, state in before:
            source.set_state(state)


def capture_random(generators: Sequence[RandomSource]) -> dict[str, Any]:
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


def restore_random(generators: Sequence[RandomSource], state: Mapping[str, Any]) -> None:
    """Put back what `capture_random` returned.

    Raises
    ------
    ValueError
        The state is of other generators, or none at all. Nothing is changed then.
    """
    check_random(generators, state)
    for generator, one in zip(generators, state["generators"], strict=True):
        generator.set_state(one)
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["normal"]))
    np.random.set_state(state["numpy"])  # noqa: NPY002


# ---------------------------------------------------------------- checking


def check_random(generators: Sequence[RandomSource], state: Any) -> None:
    """Raise a ValueError where something is no state of these generators and the global ones."""
    if not isinstance(state, Mapping) or {*state} != {"generators", "python", "numpy"}:
        raise ValueError("it has no states of random generators")
    saved = state["generators"]
    if not isinstance(saved, list) or len(generators) != len(saved):
        count = len(saved) if isinstance(saved, list) else saved
        raise ValueError(f"it has {count} generators, not {len(generators)}")
    for generator, one in zip(generators, saved, strict=True):
        if isinstance(generator, Generator):
            check_generator_state(one)
        else:
            generator.check_state(one)
    _check_python(state["python"])
    checked_like(capture_random([])["numpy"], state["numpy"], "the state of numpy.random")


def check_generator_state(state: Any) -> None:
    """Raise a ValueError where something is no state of a `tinytrain.Generator`."""
    if not isinstance(state, dict):
        raise ValueError(f"the state of a generator is a dictionary, not {state!r:.40}")
    tried = dict(state)
    if "draws" in tried:
        if whole_number("draws", tried["draws"], least=0) > MOST_DRAWS:
            raise ValueError(f"a generator cannot have {tried['draws']} draws")
        tried["draws"] = 0  # the way is long
    for name in {"initial_seed", "position"} & {*tried}:
        whole_number(name, tried[name], least=0)
    words = tried.get("words", [])
    if not isinstance(words, list) or any(type(word) is not int for word in words):
        raise ValueError("the words of a generator are a list of whole numbers")
    Generator(0).set_state(tried)
    if "words" in tried:
        check_twister(words)


def _check_python(state: Any) -> None:
    if not isinstance(state, dict) or {*state} != {"version", "words", "normal"}:
        raise ValueError("it has no state of Python's random generator")
    words, normal = state["words"], state["normal"]
    good = isinstance(words, np.ndarray) and words.dtype == np.uint32 and words.shape == (625,)
    good = good and type(state["version"]) is int and state["version"] == 3 and words[-1] <= 624
    if not good or not (normal is None or (type(normal) is float and math.isfinite(normal))):
        raise ValueError("the state of Python's random generator makes no sense")
    check_twister(words[:-1])


# ---------------------------------------------------------------- remembering


class RandomBookmark:
    """Remembers where all generators are before each step, in some 20 microseconds.

    Parameters
    ----------
    generators : sequence of generators

    Examples
    --------
    >>> bookmark = RandomBookmark([default_generator()])
    >>> bookmark.place()
    >>> expected = default_generator().get_state()
    >>> _ = default_generator().random_int64()
    >>> bookmark.read()["generators"][0] == expected
    True
    """

    def __init__(self, generators: Sequence[RandomSource]) -> None:
        self.generators = list(generators)
        self._numpy: dict[str, Any] = {"has_gauss": 1}
        self._numpy_place = b""
        self.place()

    def place(self) -> None:
        """Remember where the generators are now, instead of where they were before."""
        self._bookmarks = [generator.bookmark() for generator in self.generators]
        self._python = random.getstate()
        # NumPy's own is slow to ask, and is asked only where it may have moved.
        stream: Any = np.random.get_bit_generator()  # type: ignore[attr-defined]
        place = place_of(stream) if isinstance(stream, np.random.MT19937) else b""
        # A normal number may be left over from a pair: using it up does not move the stream.
        if place != self._numpy_place or not place or self._numpy["has_gauss"]:
            self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002
            self._numpy_place = place

    def read(self) -> dict[str, Any]:
        """Return what `capture_random` would have returned then."""
        return {
            "generators": [
                one if isinstance(one, dict) else one.state() for one in self._bookmarks
            ],
            "python": _of_python(self._python),
            "numpy": self._numpy,
        }


def _of_python(state: Any) -> dict[str, Any]:
    version, words, normal = state
    return {"version": version, "words": np.array(words, np.uint32), "normal": normal}
