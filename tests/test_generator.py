"""The generator: recorded PyTorch draws, exact states, and nothing global touched."""

import copy
import json
import pickle
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.generator import (
    DEFAULT_SEED,
    Generator,
    as_generator,
    default_generator,
    manual_seed,
)

# Recorded with PyTorch 2.13: randperm(10), and the CRC-32 of randperm(1000) and randperm(50000)
# as little-endian int64.
RECORDED = {
    0: ([4, 1, 7, 5, 3, 9, 0, 8, 6, 2], 1167042831, 4284903027),
    1: ([5, 6, 1, 2, 0, 8, 9, 3, 7, 4], 1706473056, 2847493412),
    7: ([5, 0, 3, 4, 1, 7, 9, 6, 8, 2], 1622599416, 651148830),
    42: ([2, 6, 1, 8, 4, 5, 0, 9, 3, 7], 441664704, 2992228727),
    123456: ([5, 2, 4, 9, 1, 7, 3, 6, 0, 8], 4079519151, 3967127744),
    DEFAULT_SEED: ([0, 3, 7, 5, 2, 9, 8, 1, 4, 6], None, None),
}


@pytest.fixture(autouse=True)
def _keep_default_generator():
    state = default_generator().get_state()
    yield
    default_generator().set_state(state)


def crc(order):
    return zlib.crc32(order.astype("<i8").tobytes())


@pytest.mark.parametrize("seed", RECORDED)
def test_randperm_equals_recorded_orders(seed):
    ten, thousand, many = RECORDED[seed]
    order = Generator(seed).randperm(10)
    assert order.dtype == np.int64
    assert order.tolist() == ten
    if thousand is not None:
        assert crc(Generator(seed).randperm(1000)) == thousand
        assert crc(Generator(seed).randperm(50000)) == many


def test_int64_and_randint_equal_recorded_draws():
    generator = Generator(42)
    assert generator.random_int64() == 6909045637428952499
    assert generator.random_int64() == 8314211556539077902
    generator = Generator(0)
    assert generator.randint(10, 6).tolist() == [4, 9, 3, 0, 3, 9]
    assert generator.randint(2**40, 2).tolist() == [841157541223, 41332891347]


def plain_shuffle(n, draws):
    order = list(range(n))
    for i, draw in enumerate(draws):
        j = i + draw % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


@settings(deadline=None)
@given(n=st.integers(0, 200), seed=st.integers(-(2**63), 2**64 - 1))
def test_randperm_is_the_plain_loop_of_swaps(n, seed):
    draws = Generator(seed).raw32(max(n - 1, 0)).tolist()
    assert Generator(seed).randperm(n).tolist() == plain_shuffle(n, draws)


@pytest.mark.parametrize("n", [0, 1, 2, 17])
def test_skipping_a_permutation_uses_the_same_bits(n):
    drawn, skipped = Generator(3), Generator(3)
    drawn.randperm(n)
    skipped.skip_randperm(n)
    assert drawn.get_state() == skipped.get_state()


def test_seeds():
    assert Generator().initial_seed() == DEFAULT_SEED
    assert repr(Generator(3)) == "Generator(initial_seed=3)"
    assert Generator(-5).initial_seed() == 2**64 - 5
    assert Generator(np.int64(3)).initial_seed() == 3
    generator = Generator(1)
    first = generator.raw32(700)
    assert generator.manual_seed(1) is generator
    np.testing.assert_array_equal(generator.raw32(700), first)
    np.testing.assert_array_equal(Generator(1 + 2**32).raw32(700), first)
    assert not np.array_equal(Generator(2).raw32(700), first)
    assert first.dtype == np.uint32
    for seed in (1.0, "1", True, None):
        with pytest.raises(TypeError, match="must be an integer"):
            Generator(seed)
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="must be in"):
            Generator(seed)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), used=st.integers(0, 2000), by_numpy=st.booleans())
def test_state_is_exact_and_survives_json(seed, used, by_numpy):
    generator = Generator(seed)
    generator.raw32(used)
    if by_numpy:
        generator.numpy.normal(size=used)
    state = json.loads(json.dumps(generator.get_state()))
    expected = (generator.raw32(5).tolist(), generator.numpy.normal(size=3).tolist())
    other = Generator(seed + 1)
    other.set_state(state)
    assert (other.raw32(5).tolist(), other.numpy.normal(size=3).tolist()) == expected
    assert other.initial_seed() == seed


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(["raw32", "randperm", "skip", "int64", "randint", "random", "numpy"]),
        max_size=6,
    ),
    st.integers(0, 700),
)
def test_the_state_is_small_unless_numpy_drew(calls, count):
    generator = Generator(4)
    draws = {
        "raw32": lambda: generator.raw32(count),
        "randperm": lambda: generator.randperm(count),
        "skip": lambda: generator.skip_randperm(count),
        "int64": generator.random_int64,
        "randint": lambda: generator.randint(2**30, count),
        "random": lambda: generator.random(count),
        "numpy": lambda: generator.numpy.random(2),
    }
    for call in calls:
        draws[call]()
    state = generator.get_state()
    assert ("words" in state) is ("numpy" in calls)
    assert ("draws" in state) is ("numpy" not in calls)
    other = Generator()
    other.set_state(state)
    assert other.get_state() == state
    assert other.raw32(3).tolist() == generator.raw32(3).tolist()


