"""Loaders of iterable data sets, without workers."""

import json
import warnings

import pytest

from tinytrain.data import ChainDataset, DataLoader, IterableDataset, ShardedIterableDataset


class Stream(IterableDataset[int]):
    def __init__(self, n, claimed=None):
        self.n, self.claimed, self.read = n, claimed, []

    def __iter__(self):
        for item in range(self.n):
            self.read.append(item)
            yield item

    def __len__(self):
        if self.claimed is None:
            raise TypeError("no length")
        return self.claimed


class Resumable(IterableDataset[int]):
    """Knows where it is."""

    def __init__(self, n):
        self.n, self.position, self.read = n, 0, []

    def __iter__(self):
        while self.position < self.n:
            self.position += 1
            self.read.append(self.position - 1)
            yield self.position - 1
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def lists(loader):
    return [batch.tolist() for batch in loader]


def test_batches_of_a_stream():
    assert lists(DataLoader(Stream(7), batch_size=3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(DataLoader(Stream(7), batch_size=3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert lists(DataLoader(ChainDataset([Stream(2), Stream(1)]), batch_size=2)) == [[0, 1], [0]]
    loader = DataLoader(Stream(3))
    assert lists(loader) == lists(loader) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("settings", "length"),
    [({}, 10), ({"batch_size": 3}, 4), ({"batch_size": 3, "drop_last": True}, 3),
     ({"batch_size": None}, 10)],
)  # fmt: skip
def test_the_length(settings, length):
    assert len(DataLoader(Stream(10, 10), **settings)) == length
    loader = DataLoader(Stream(10), **settings)
    with pytest.raises(TypeError):
        len(loader)
    with pytest.raises(TypeError):
        len(iter(loader))
    assert len(list(loader)) == length


def test_more_samples_than_the_length_that_was_asked_for():
    loader = DataLoader(Stream(5, claimed=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(loader)  # nobody has asked yet
        loader.state_dict()
        assert len(loader) == 3
        batches = iter(loader)
        for _ in range(3):
            next(batches)
    message = r"was reported to be 3\(when accessing len\(dataloader\)\), but 4 samples have been f"
    with pytest.warns(UserWarning, match=message) as caught:
        next(batches)
    assert caught[0].filename == __file__


def test_an_error_in_iter_is_raised():
    class Broken(IterableDataset[int]):
        def __iter__(self):
            raise RuntimeError("Error in __iter__")

    with pytest.raises(RuntimeError, match="Error in __iter__"):
        list(DataLoader(Broken()))


@pytest.mark.parametrize("make", [Stream, Resumable])
@pytest.mark.parametrize("size", [None, 1, 3])
def test_resuming_after_every_batch(make, size):
    loader = DataLoader(make(8), batch_size=size, generator=3)
    states, batches = [loader.state_dict()], []
    for batch in loader:
        batches.append(batch)
        states.append(json.loads(json.dumps(loader.state_dict())))
    for done, state in enumerate(states):
        data = make(8)
        resumed = DataLoader(data, batch_size=size, generator=3)
        resumed.load_state_dict(state)
        rest = list(resumed)
        assert str(rest) == str(batches[done:])
        # (After the last batch, a smaller one, the stream has ended, and is read anew.)
        if make is Resumable and done < len(batches):
            assert data.read == list(range((size or 1) * done, 8))
        assert resumed.state_dict()["epoch"] == 1
        assert str(list(resumed)) == str(batches)


def test_resuming_a_stream_that_has_become_shorter():
    loader = DataLoader(Stream(8), batch_size=2)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    resumed = DataLoader(Stream(3), batch_size=2)
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match=r"cannot resume after batch 3: .* ended after 2"):
        list(resumed)


def test_skipped_batches_are_read_but_not_collated():
    collated, data = [], Stream(7)

    def collate(batch):
        collated.append(batch)
        return batch

    loader = DataLoader(data, batch_size=2, collate_fn=collate)
    loader.skip([0, 2])
    assert list(loader) == [[2, 3], [6]] == collated
    assert data.read == list(range(7))


def test_shards_must_be_defined():
    with pytest.raises(NotImplementedError, match=r"must define shard\(index, count\)"):
        list(DataLoader(ShardedIterableDataset()))
