"""What a piece of code does to the random generators that belong to the whole process."""

import pickle
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinytrain.generator import default_generator


class RandomEffects(NamedTuple):
    """What happened to the generators of the process.

    Parameters
    ----------
    numpy : bool
        Whether the state of ``np.random`` changed.
    drawn : bool
        Whether tinytrain's default generator was drawn from, or seeded.
    reseeded : bool
        Whether its state afterwards was the same whatever it had been before.
    """

    numpy: bool
    drawn: bool
    reseeded: bool


def random_effects(run: Callable[[], object]) -> RandomEffects:
    """Run something from two states of the generators, and put back the states found.

    Examples
    --------
    >>> import tinytrain as tt
    >>> random_effects(lambda: tt.rand(2))
    RandomEffects(numpy=False, drawn=True, reseeded=False)
    >>> random_effects(lambda: tt.manual_seed(0))
    RandomEffects(numpy=False, drawn=True, reseeded=True)
    """
    generator = default_generator()
    # NumPy's global state is not ours: it is looked at, and given back.
    found, found_numpy = generator.get_state(), np.random.get_state()  # noqa: NPY002
    numpy = drawn = False
    after = []
    try:
        for seed in (20, 21):
            generator.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            before, numpy_before = generator.get_state(), _numpy_state()
            run()
            after.append(generator.get_state())
            numpy |= _numpy_state() != numpy_before
            drawn |= after[-1] != before
    finally:
        generator.set_state(found)
        np.random.set_state(found_numpy)  # noqa: NPY002
    return RandomEffects(numpy, drawn, after[0] == after[1])


def _numpy_state() -> bytes:
    return pickle.dumps(np.random.get_state())  # noqa: NPY002
