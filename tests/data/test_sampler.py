"""Samplers: recorded PyTorch orders, batches, messages, states."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tinytrain.data.sampler import load_sampler_state, sampler_state
from tinytrain.generator import Generator, default_generator


def test_sampler_must_be_completed():
    with pytest.raises(NotImplementedError, match="Sampler must define __iter__"):
        iter(Sampler())


def test_sequential():
    sampler = SequentialSampler("abc")
    assert list(sampler) == [0, 1, 2]
    assert len(sampler) == 3


def test_random_orders_equal_recorded_ones():
    more_than_all = RandomSampler(range(5), num_samples=12, generator=3)
    assert list(more_than_all) == [1, 0, 3, 4, 2, 0, 1, 2, 4, 3, 1, 4]
    drawn = list(RandomSampler(range(5), replacement=True, num_samples=40, generator=3))
    assert drawn[:10] == [1, 3, 2, 2, 0, 0, 0, 0, 1, 4]
    assert drawn[32:] == [4, 3, 4, 2, 3, 0, 2, 1]


@settings(deadline=None)
@given(n=st.integers(1, 30), count=st.integers(1, 90), seed=st.integers(0, 99))
def test_without_replacement_every_round_is_a_permutation(n, count, seed):
    drawn = list(RandomSampler(range(n), num_samples=count, generator=seed))
    assert len(drawn) == count
    for start in range(0, count, n):
        part = drawn[start : start + n]
        assert len(set(part)) == len(part)
    assert all(type(index) is int and 0 <= index < n for index in drawn)


def test_an_exhausted_epoch_uses_one_more_permutation():
    generator, sampler = Generator(0), RandomSampler(range(7), generator=Generator(0))
    list(sampler)
    generator.randperm(7)
    generator.randperm(7)
    assert sampler.generator.get_state() == generator.get_state()


def test_without_a_generator_each_epoch_takes_a_seed_from_the_default_one():
    state = default_generator().get_state()
    try:
        default_generator().manual_seed(11)
        first, second = (list(RandomSampler(range(20))) for _ in range(2))
        assert first != second
        default_generator().manual_seed(11)
        seeds = [default_generator().random_int64() for _ in range(2)]
        assert first == Generator(seeds[0]).randperm(20).tolist()
        assert second == Generator(seeds[1]).randperm(20).tolist()
    finally:
        default_generator().set_state(state)


def test_random_sampler_refuses():
    for count in (0, -1, 2.0, False):
        message = f"num_samples should be a positive integer value, but got num_samples={count}"
        with pytest.raises(ValueError, match=message):
            RandomSampler(range(5), num_samples=count)
    with pytest.raises(ValueError, match="but got num_samples=0"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement should be a boolean value, but got repl"):
        RandomSampler(range(5), replacement=1)
    with pytest.raises(TypeError, match="generator must be"):
        RandomSampler(range(5), generator="0")


@settings(deadline=None)
@given(n=st.integers(0, 30), size=st.integers(1, 12), drop_last=st.booleans())
def test_batches(n, size, drop_last):
    sampler = BatchSampler(SequentialSampler(range(n)), size, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert all(len(batch) == size for batch in batches[:-1])
    together = [index for batch in batches for index in batch]
    assert together == list(range(n - n % size if drop_last else n))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None, np.int64(2)])
def test_batch_size_is_a_positive_int_as_in_torch(size):
    with pytest.raises(ValueError, match="batch_size should be a positive integer value, but g"):
        BatchSampler(range(5), size, False)


def test_drop_last_is_a_bool():
    with pytest.raises(ValueError, match="drop_last should be a boolean value, but got drop_l"):
        BatchSampler(range(5), 2, 1)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: BatchSampler(s, 4, False)])
def test_state_repeats_the_next_epoch(wrap):
    sampler = wrap(RandomSampler(range(10), generator=5))
    list(sampler)
    state = json.loads(json.dumps(sampler.state_dict()))
    expected = [list(sampler), list(sampler)]
    other = wrap(RandomSampler(range(10), generator=6))
    other.load_state_dict(state)
    assert [list(other), list(other)] == expected


def test_states_of_samplers_without_randomness_of_their_own():
    assert sampler_state(range(3)) == {}
    assert BatchSampler(range(3), 2, False).state_dict() == {}
    load_sampler_state(range(3), {})
    assert RandomSampler(range(3)).state_dict() is None
    with pytest.raises(ValueError, match="has no load_state_dict"):
        load_sampler_state(range(3), {"epoch": 1})
    with pytest.raises(ValueError, match="without a generator has no state"):
        RandomSampler(range(3)).load_state_dict({"generator": Generator(0).get_state()})
