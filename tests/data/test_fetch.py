"""From indices to batches, and from streams to batches."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data import DataLoader, ShardedIterableDataset
from tinytrain.data.fetch import Fetcher, IterableFetcher, merged_remainders


class Numbers(ShardedIterableDataset[int]):
    def __init__(self, n):
        self.n = n

    def shard(self, index, count):
        return iter(range(index, self.n, count))

    def __len__(self):
        return self.n


class Fetches:
    """Returns more or fewer samples than it was asked for."""

    def __init__(self, change):
        self.change = change

    def __getitems__(self, indices):
        return [0] * (len(indices) + self.change)

    def __getitem__(self, index):
        raise AssertionError("never")

    def __len__(self):
        return 6


def test_a_fetcher_is_sent_to_workers():
    fetcher = pickle.loads(pickle.dumps(Fetcher([3, 4, 5], sum, True)))
    assert fetcher.fetch([0, 2]) == 8
    assert Fetcher({"a": 1}, str, False).fetch("a") == "1"


@pytest.mark.parametrize("change", [-1, 1])
def test_getitems_of_the_wrong_length(change):
    message = rf"Fetches.__getitems__ must return one sample .* returned {3 + change} for 3 indices"
    with pytest.raises(ValueError, match=message):
        list(DataLoader(Fetches(change), batch_size=3))
    assert len(list(DataLoader(Fetches(0), batch_size=3))) == 2


def test_stop_iteration_in_a_sample_does_not_end_the_epoch():
    class Stops(list):
        def __getitem__(self, index):
            return next(iter([]))

    with pytest.raises(RuntimeError, match=r"Stops or the collate_fn raised StopIteration .*\[0\]"):
        list(DataLoader(Stops([1, 2])))


def drained(fetcher):
    batches = []
    while True:
        try:
            batches.append(fetcher.next_batch())
        except StopIteration:
            assert fetcher.ended
            with pytest.raises(StopIteration):
                fetcher.next_batch()
            return batches


@given(
    n=st.integers(0, 30), shards=st.integers(1, 5), size=st.integers(1, 6), drop_last=st.booleans()
)
def test_shards_give_every_sample_once(n, shards, size, drop_last):
    fetchers = [
        IterableFetcher(Numbers(n), list, size, drop_last, shard, shards) for shard in range(shards)
    ]
    batches = [batch for fetcher in fetchers for batch in drained(fetcher)]
    if shards > 1:
        assert all(len(batch) == size for batch in batches)
    batches += merged_remainders([fetcher.remainder for fetcher in fetchers], size, drop_last)
    items = [item for batch in batches for item in batch]
    assert len(set(items)) == len(items) == (n - n % size if drop_last else n)
    assert len(batches) == len(DataLoader(Numbers(n), batch_size=size, drop_last=drop_last))
    assert sorted(map(len, batches), reverse=True)[: n // size] == [size] * (n // size)


def test_a_stream_without_batching_and_skipped_batches():
    assert drained(IterableFetcher("abc", str.upper, None, False)) == ["A", "B", "C"]
    assert drained(IterableFetcher(Numbers(4), str, None, False, 1, 2)) == ["1", "3"]
    fetcher = IterableFetcher(range(5), list, 2, False)
    fetcher.skip_batch()
    assert drained(fetcher) == [[2, 3], [4]]
    with pytest.raises(StopIteration):
        fetcher.skip_batch()
