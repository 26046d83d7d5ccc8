"""The place of a Mersenne Twister, copied from its memory or asked of NumPy."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import twister


@pytest.mark.parametrize("draws", [0, 1, 623, 624, 625, 5000])
def test_the_quick_way_and_the_slow_way_are_one(draws):
    stream = np.random.MT19937(3)
    stream.random_raw(draws, output=False)
    assert twister._copied(stream) == twister._asked(stream) == twister.place_of(stream)


def test_the_quick_way_is_taken_here():
    assert twister._is_laid_out_so()


@pytest.mark.parametrize("is_quick", [True, False])
def test_a_bookmark_is_the_state_of_its_moment(monkeypatch, is_quick):
    monkeypatch.setattr(twister, "_is_laid_out_so", lambda: is_quick)
    for use in (lambda g: g.raw32(7), lambda g: g.numpy.normal(size=3), lambda g: g.manual_seed(1)):
        generator = tt.Generator(5)
        use(generator)
        generator.raw32(2)
        bookmark, state = generator.bookmark(), generator.get_state()
        after = generator.raw32(1000)
        assert bookmark.state() == state
        generator.set_state(state)
        assert np.array_equal(generator.raw32(1000), after)
