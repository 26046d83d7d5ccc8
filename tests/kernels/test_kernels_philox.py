"""Counter-based random numbers: the simple twin, NumPy's and the mask agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.kernels.philox import drop_threshold, keep_mask, philox_simple

words = st.integers(0, 2**64 - 1)


@given(words, words, st.integers(0, 70))
def test_the_simple_twin_equals_numpy(first, second, count):
    numpys = np.random.Philox(key=np.array([first, second], np.uint64)).random_raw(count)
    found = philox_simple((first, second), count)
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, numpys)


def test_published_values():
    """The counter 0 under the key 0, from the known answers that come with Random123."""
    after_all_ones = np.full(4, 2**64 - 1, np.uint64)  # NumPy adds 1 before it computes
    bits = np.random.Philox(counter=after_all_ones, key=np.zeros(2, np.uint64))
    assert [hex(int(word)) for word in bits.random_raw(4)] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]


@given(words, words, st.integers(0, 40), st.floats(0, 1))
def test_a_mask_is_what_the_words_say(first, second, size, probability):
    numbers = [
        int(word) >> shift & 0xFFFFFFFF
        for word in philox_simple((first, second), (size + 1) // 2)
        for shift in (0, 32)
    ]
    expected = [number >= round(probability * 2**32) for number in numbers[:size]]
    found = keep_mask(np.zeros(size), probability, (first, second))
    assert found.dtype == bool
    assert found.tolist() == expected


def test_masks_of_the_ends():
    x = np.zeros(100_000, np.float32)
    assert keep_mask(x, 0.0, (1, 2)).all()
    assert not keep_mask(x, 1.0, (1, 2)).any()
    assert drop_threshold(np.nextafter(1, 0)) == 2**32
    assert drop_threshold(2.0**-33) == 0
    assert drop_threshold(2.0**-32) == 1


def test_another_key_is_another_mask_and_the_same_key_the_same():
    x = np.zeros((50, 30), np.float32)
    masks = [keep_mask(x, 0.5, key) for key in [(0, 0), (1, 0), (0, 1), (0, 0)]]
    np.testing.assert_array_equal(masks[0], masks[3])
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert 0.4 < (masks[one] == masks[other]).mean() < 0.6


def test_an_odd_call_leaves_nothing_behind_for_the_next():
    whole = keep_mask(np.zeros(64), 0.5, (7, 8))
    for size in (1, 3, 5):
        np.testing.assert_array_equal(keep_mask(np.zeros(size), 0.5, (7, 8)), whole[:size])


@pytest.mark.parametrize("size", [1, 1000])
def test_dropout_takes_128_bits_of_the_generator_whatever_the_size(size):
    generator = tt.Generator(3)
    tt.nn.functional.dropout(tt.ones(size), 0.5, generator=generator)
    other = tt.Generator(3)
    other.raw32(4)
    assert generator.get_state() == other.get_state()


def test_a_seed_gives_the_same_mask_on_every_device(on_mock):
    def kept():
        return tt.nn.functional.dropout(tt.ones(9, 7), 0.4, generator=tt.Generator(5))

    there = kept()
    tt.set_device("cpu")
    here = kept()
    assert (there.device, here.device) == ("mock", "cpu")
    assert there.tolist() == here.tolist()
