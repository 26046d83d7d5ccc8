"""Balanced batches: what a batch holds, that weights undo the shift exactly, and resuming."""

import json
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data.balanced_sampler import BalancedBatchSampler
from tinytrain.generator import Generator, default_generator
from tinytrain.testing import check_sampler

LABELS = [0] * 7 + [1] * 3 + [2] * 12


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    labels = draw(st.permutations([c for c, n in enumerate(counts) for _ in range(n)]))
    per_class = draw(st.integers(1, 12))
    per_batch = draw(st.integers(1, len(counts)))
    return labels, per_class, per_batch, draw(st.integers(1, 12)), draw(st.integers(0, 99))


@given(cases())
def test_every_batch_is_balanced_and_every_sample_has_its_turn(case):
    labels, per_class, per_batch, batches, seed = case
    sampler = BalancedBatchSampler(labels, per_class, per_batch, batches, generator=seed)
    epoch = list(sampler)
    assert len(epoch) == len(sampler) == batches
    visits = Counter(index for batch in epoch for index in batch)
    for batch in epoch:
        drawn = Counter(labels[index] for index in batch)
        assert list(drawn.values()) == [per_class] * per_batch
        for index, times in Counter(batch).items():
            size = labels.count(labels[index])
            assert per_class // size <= times <= -(-per_class // size)
    for c, size in enumerate(sampler.class_counts):
        turns = [visits[index] for index, label in enumerate(labels) if label == c]
        assert len(turns) == size
        assert max(turns) - min(turns) <= 1
    classes = Counter(c for batch in epoch for c in {labels[index] for index in batch})
    taken = [classes[c] for c in range(len(sampler.class_counts))]
    assert max(taken) - min(taken) <= 1


class EveryOutcome(Generator):
    """Gives each permutation in turn: `following` moves to the next path through all choices."""

    def __init__(self):
        super().__init__(0)
        self.path = []  # (choice, number of choices), as far as the last run went
        self.step = 0

    def randperm(self, n):
        if self.step == len(self.path):
            self.path.append((0, math.factorial(n)))
        choice, self.step = self.path[self.step][0], self.step + 1
        items, order = list(range(n)), []
        for left in range(n, 0, -1):
            choice, position = divmod(choice, left)
            order.append(items.pop(position))
        return np.array(order)

    def probability(self):
        return Fraction(1, math.prod(count for _, count in self.path))

    def following(self):
        self.step = 0
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if self.path:
            self.path[-1] = (self.path[-1][0] + 1, self.path[-1][1])
        return bool(self.path)


@pytest.mark.parametrize(
    ("labels", "per_class", "per_batch"),
    [([0, 0, 0, 1, 2, 2], 1, 2), ([0, 0, 0, 1, 1], 2, 2), ([0, 0, 0, 1], 2, 1), ([0, 0, 1], 3, 1)],
)
def test_the_weighted_mean_is_the_mean_of_the_data_in_exact_expectation(
    labels, per_class, per_batch
):
    """Over all outcomes with their probabilities, in fractions, for every batch of an epoch."""
    generator, batches = EveryOutcome(), 2
    expected = [[Fraction(0)] * len(labels) for _ in range(batches)]
    total = Fraction(0)
    while True:
        sampler = BalancedBatchSampler(labels, per_class, per_batch, batches, generator=generator)
        epoch = list(sampler)
        total += generator.probability()
        for position, batch in enumerate(epoch):
            for index in batch:
                expected[position][index] += generator.probability() / len(batch)
        if not generator.following():
            break
    assert total == 1
    for shares in expected:
        weights = [Fraction(w).limit_denominator(1000) for w in sampler.importance_weights]
        weighted = [share * weight for share, weight in zip(shares, weights, strict=True)]
        assert weighted == [Fraction(1, len(labels))] * len(labels)


def test_over_whole_rounds_the_weighted_mean_is_exact_without_any_expectation():
    labels = [0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    values = np.random.default_rng(0).normal(size=len(labels))
    sampler = BalancedBatchSampler(labels, samples_per_class=2, num_batches=6, generator=3)
    drawn = np.concatenate(list(sampler))
    weighted = (sampler.importance_weights[drawn] * values[drawn]).sum() / len(drawn)
    assert weighted == pytest.approx(values.mean(), rel=1e-12)
    assert values[drawn].mean() != pytest.approx(values.mean(), rel=0.01)  # without weights


def test_counts_of_an_epoch():
    sampler = BalancedBatchSampler(LABELS, samples_per_class=2, generator=0)
    assert len(sampler) == 4  # 22 samples in batches of 6
    assert sampler.class_counts.tolist() == [7, 3, 12]
    assert sampler.effective_counts.tolist() == [8, 8, 8]
    drawn = Counter(LABELS[index] for batch in sampler for index in batch)
    assert drawn == {0: 8, 1: 8, 2: 8}


def test_the_sampler_kit_has_no_objection():
    checks = check_sampler(
        lambda seed: BalancedBatchSampler(LABELS, 2, 2, generator=seed), len(LABELS), covers=False
    )
    assert "state" in checks


def test_the_state_repeats_an_epoch():
    sampler = BalancedBatchSampler(LABELS, 2, generator=4)
    list(sampler)
    state = json.loads(json.dumps(sampler.state_dict()))
    following = [list(sampler), list(sampler)]
    other = BalancedBatchSampler(LABELS, 2, generator=0)
    other.load_state_dict(state)
    assert [list(other), list(other)] == following
    assert following[0] != following[1]


def test_without_a_generator_the_default_one_seeds_each_epoch():
    before = default_generator().get_state()
    try:
        default_generator().manual_seed(5)
        sampler = BalancedBatchSampler(LABELS, 2)
        epochs = [list(sampler), list(sampler)]
        default_generator().manual_seed(5)
        assert [list(sampler), list(sampler)] == epochs
        assert epochs[0] != epochs[1]
    finally:
        default_generator().set_state(before)
    assert sampler.state_dict() is None
    with pytest.raises(ValueError, match="no state to restore"):
        sampler.load_state_dict({"generator": before})


def test_string_labels_and_arrays():
    words = BalancedBatchSampler(["b", "a", "b"], 1, generator=0)
    numbers = BalancedBatchSampler(np.array([1, 0, 1], np.uint8), 1, generator=0)
    assert words.class_names.tolist() == ["a", "b"]
    assert list(words) == list(numbers)
    assert all(type(index) is int for batch in words for index in batch)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], 1), ValueError, "not empty"),
        (([[0, 1]], 1), ValueError, r"shape \(1, 2\)"),
        (([0.5, 1.5], 1), TypeError, "float64"),
        (
            ([0, 1], 0),
            ValueError,
            "samples_per_class must be a whole number of .* got 0",
        ),
        (([0, 1], True), ValueError, "samples_per_class"),
        (([0, 1], 1, 3), ValueError, "classes_per_batch is 3, but the labels have 2 classes"),
        (([0, 1], 1, 0), ValueError, "classes_per_batch must be a whole number of at least 1"),
        (([0, 1], 1, 1, 1.5), ValueError, "num_batches"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        BalancedBatchSampler(*arguments)


def test_the_policy_for_small_classes():
    with pytest.raises(ValueError, match="class 1 has 3 samples, fewer than samples_per_class=4"):
        BalancedBatchSampler(LABELS, 4, small_classes="error")
    with pytest.raises(ValueError, match="'repeat' or 'error', but got 'drop'"):
        BalancedBatchSampler(LABELS, 4, small_classes="drop")
    BalancedBatchSampler(LABELS, 3, small_classes="error")
