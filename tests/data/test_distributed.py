"""The shares of several processes in one data set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data import DataLoader, DistributedSampler


def shares(n, world, **settings):
    return [list(DistributedSampler(range(n), world, rank, **settings)) for rank in range(world)]


@given(n=st.integers(0, 40), world=st.integers(1, 9), shuffle=st.booleans(), drop=st.booleans())
def test_ranks_share_all_indices_equally(n, world, shuffle, drop):
    parts = shares(n, world, shuffle=shuffle, drop_last=drop)
    assert len({len(part) for part in parts}) == 1
    assert len(parts[0]) == len(DistributedSampler(range(n), world, 0, drop_last=drop))
    seen = [index for part in parts for index in part]
    if drop:
        assert len(seen) == len(set(seen)) == n - n % world
    elif n:
        assert set(seen) == set(range(n))
        assert len(seen) == n + -n % world


def test_epochs_and_their_state():
    sampler = DistributedSampler(range(20), 2, 0, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    assert list(DistributedSampler(range(20), 2, 0, seed=4)) == second  # seed + epoch
    other = DistributedSampler(range(20), 2, 0, seed=3)
    other.load_state_dict(sampler.state_dict())
    assert list(other) == second


def test_a_loader_resumes_it():
    make = lambda: DataLoader(range(20), 3, sampler=DistributedSampler(range(20), 2, 1))  # noqa: E731
    loader, resumed = make(), make()
    loader.sampler.set_epoch(5)
    batches = iter(loader)
    next(batches)
    resumed.load_state_dict(loader.state_dict())
    assert [batch.tolist() for batch in resumed] == [batch.tolist() for batch in batches]


@pytest.mark.parametrize("rank", [3, -1])
def test_invalid_ranks(rank):
    message = rf"^Invalid rank {rank}, rank should be in the interval \[0, 2\]$"
    with pytest.raises(ValueError, match=message):
        DistributedSampler(range(10), 3, rank)


def test_there_is_no_process_group_to_ask():
    for settings in ({}, {"rank": 0}, {"num_replicas": 2}):
        with pytest.raises(ValueError, match=r"needs num_replicas .* and rank"):
            DistributedSampler(range(10), **settings)
    with pytest.raises(ValueError, match="num_replicas must be at least 1, but is 0"):
        DistributedSampler(range(10), 0, 0)
