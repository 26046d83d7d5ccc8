"""Padding: every entry in its place on either side, and nothing cut or converted in silence."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.data import IGNORE_INDEX, DataLoader, pad_collate, pad_sequences

token_lists = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=9), min_size=1, max_size=5)
sides = st.sampled_from(["right", "left"])
multiples = st.integers(1, 4)


def padded_by_loop(sequences, width, side, value):
    """Rows of Python lists."""
    rows = []
    for entries in sequences:
        padding = [value] * (width - len(entries))
        rows.append(list(entries) + padding if side == "right" else padding + list(entries))
    return rows


@settings(deadline=None, max_examples=40)
@given(token_lists, sides, multiples, st.integers(0, 60))
def test_tokens_against_a_loop(sequences, side, multiple_of, pad_id):
    batch = pad_collate(sequences, pad_id, side=side, multiple_of=multiple_of)
    width = max(map(len, sequences))
    while width % multiple_of:
        width += 1
    in_rows = partial(padded_by_loop, width=width, side=side)
    next_tokens = [[*tokens[1:], IGNORE_INDEX] for tokens in sequences]
    assert batch.input_ids.tolist() == in_rows(sequences, value=pad_id)
    assert batch.targets.tolist() == in_rows(next_tokens, value=IGNORE_INDEX)
    assert batch.segment_ids.tolist() == in_rows([[1] * len(s) for s in sequences], value=0)
    assert batch.positions.tolist() == in_rows([range(len(s)) for s in sequences], value=0)
    assert np.diff(batch.cu_seqlens).tolist() == [len(s) for s in sequences]
    assert batch.num_supervised == sum(len(s) - 1 for s in sequences)
    dtypes = {"input_ids": "int64", "targets": "int64", "segment_ids": "int32"}
    assert all(getattr(batch, name).dtype == dtype for name, dtype in dtypes.items())


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=5),
    sides,
    multiples,
    st.sampled_from([(), (2,), (3, 1)]),
    st.sampled_from(["float32", "float64", "int16", "bool", "complex64"]),
)
def test_arrays_against_a_loop(lengths, side, multiple_of, features, dtype):
    source = np.random.default_rng(0)
    sequences = [(5 * source.random((n, *features))).astype(dtype) for n in lengths]
    batch = pad_sequences(sequences, 1, side=side, multiple_of=multiple_of)
    width = -(-max(lengths) // multiple_of) * multiple_of
    assert batch.values.shape == (len(lengths), width, *features)
    assert batch.values.dtype == dtype
    assert batch.lengths.tolist() == lengths
    assert batch.num_items == sum(lengths) == batch.mask.sum()
    assert isinstance(batch.num_items, int)
    for row, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        real = slice(0, length) if side == "right" else slice(width - length, width)
        assert batch.mask[row].tolist() == padded_by_loop([[True] * length], width, side, False)[0]
        np.testing.assert_array_equal(batch.values[row, real], sequence)
        assert (batch.values[row, ~batch.mask[row]] == 1).all()


def test_tokens_longer_than_allowed():
    sequences = [np.arange(5), np.arange(3)]
    with pytest.raises(
        ValueError, match=r"1 of 2 sequences are longer than max_length=4, the first at entry 0: 5"
    ):
        pad_collate(sequences, max_length=4)
    cut = pad_collate(sequences, max_length=4, too_long="truncate")
    assert cut.input_ids.tolist() == [[0, 1, 2, 3], [0, 1, 2, 0]]
    assert cut.num_supervised == 5
    split = pad_collate(sequences, max_length=4, too_long="split")
    assert split.input_ids.tolist() == [[0, 1, 2, 3], [3, 4, 0, 0], [0, 1, 2, 0]]
    assert split.num_supervised == 6  # as many as without a limit
    fits = pad_collate(sequences, max_length=5)
    assert fits.input_ids.tolist() == pad_collate(sequences).input_ids.tolist()


def test_arrays_longer_than_allowed():
    sequences = [np.arange(5.0), np.arange(2.0)]
    with pytest.raises(ValueError, match=r"longer than max_length=4.*too_long='truncate', or"):
        pad_sequences(sequences, max_length=4)
    cut = pad_sequences(sequences, max_length=4, too_long="truncate", side="left", multiple_of=2)
    assert cut.values.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert cut.lengths.tolist() == [4, 2]


def test_the_given_arrays_stay_as_they_are():
    sequence = np.arange(3.0)
    batch = pad_sequences([sequence])
    batch.values[:] = -1
    assert sequence.tolist() == [0, 1, 2]


@pytest.mark.parametrize("collate", [pad_collate, pad_sequences])
@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"side": "middle"}, "side must be 'right' or 'left', but got 'middle'"),
        ({"multiple_of": 0}, "multiple_of must be a whole number of at least 1, but got 0"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1, but got 0"),
        ({"max_length": 6, "multiple_of": 4}, "max_length=6 is no multiple of multiple_of=4"),
        ({"too_long": "drop"}, "too_long must be .*, but got 'drop'"),
    ],
)
def test_settings_are_checked(collate, settings_, message):
    with pytest.raises(ValueError, match=message):
        collate([np.array([1, 2])], **settings_)


@pytest.mark.parametrize(
    ("sequences", "value", "error", "message"),
    [
        ([], 0, ValueError, "needs at least one sequence"),
        ([np.ones(2), np.ones((2, 1))], 0, ValueError, r"\(2,\) at entry 0 and \(2, 1\) at entry"),
        ([np.ones(2), np.float64(3)], 0, ValueError, r"\(2,\) at entry 0 and \(\) at entry 1"),
        ([np.ones(2), np.ones(2, "f4")], 0, TypeError, "float64 at entry 0 and float32 at entry 1"),
        ([np.array(["a"])], 0, TypeError, "must hold numbers or booleans, but hold <U1"),
        ([np.ones(2, int)], 0.5, ValueError, r"padding_value=0\.5 is no value of int64"),
        ([np.ones(2, int)], np.nan, ValueError, "padding_value=nan is no value of int64"),
        ([np.ones(2, int)], 1e300, ValueError, "is no value of int64"),
        ([np.ones(2, "f2")], 1e6, ValueError, "is no value of float16"),
        ([np.ones(2, bool)], 2, ValueError, "padding_value=2 is no value of bool"),
        ([np.ones(2, "i1")], 300, ValueError, "padding_value=300 is no value of int8"),
    ],
)
def test_sequences_are_checked(sequences, value, error, message):
    with pytest.raises(error, match=message):
        pad_sequences(sequences, value)


def test_padding_with_nan_is_allowed_for_floats():
    batch = pad_sequences([np.ones(2), np.ones(1)], np.nan)
    assert np.isnan(batch.values).tolist() == (~batch.mask).tolist()


@pytest.mark.usefixtures("device")
def test_a_batch_crosses_to_the_device_as_a_whole():
    data = [np.ones((n, 2), np.float32) for n in (3, 1)]
    batch = tt.to_device(next(iter(DataLoader(data, batch_size=2, collate_fn=pad_sequences))))
    assert isinstance(batch.values, tt.Tensor)
    assert isinstance(batch.mask, tt.Tensor)
    assert batch.num_items == 4


@pytest.mark.parametrize("settings_", [{}, {"max_length": 4}, {"max_length": 99}])
@pytest.mark.parametrize("too_long", ["error", "truncate", "split"])
def test_tokens_of_two_axes_are_no_sequence(settings_, too_long):
    message = r"sequence 1 must be a 1-D array of tokens, not empty, but has the shape \(2, 3\)"
    with pytest.raises(ValueError, match=message):
        pad_collate([[1], np.ones((2, 3), dtype=int)], too_long=too_long, **settings_)
