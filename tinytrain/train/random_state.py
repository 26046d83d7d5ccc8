"""All the random generators that a run may draw from: saving and restoring where they are.

Those are tinytrain's default generator, the generators that layers have of their own, and the
global ones of Python's `random` and of `numpy.random`, which a user's transforms may use.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinytrain.generator import Generator, default_generator
from tinytrain.nn.module import Module
from tinytrain.twister import place_of


def generators_of(model: Module) -> list[Generator]:
    """Return the default generator, and those that layers have, in lists and dictionaries too."""
    found = [default_generator()]
    for layer in model.modules():
        for value in _generators_in(list(vars(layer).values())):
            if all(value is not known for known in found):
                found.append(value)
    return found


def _generators_in(value: Any) -> Iterator[Generator]:
    if isinstance(value, Generator):
        yield value
    elif isinstance(value, Mapping):
        yield from _generators_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _generators_in(item)


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
    """Remembers where all generators are before each step, in some 20 microseconds.

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
            "generators": [bookmark.state() for bookmark in self._bookmarks],
            "python": _of_python(self._python),
            "numpy": self._numpy,
        }


def _of_python(state: Any) -> dict[str, Any]:
    version, words, normal = state
    return {"version": version, "words": np.array(words, np.uint32), "normal": normal}
