"""The figures of an order, against their definitions counted out."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data.order_measures import (
    batch_lengths,
    batch_tokens,
    lag_correlation,
    padding_share,
    repeat_mates,
)

SAMPLES = 9
batches = st.lists(st.lists(st.integers(0, SAMPLES - 1), min_size=1, max_size=5), max_size=5)


def counted_out(first, second):
    """repeat_mates by its definition, pair by pair."""
    where = []
    for epoch in (first, second):
        found = {}
        for number, batch in enumerate(epoch):
            for sample in batch:
                found.setdefault(sample, number)
        where.append(found)
    pairs = [
        pair
        for pair in itertools.combinations(where[0].keys() & where[1].keys(), 2)
        if where[0][pair[0]] == where[0][pair[1]]
    ]
    again = [pair for pair in pairs if where[1][pair[0]] == where[1][pair[1]]]
    return len(again) / len(pairs) if pairs else math.nan


@given(batches, batches)
def test_repeat_mates(first, second):
    assert repeat_mates(first, second) == pytest.approx(counted_out(first, second), nan_ok=True)


def test_mates_of_the_same_order_all_meet_again_and_of_a_shuffled_one_few():
    order = np.arange(1000).reshape(-1, 10).tolist()
    shuffled = np.random.default_rng(0).permutation(1000).reshape(-1, 10).tolist()
    assert repeat_mates(order, order[::-1]) == 1
    assert repeat_mates(order, shuffled) < 0.03
    assert math.isnan(repeat_mates([], []))
    assert math.isnan(repeat_mates([[1], [2]], [[1], [2]]))


@given(
    st.lists(st.lists(st.integers(0, SAMPLES - 1), min_size=1, max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(1, 20), min_size=SAMPLES, max_size=SAMPLES),
)
def test_lengths_tokens_and_padding(epoch, lengths):
    longest = [max(lengths[index] for index in batch) for batch in epoch]
    tokens = [sum(lengths[index] for index in batch) for batch in epoch]
    assert batch_lengths(epoch, lengths).tolist() == longest
    assert batch_tokens(epoch, lengths).tolist() == tokens
    positions = sum(len(batch) * length for batch, length in zip(epoch, longest, strict=True))
    assert padding_share(epoch, lengths) == pytest.approx(1 - sum(tokens) / positions)


def test_lag_correlation():
    noise = np.random.default_rng(0).normal(size=5000)
    assert abs(lag_correlation(noise)) < 0.05
    assert lag_correlation(np.sort(noise)) > 0.99
    assert lag_correlation([1, -1] * 500) < -0.99
    assert math.isnan(lag_correlation([3, 3, 3]))
    assert math.isnan(lag_correlation([]))
    assert math.isnan(lag_correlation([1]))


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "float64"),
        ([[1, 2]], TypeError, r"\(1, 2\)"),
        ([1], ValueError, "samples 0 to 1, but there are 1 lengths"),
    ],
)
def test_wrong_lengths(lengths, error, message):
    with pytest.raises(error, match=message):
        batch_lengths([[0, 1]], lengths)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="without samples"):
        batch_tokens([[0], []], [1, 2])
