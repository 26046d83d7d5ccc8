"""Data sets side by side."""

import numpy as np
import pytest

from tinytrain.data import DataLoader, StackDataset, TensorDataset


class Together:
    """Fetches several samples at once, and notes that it did."""

    def __init__(self, change=0):
        self.data, self.change, self.calls = np.arange(4.0), change, 0

    def __getitem__(self, index):
        return self.data[index]

    def __getitems__(self, indices):
        self.calls += 1
        return self.data[indices][: len(indices) - self.change]

    def __len__(self):
        return 4


def test_tuples_and_dictionaries():
    together = Together()
    pairs = StackDataset(together, "abcd")
    assert pairs[2] == (2.0, "c")
    assert pairs.__getitems__([3, 0]) == [(3.0, "d"), (0.0, "a")]
    assert together.calls == 1
    named = StackDataset(x=together, y="abcd")
    assert named[2] == {"x": 2.0, "y": "c"}
    assert named.__getitems__([3, 0]) == [{"x": 3.0, "y": "d"}, {"x": 0.0, "y": "a"}]
    assert len(pairs) == len(named) == 4
    batch = next(iter(DataLoader(named, batch_size=2)))
    assert batch["x"].tolist() == [0, 1]
    assert batch["y"] == ["a", "b"]
    nested = StackDataset(TensorDataset(np.arange(4)), together)
    assert nested.__getitems__([1])[0] == ((1,), 1.0)


def test_messages():
    with pytest.raises(ValueError, match="At least one dataset should be passed"):
        StackDataset()
    with pytest.raises(ValueError, match=r"``args``\) or``dict``- .* both types are given\.$"):
        StackDataset("ab", y="ab")
    for args, kwargs in ((("ab", "abc"), {}), ((), {"x": "ab", "y": "abc"})):
        with pytest.raises(ValueError, match=r"^Size mismatch between datasets$"):
            StackDataset(*args, **kwargs)
    with pytest.raises(
        ValueError, match=r"Nested dataset's output size mismatch. Expected 4, got 3$"
    ):
        StackDataset(Together(change=1), "abcd").__getitems__([0, 1, 2, 3])
    with pytest.raises(IndexError):
        StackDataset(Together(), "abcd").__getitems__([0, 4])
