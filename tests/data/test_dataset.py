"""What a data set is, and the sums of data sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data import ChainDataset, ConcatDataset, Dataset, IterableDataset


class Counting(IterableDataset[int]):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


class Letters(Dataset[str]):
    def __getitem__(self, index):
        return "abc"[index]

    def __len__(self):
        return 3


def test_data_sets_must_be_completed():
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError, match="has no len"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="IterableDataset must define __iter__"):
        iter(IterableDataset())
    assert issubclass(IterableDataset, Dataset)


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=5))
def test_concatenated_lists(parts):
    whole, together = ConcatDataset(parts), [item for part in parts for item in part]
    assert len(whole) == len(together)
    assert [whole[i] for i in range(len(whole))] == together
    assert [whole[i] for i in range(-len(whole), 0)] == together
    with pytest.raises(IndexError, match="behind the end"):
        whole[len(whole)]
    with pytest.raises(ValueError, match="absolute value of index should not exceed dataset le"):
        whole[-len(whole) - 1]


def test_concat_dataset():
    both = Letters() + "d" + Letters()
    assert isinstance(both, ConcatDataset)
    assert "".join(both[i] for i in range(len(both))) == "abcdabc"
    assert both.cumulative_sizes == [4, 7]
    assert not hasattr(both, "cummulative_sizes")  # PyTorch's misspelt one
    with pytest.raises(AssertionError, match="datasets should not be an empty iterable"):
        ConcatDataset([])
    for parts in ([Letters(), Counting(2)], [Counting(2)]):
        with pytest.raises(AssertionError, match="does not support IterableDataset"):
            ConcatDataset(parts)


def test_chain_dataset():
    chained = Counting(3) + Counting(2)
    assert isinstance(chained, ChainDataset)
    assert list(chained) == list(chained) == [0, 1, 2, 0, 1]
    assert len(chained) == 5
    wrong = Counting(1) + Letters()
    with pytest.raises(AssertionError, match="ChainDataset only supports IterableDataset, but "):
        list(wrong)
    with pytest.raises(AssertionError, match="ChainDataset only supports IterableDataset"):
        len(wrong)
