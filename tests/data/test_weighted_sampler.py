"""Weighted draws: in proportion, never of weight zero, of any number of weights."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import WeightedRandomSampler
from tinytrain.generator import Generator

# The limits of chi-squared at p = 0.001, by degrees of freedom.
CHI2 = {3: 16.27, 5: 20.52}


def chi2(counts, probabilities):
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(np.sum((np.asarray(counts) - expected) ** 2 / expected))


def test_a_million_draws_are_in_proportion_and_none_has_weight_zero():
    weights = np.array([0, 0.1, 3.0, 0, 0.7, 0.2, 0, 1, 0])
    drawn = list(WeightedRandomSampler(weights, 1_000_000, generator=0))
    counts = np.bincount(drawn, minlength=9)
    assert not counts[weights == 0].any()
    possible = weights > 0
    assert chi2(counts[possible], weights[possible] / weights.sum()) < 18.47  # 4 degrees


def test_the_first_without_replacement_is_in_proportion_and_so_is_the_second():
    weights, generator = np.array([4.0, 0.0, 1.0, 2.0, 1.0]), Generator(1)
    sampler = WeightedRandomSampler(weights, 2, replacement=False, generator=generator)
    pairs = np.array([list(sampler) for _ in range(8000)])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    first = np.bincount(pairs[:, 0], minlength=5)
    assert first[1] == 0
    possible = weights > 0
    assert chi2(first[possible], weights[possible] / 8) < CHI2[3]
    second = np.zeros(5)
    for i in np.flatnonzero(possible):
        for j in np.flatnonzero(possible):
            second[j] += (i != j) * weights[i] / 8 * weights[j] / (8 - weights[i])
    counts = np.bincount(pairs[:, 1], minlength=5)
    assert chi2(counts[possible], second[possible]) < CHI2[3]


@settings(deadline=None, max_examples=40)
@given(
    weights=st.lists(
        st.one_of(st.just(0.0), st.floats(0, 1.7e308, allow_subnormal=True)), min_size=1, max_size=9
    ).filter(any),
    seed=st.integers(0, 99),
)
def test_any_weights(weights, seed):
    possible = {i for i, weight in enumerate(weights) if weight > 0}
    assert set(WeightedRandomSampler(weights, 50, generator=seed)) <= possible
    all_of_them = WeightedRandomSampler(weights, len(possible), False, generator=seed)
    assert sorted(all_of_them) == sorted(possible)
    assert all(type(index) is int for index in all_of_them)


def test_a_number_just_below_one_is_not_beyond_the_end():
    class AlmostOne(Generator):
        def raw32(self, count):
            return np.full(count, 2**32 - 1, dtype=np.uint32)

    for weights in ([0.1] * 10, [0.3, 0.3, 0.3], [3.0, 0.0]):
        last = max(i for i, weight in enumerate(weights) if weight)
        assert list(WeightedRandomSampler(weights, 2, generator=AlmostOne())) == [last, last]


@pytest.mark.oracle
@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_the_draws_are_those_of_pytorch(seed, replacement):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(seed)
    size = int(random.choice([1, 2, 5, 50, 1000, 5000]))
    weights = (
        random.random(size) * (random.random(size) > 0.3) * 10.0 ** random.integers(-5, 5, size)
    )
    weights[-1] = 1.0
    for count in {1, int(random.integers(1, np.count_nonzero(weights) + 1))}:
        generator = torch.Generator().manual_seed(seed)
        theirs = torch.utils.data.WeightedRandomSampler(
            weights, count, replacement, generator=generator
        )
        ours = WeightedRandomSampler(weights, count, replacement, generator=seed)
        for _ in range(3):
            assert list(ours) == list(theirs)


@pytest.mark.slow
def test_more_weights_than_pytorch_takes():
    weights = np.zeros(2**24 + 10)
    weights[[0, -1]] = 1
    assert set(WeightedRandomSampler(weights, 100, generator=0)) == {0, 2**24 + 9}


def test_state_repeats_the_next_epoch():
    make = lambda seed: WeightedRandomSampler([1.0, 2.0, 3.0], 5, generator=seed)  # noqa: E731
    sampler, other = make(0), make(1)
    list(sampler)
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert [list(other), list(other)] == [list(sampler), list(sampler)]
    assert len(sampler) == 5
    without = WeightedRandomSampler([1.0], 5)
    assert without.state_dict() is None
    with pytest.raises(ValueError, match="WeightedRandomSampler without a generator has no state"):
        without.load_state_dict({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0), "num_samples should be a positive integer value, but got num_samples=0"),
        (([1.0], True), "num_samples should be a positive integer value, but got num_samples=True"),
        (([1.0], 1, 0), "replacement should be a boolean value, but got replacement=0"),
        (([[1.0]], 1), r"weights should be a 1d sequence but given weights have shape \(1, 1\)"),
        (([1.0, -0.5], 1), "finite and not negative, but weight 1 is -0.5"),
        (([np.nan], 1), "finite and not negative, but weight 0 is nan"),
        (([np.inf], 1), "finite and not negative, but weight 0 is inf"),
        (([0.0, 0.0], 1), "positive sum, but all 2 are zero"),
        (([], 1), "positive sum, but all 0 are zero"),
        (([1.0, 0.0, 0.0], 2, False), "cannot draw 2 .* only 1 of 3 weights are above zero"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightedRandomSampler(*arguments)
