"""Splits by time: no row in two parts, nothing lost without being counted, and no leak."""

import itertools

import numpy as np
import pytest

from tinytrain.data import (
    Subset,
    WindowDataset,
    chronological_split,
    covered_rows,
    random_split,
)

GRID = list(itertools.product((1, 3, 8), (1, 2, 5), (1, 2, 3, 7), (0, 1, 6)))


@pytest.mark.parametrize(("input_length", "horizon", "stride", "embargo"), GRID)
def test_no_two_parts_meet_and_no_window_is_purged_without_need(
    input_length, horizon, stride, embargo
):
    windows = WindowDataset(np.arange(203), input_length, horizon, stride)
    split = chronological_split(windows, [0.5, 0.2, 0.3], embargo)
    assert split.boundaries == (0, 101, 142, 203)
    rows = [[np.concatenate(windows[i]) for i in part.indices] for part in split]
    for k, earlier in enumerate(rows):
        for later in rows[k + 1 :]:
            for one, other in itertools.product(earlier, later):
                assert one[-1] < other[0] - embargo
    held = {int(i) for part in split for i in part.indices}
    assert split.purged == len(windows) - len(held)
    for i in set(range(len(windows))) - held:
        first, last = np.concatenate(windows[i])[[0, -1]]
        # Its rows are in two parts, or it begins in an embargo.
        crosses = any(first < edge <= last for edge in (101, 142))
        assert crosses or any(edge <= first < edge + embargo for edge in (101, 142))


def test_report_and_parts():
    windows = WindowDataset(np.arange(1000), 30, 10, 3)
    split = chronological_split(windows, [0.7, 0.3], embargo=20)
    train, test = split
    assert len(split) == 2
    assert split[1] is test
    assert len(train) == len(split.parts[0]) == (700 - 40) // 3 + 1
    assert str(split) == (
        "part 0   rows       0 to     699   windows     221\n"
        "part 1   rows     700 to     999   windows      81\n"
        "purged   19 of 321 windows: they span 40 rows and cross a boundary (embargo 20 rows)"
    )
    assert covered_rows(train).tolist() == list(range(700))
    assert covered_rows(test)[0] == 720
    # A training window's rows change nothing in the test part, and the other way round.
    assert not set(covered_rows(train)) & set(covered_rows(test))


@pytest.mark.parametrize(
    ("fractions", "embargo", "error", "message"),
    [
        ([0.5, 0.4], 0, ValueError, "add up to 1, but got .* with the sum 0.9"),
        ([1.0], 0, ValueError, "at least two"),
        ([1.5, -0.5], 0, ValueError, "positive"),
        ([np.nan, 0.5], 0, ValueError, "positive"),
        ([0.9, 0.1], 0, ValueError, "part 1 has no window: its rows are 90 to 99"),
        ([0.1, 0.9], 0, ValueError, "part 0 has no window: its rows are 0 to 9"),
        ([0.5, 0.5], 31, ValueError, "an embargo of 31 rows included, and a window takes 20"),
        ([0.5, 0.5], -1, ValueError, "embargo must be a whole number of at least 0, but got -1"),
        ([0.5, 0.5], 0.5, ValueError, "embargo must be a whole number of .* got 0.5"),
    ],
)
def test_bad_splits_are_refused(fractions, embargo, error, message):
    with pytest.raises(error, match=message):
        chronological_split(WindowDataset(np.zeros(100), 15, 5), fractions, embargo)


def test_only_windows_are_split():
    windows = WindowDataset(np.zeros(100), 15, 5)
    with pytest.raises(TypeError, match="expected a WindowDataset, but got Subset"):
        chronological_split(Subset(windows, [0, 1]), [0.5, 0.5])
    # Sums of fractions are a little below a whole number of rows; the boundary is not.
    ten = chronological_split(WindowDataset(np.zeros(100), 1, 1), [0.7, 0.2, 0.1])
    assert ten.boundaries == (0, 70, 90, 100)


# ---------------------------------------------------------------- a leak detector


def changes(part):
    """All inputs of a part, flat, and by how much the targets differ from the last input."""
    inputs, targets = part.__getitems__(range(len(part))).arrays
    return inputs.reshape(len(inputs), -1), targets - inputs[:, -1:]


def share_of_directions_right(train, test):
    """Forecast what followed the most similar training window: memory, and no more."""
    (known, answers), (asked, truth) = changes(train), changes(test)
    distances = (asked**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * asked @ known.T
    return float((answers[distances.argmin(axis=1)] * truth > 0).mean())


def test_a_model_that_copies_gives_a_leak_away():
    """A random walk goes up or down by chance: who tells more than half right has seen it."""
    honest, leaking = [], []
    for seed in range(8):
        walk = np.random.default_rng(seed).normal(size=(1000, 3)).cumsum(axis=0)
        windows = WindowDataset(walk, 10, 10)
        honest.append(share_of_directions_right(*chronological_split(windows, [0.7, 0.3])))
        naive = random_split(windows, [0.7, 0.3], generator=seed)
        leaking.append(share_of_directions_right(*naive))
    assert abs(np.mean(honest) - 0.5) < 0.04
    assert np.mean(leaking) > 0.7
    assert min(leaking) > max(honest) + 0.1


def test_a_split_by_row_count_alone_would_leak():
    """Next to a boundary that nobody purges, two windows are nearly the same."""
    series = np.random.default_rng(0).normal(size=400)
    windows = WindowDataset(series, 6, 6)
    cut = 200
    unpurged = [Subset(windows, np.arange(cut)), Subset(windows, np.arange(cut, len(windows)))]
    shared = np.intersect1d(*(covered_rows(part) for part in unpurged))
    assert len(shared) == windows.span - 1
    purged = chronological_split(windows, [0.5, 0.5])
    assert len(np.intersect1d(*(covered_rows(part) for part in purged))) == 0
