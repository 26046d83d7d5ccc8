"""Windows of micro-batches: last-window policies, counted epochs, positions that return."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data import DataLoader
from tinytrain.train.windows import LAST_WINDOW_POLICIES, WindowStream


def take(stream, count):
    return list(itertools.islice(iter(stream), count))


def rows_in(window):
    return sum(len(batch) for batch in window)


@pytest.mark.parametrize(
    ("last_window", "rows"),
    [
        ("step", [256, 256, 256, 256, 76, 256]),
        ("carry", [256, 256, 256, 256, 236, 256, 256, 256, 236]),  # with the batch of 12 rows
        ("drop", [256] * 6),
    ],
)
def test_the_tail_of_1100_rows(last_window, rows):
    """In micro-batches of 32 and windows of 8: the usual loop leaves 76 rows without a step."""
    stream = WindowStream(DataLoader(range(1100), batch_size=32), 8, last_window)
    windows = take(stream, len(rows))
    assert [rows_in(window) for window in windows] == rows
    seen = np.concatenate([batch for window in windows for batch in window])
    per_epoch = 1024 if last_window == "drop" else 1100
    assert seen.tolist() == (list(range(per_epoch)) * 3)[: len(seen)]


@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from(LAST_WINDOW_POLICIES),
    st.integers(1, 4),
)
def test_windows_and_epochs_by_a_plain_loop(batches, size, last_window, epochs):
    stream = WindowStream(list(range(batches)), size, last_window)
    expected, left = [], []
    for epoch in range(epochs):
        handed_out = [(epoch, batch) for batch in range(batches)]
        left = handed_out if last_window != "carry" else left + handed_out
        while len(left) >= size or (left and last_window == "step"):
            expected.append(left[:size])
            left = left[size:]
    assert stream.windows_in(epochs) == len(expected)
    iterator = iter(stream)
    for window in expected:
        assert next(iterator) == [batch for _, batch in window]
        epoch, last = window[-1]
        # An epoch is finished with its last micro-batch, whether a window ends with it or not.
        finished = epoch + (last == batches - 1)
        assert stream.epoch == finished
        assert stream.batches == (0 if last == batches - 1 else last + 1)


@pytest.mark.parametrize("last_window", LAST_WINDOW_POLICIES)
@pytest.mark.parametrize("every", [1, 2, 3])
def test_positions_return_after_any_window(last_window, every):
    def make():
        loader = DataLoader(range(11), batch_size=2, shuffle=True, generator=3)
        return WindowStream(loader, 4, last_window)

    def as_lists(window):
        return [batch.tolist() for batch in window]

    straight = [as_lists(window) for window in take(make(), 12)]
    stream, interrupted = make(), []
    while len(interrupted) < 12:
        interrupted += [as_lists(window) for window in take(stream, every)]
        state = stream.state_dict()
        stream = make()
        stream.load_state_dict(state)
        assert stream.state_dict() == state
    assert interrupted == straight


def test_a_new_pass_without_a_restored_position_counts_anew():
    stream = WindowStream([1, 2, 3], 1)
    next(iter(stream))
    assert (stream.epoch, stream.batches) == (0, 1)
    assert take(stream, 3) == [[1], [2], [3]]
    assert (stream.epoch, stream.batches) == (1, 0)


def test_a_failed_restoration_changes_nothing():
    stream = WindowStream(DataLoader(range(4)), 1)
    take(stream, 2)
    before = stream.state_dict()
    other = WindowStream(DataLoader(range(9)), 1)
    take(other, 6)
    with pytest.raises(ValueError, match="9 batches per epoch"):
        stream.load_state_dict(other.state_dict())
    assert stream.state_dict() == before


class WithoutLength:
    """Iterable as often as one likes, of unknown length."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return iter(range(self.count))


def test_a_loader_without_a_length():
    stream = WindowStream(WithoutLength(3), 2, "carry")
    assert take(stream, 3) == [[0, 1], [2, 0], [1, 2]]
    assert stream.epoch == 1  # it shows only when the loader has nothing more
    with pytest.raises(TypeError):
        stream.windows_in(1)


@pytest.mark.parametrize("last_window", LAST_WINDOW_POLICIES)
def test_a_loader_that_gives_nothing(last_window):
    for loader in ([], WithoutLength(0)):
        with pytest.raises(ValueError, match="the loader has too few, or none"):
            take(WindowStream(loader, 2, last_window), 1)


@pytest.mark.parametrize("loader", [[1, 2], WithoutLength(2)])
def test_dropping_every_window_is_an_error_not_an_endless_loop(loader):
    with pytest.raises(ValueError, match=r"no window of 3 micro-batches \(last_window='drop'\)"):
        take(WindowStream(loader, 3, "drop"), 1)
    assert take(WindowStream(loader, 3, "step"), 2) == [list(loader)] * 2
    assert rows(take(WindowStream(loader, 3, "carry"), 2)) == 6


def rows(windows):
    return sum(len(window) for window in windows)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([1], 0),
            ValueError,
            "accumulation_steps must be a whole number of .* got 0",
        ),
        (([1], 1.5), ValueError, "accumulation_steps must be a whole number"),
        (([1], 1, "keep"), ValueError, "one of step, carry, drop, not 'keep'"),
        ((iter([1]), 1), TypeError, "iterable again for every epoch"),
        (((i for i in range(3)), 1), TypeError, "iterable again"),
    ],
)
def test_settings_that_make_no_sense(arguments, error, message):
    with pytest.raises(error, match=message):
        WindowStream(*arguments)


def test_a_list_has_no_position_to_save():
    with pytest.raises(TypeError, match="a list has no state_dict to save"):
        WindowStream([1, 2], 1).state_dict()
