"""Every random generator that a run may draw from is saved, and put back exactly."""

import json
import random

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.train.nested_state import pack, unpack
from tinytrain.train.random_state import (
    RandomBookmark,
    capture_random,
    generators_of,
    restore_random,
)


@pytest.fixture(autouse=True)
def _the_global_generators_stay_as_they_are():
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def make_model():
    return tt.nn.Sequential(tt.nn.Dropout(0.5), tt.nn.Dropout(0.5, generator=tt.Generator(3)))


def draws(generators):
    """Some numbers of every generator, of every kind that keeps something back."""
    own = [(generator.random_int64(), *generator.numpy.normal(size=3)) for generator in generators]
    python = (random.random(), random.gauss(0, 1), random.getrandbits(7))
    return own, python, (np.random.random(), np.random.normal(), np.random.randint(9))


MOVES = {
    "nothing": lambda: None,
    "default": lambda: tt.default_generator().random_int64(),
    "reseeded": lambda: tt.manual_seed(99),
    "python": random.random,
    "python's pair": lambda: random.gauss(0, 1),
    "numpy": np.random.random,
    "numpy's pair": np.random.normal,  # leaves the second one of a pair behind
    "numpy reseeded": lambda: np.random.seed(5),
}


def test_generators_are_the_default_one_and_those_of_layers():
    model = make_model()
    assert generators_of(model) == [tt.default_generator(), model[1].generator]


@pytest.mark.parametrize("move", MOVES)
def test_a_captured_state_survives_a_file(move):
    generators = generators_of(make_model())
    MOVES[move]()
    arrays = {}
    text = json.dumps(pack(capture_random(generators), "random", arrays))
    expected = draws(generators)
    restore_random(generators, unpack(json.loads(text), arrays))
    assert draws(generators) == expected


@pytest.mark.parametrize("first", MOVES)
@pytest.mark.parametrize("second", ["nothing", "default", "numpy's pair"])
def test_a_bookmark_finds_the_place_it_was_put_at_last(first, second):
    generators = generators_of(make_model())
    bookmark = RandomBookmark(generators)
    for move in (first, second):
        MOVES[move]()
        bookmark.place()
    expected = draws(generators)
    restore_random(generators, bookmark.read())
    assert draws(generators) == expected


def test_another_number_of_generators_is_refused():
    generators = generators_of(make_model())
    state = capture_random(generators)
    with pytest.raises(ValueError, match="it has 2 generators, not 1"):
        restore_random(generators[:1], state)
