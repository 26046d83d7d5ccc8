"""Windows by brute force; what a window covers; the scaler that learns from training rows."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import (
    DataLoader,
    StandardScaler,
    Subset,
    WindowDataset,
    covered_rows,
)

shapes = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 6), st.integers(0, 30))


def by_loop(series, input_length, horizon, stride):
    """Every window that fits, one row after the other."""
    found, start = [], 0
    while start + input_length + horizon <= len(series):
        rows = [series[start + offset] for offset in range(input_length + horizon)]
        found.append((rows[:input_length], rows[input_length:]))
        start += stride
    return found


@settings(deadline=None)
@given(shape=shapes, columns=st.sampled_from([None, 1, 3]))
def test_windows_are_those_of_a_loop(shape, columns):
    input_length, horizon, stride, more = shape
    rows = input_length + horizon + more
    series = np.arange(rows * (columns or 1), dtype=np.float32)
    series = series if columns is None else series.reshape(rows, columns)
    windows = WindowDataset(series, input_length, horizon, stride)
    expected = by_loop(series, input_length, horizon, stride)
    assert len(windows) == len(expected)
    together = windows.__getitems__(range(len(windows)))
    assert len(together) == len(windows)
    for i, (inputs, targets) in enumerate(expected):
        for found in (windows[i], together[i], windows[i - len(windows)]):
            np.testing.assert_array_equal(found[0], np.array(inputs))
            np.testing.assert_array_equal(found[1], np.array(targets))
            assert found[0].dtype == found[1].dtype == np.float32


def test_one_window_is_a_read_only_view_and_a_batch_is_a_copy():
    series = np.arange(10.0)
    windows = WindowDataset(series, 3, 2)
    for part in windows[1]:
        assert np.shares_memory(part, series)
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 7
    assert series.flags.writeable
    for part in windows.__getitems__([1, 2]).arrays:
        assert not np.shares_memory(part, series)
        part[:] = -1
    np.testing.assert_array_equal(series, np.arange(10.0))


def test_windows_of_a_memory_map_and_through_pickle_and_loader(tmp_path):
    np.save(tmp_path / "series.npy", np.arange(20.0).reshape(10, 2))
    windows = WindowDataset(np.load(tmp_path / "series.npy", mmap_mode="r"), 4, 2, 2)
    inputs, targets = next(iter(DataLoader(windows, batch_size=3)))
    assert type(inputs) is np.ndarray
    assert inputs.shape == (3, 4, 2)
    np.testing.assert_array_equal(targets[:, 0, 0], [8.0, 12.0, 16.0])
    again = pickle.loads(pickle.dumps(windows))
    np.testing.assert_array_equal(again[2][1], windows[2][1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0], 1, 1), TypeError, "NumPy array of numbers, but got list"),
        ((np.array(["a", "b"]), 1, 1), TypeError, "NumPy array of numbers, but got <U1"),
        ((np.zeros((4, 2, 2)), 1, 1), ValueError, r"but got \(4, 2, 2\)"),
        ((np.zeros(()), 1, 1), ValueError, r"but got \(\)"),
        (
            (np.zeros(4), 0, 1),
            ValueError,
            "input_length must be a whole number of at least 1, but got 0",
        ),
        (
            (np.zeros(4), 1, -1),
            ValueError,
            "horizon must be a whole number of at least 1, but got -1",
        ),
        (
            (np.zeros(4), 1, 1, 0),
            ValueError,
            "stride must be a whole number of at least 1, but got 0",
        ),
        ((np.zeros(4), 1.0, 1), ValueError, "input_length must be a whole number of .* got 1.0"),
        ((np.zeros(4), 1, True), ValueError, "horizon must be a whole number of .* got True"),
        ((np.zeros(4), 3, 2), ValueError, r"takes 3 \+ 2 rows, but the series has only 4"),
    ],
)
def test_bad_windows_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        WindowDataset(*arguments)


def test_a_window_that_does_not_exist():
    windows = WindowDataset(np.zeros(6), 3, 2)
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"no window {index}: there are 2 windows"):
            windows[index]
        with pytest.raises(IndexError, match="there are 2 windows"):
            windows.__getitems__([0, index])
    assert windows.__getitems__([]).arrays[0].shape == (0, 3)


@settings(deadline=None)
@given(shape=shapes, data=st.data())
def test_covered_rows(shape, data):
    input_length, horizon, stride, more = shape
    windows = WindowDataset(np.zeros(input_length + horizon + more), input_length, horizon, stride)
    chosen = data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=6))
    expected = {i * stride + row for i in chosen for row in range(input_length + horizon)}
    assert covered_rows(Subset(windows, chosen)).tolist() == sorted(expected)
    nested = Subset(Subset(windows, chosen), list(range(len(chosen)))[::-1])
    assert covered_rows(nested).tolist() == sorted(expected)


def test_covered_rows_of_something_else():
    assert covered_rows(WindowDataset(np.zeros(9), 2, 1, 4)).tolist() == [0, 1, 2, 4, 5, 6]
    with pytest.raises(TypeError, match="a WindowDataset or a Subset of one, but got list"):
        covered_rows(Subset([1, 2, 3], [0]))


# ---------------------------------------------------------------- the scaler


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_scaler(dtype):
    r = np.random.default_rng(0)
    rows = (r.normal(size=(50, 3)) * [1, 10, 100] + [0, 5, -300]).astype(dtype)
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows)
    assert scaled.dtype == (np.float64 if dtype == np.int16 else dtype)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=2e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=2e-6)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), rows, rtol=1e-5, atol=1e-4)
    batch = scaler.transform(rows.reshape(5, 10, 3))
    np.testing.assert_array_equal(batch, scaled.reshape(5, 10, 3))


def test_scaler_of_one_column_takes_any_shape():
    scaler = StandardScaler().fit(np.array([1.0, 3.0]))
    assert (float(scaler.mean), float(scaler.std)) == (2.0, 1.0)
    assert scaler.transform(np.array([[2.0, 4.0]])).tolist() == [[0.0, 2.0]]
    constant = StandardScaler().fit(np.full(7, 0.1))  # whose computed deviation is not zero
    assert constant.transform(np.array([1.1])).tolist() == [1.0]


def test_state_of_a_scaler_is_exact():
    r = np.random.default_rng(1)
    for rows in (r.normal(size=20), r.normal(size=(20, 2))):
        scaler, other = StandardScaler().fit(rows), StandardScaler()
        other.load_state_dict(json.loads(json.dumps(scaler.state_dict())))
        np.testing.assert_array_equal(other.transform(rows), scaler.transform(rows))


def test_bad_values_for_a_scaler():
    scaler = StandardScaler()
    with pytest.raises(ValueError, match="learnt nothing yet"):
        scaler.transform(np.zeros(3))
    with pytest.raises(ValueError, match=r"but got \(0, 2\)"):
        scaler.fit(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"but got \(1, 1, 1\)"):
        scaler.fit(np.zeros((1, 1, 1)))
    with pytest.raises(ValueError, match="2 of 4 rows are not finite, the first is row 1"):
        scaler.fit(np.array([[0.0, 0], [0, np.nan], [1, 1], [np.inf, 0]]))
    with pytest.raises(TypeError, match="real numbers, but got complex128"):
        scaler.fit(np.zeros(3, complex))
    scaler.fit(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"2 columns, but the values have the shape \(4, 3\)"):
        scaler.transform(np.zeros((4, 3)))
    for state, message in (
        ({"mean": [0.0]}, "expected a state with mean and std"),
        ({"mean": [0.0], "std": [1.0, 1.0]}, "are not those of a scaler"),
        ({"mean": [0.0], "std": [0.0]}, "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            scaler.load_state_dict(state)
    assert scaler.mean.tolist() == [0.0, 0.0]


def test_numbers_scale_any_shape_and_one_column_only_its_own():
    of_numbers = StandardScaler().fit(np.array([1.0, 3.0]))
    of_a_column = StandardScaler().fit(np.array([[1.0], [3.0]]))
    values = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(of_numbers.transform(values), values - 2)
    np.testing.assert_array_equal(of_a_column.transform(values[..., :1]), values[..., :1] - 2)
    for wrong in (values, values[0, 0]):
        with pytest.raises(ValueError, match=r"the scaler has 1 columns, but the values have the"):
            of_a_column.transform(wrong)
    assert "if it was fitted on numbers" in StandardScaler.transform.__doc__