def test_uncounted_draws_are_noticed_also_after_a_new_start():
    """A stream of 624 words is where it was after 624 draws, with other words."""
    generator = Generator(1)
    distributions = generator.numpy
    assert generator.get_state()["draws"] == 0
    generator.manual_seed(2).raw32(3)
    distributions.bit_generator.random_raw(624)
    assert "words" in generator.get_state()
    generator.raw32(1)
    assert "words" in generator.get_state()
    generator.manual_seed(2).raw32(3)
    assert generator.get_state() == {"algorithm": "MT19937", "initial_seed": 2, "draws": 3}


def test_random_is_numpys_own_recipe():
    np.testing.assert_array_equal(Generator(5).random(1000), Generator(5).numpy.random(1000))


WORDS = {"algorithm": "MT19937", "initial_seed": 1, "position": 3, "words": [7] * 624}
DRAWS = {"algorithm": "MT19937", "initial_seed": 1, "draws": 3}


@pytest.mark.parametrize("good", [WORDS, DRAWS])
def test_a_good_state_is_taken(good):
    generator = Generator(9)
    generator.set_state(good)
    assert generator.get_state() == good


@pytest.mark.parametrize(
    "state",
    [
        WORDS | {"position": 625},
        WORDS | {"position": -1},
        WORDS | {"words": [0] * 623},
        WORDS | {"words": [2**32] * 624},
        WORDS | {"words": [-1] * 624},
        WORDS | {"words": [0.5] * 624},
        WORDS | {"algorithm": "PCG64"},
        WORDS | {"extra": 1},
        WORDS | {"draws": 1},
        WORDS | {"initial_seed": 2**64},
        DRAWS | {"draws": -1},
        DRAWS | {"draws": 1.5},
        DRAWS | {"algorithm": "PCG64"},
        {"draws": 1, "algorithm": "MT19937"},
        {},
        [1],
    ],
    ids=lambda state: str(state)[-30:],
)
def test_a_bad_state_is_refused_and_changes_nothing(state):
    generator = Generator(9)
    before = generator.get_state()
    with pytest.raises(ValueError):
        generator.set_state(state)
    assert generator.get_state() == before


def test_numpy_draws_from_the_same_stream():
    generator = Generator(5)
    expected = Generator(5).raw32(4)
    np.testing.assert_array_equal(generator.numpy.bit_generator.random_raw(2), expected[:2])
    np.testing.assert_array_equal(generator.raw32(2), expected[2:])
    distributions = generator.numpy
    first = distributions.uniform(size=4)
    generator.manual_seed(5).raw32(4)
    np.testing.assert_array_equal(distributions.uniform(size=4), first)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_go_on_by_themselves(clone):
    generator = Generator(5)
    generator.raw32(10)
    other = clone(generator)
    other.numpy.uniform(size=3)
    assert other.get_state() != generator.get_state()
    generator.numpy.uniform(size=3)
    np.testing.assert_array_equal(other.raw32(4), generator.raw32(4))


def test_numpys_global_state_is_not_touched():
    np.random.seed(123)
    before = np.random.get_state(legacy=False)["state"]
    manual_seed(4)
    generator = Generator(4)
    generator.randperm(1000)
    generator.numpy.normal(size=10)
    generator.set_state(generator.get_state())
    default_generator().random_int64()
    after = np.random.get_state(legacy=False)["state"]
    assert before["pos"] == after["pos"]
    np.testing.assert_array_equal(before["key"], after["key"])


def test_default_generator():
    assert manual_seed(7) is default_generator()
    assert default_generator().randperm(10).tolist() == RECORDED[7][0]
    assert as_generator(None) is default_generator()
    generator = Generator(2)
    assert as_generator(generator) is generator
    assert as_generator(np.int64(8)).initial_seed() == 8
    for wrong in (True, 1.5, np.random.default_rng(0)):
        with pytest.raises(TypeError, match="tinytrain Generator"):
            as_generator(wrong)


def test_ranges_are_checked():
    generator = Generator(0)
    for n in (-1, 2**32 // 20 + 1):
        with pytest.raises(ValueError, match="randperm needs"):
            generator.randperm(n)
    for high in (0, 2**63 + 1):
        with pytest.raises(ValueError, match="randint needs"):
            generator.randint(high, 1)
    with pytest.raises(TypeError):
        generator.randperm(2.0)
