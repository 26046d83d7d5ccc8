"""Random blocks of a text: shifted by one, and a pure function of seed and step."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import (
    BlockDataset,
    DataLoader,
    RandomBlockSampler,
    collate_blocks,
    pad_collate,
)
from tinytrain.testing import check_sampler


@settings(deadline=None)
@given(
    block_size=st.integers(1, 9),
    stride=st.integers(1, 9),
    more=st.integers(0, 40),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]),
)
def test_blocks_are_shifted_by_one(block_size, stride, more, dtype):
    tokens = np.arange(block_size + 1 + more).astype(dtype)
    blocks = BlockDataset(tokens, block_size, stride)
    starts = [s for s in range(0, len(tokens), stride) if s + block_size + 1 <= len(tokens)]
    assert len(blocks) == len(starts)
    together = blocks.__getitems__(range(len(blocks)))
    for i, start in enumerate(starts):
        for inputs, targets in (blocks[i], together[i], blocks[i - len(starts)]):
            assert inputs.tolist() == list(range(start, start + block_size))
            assert targets.tolist() == list(range(start + 1, start + block_size + 1))
            assert inputs.dtype == targets.dtype == np.int64


def test_blocks_side_by_side_have_every_target_once():
    blocks = BlockDataset(np.arange(101), block_size=10, stride=10)
    targets = np.concatenate([blocks[i][1] for i in range(len(blocks))])
    assert targets.tolist() == list(range(1, 101))


def test_blocks_are_copies_of_a_file(tmp_path):
    np.arange(50, dtype=np.uint16).tofile(tmp_path / "tokens.bin")
    tokens = np.memmap(tmp_path / "tokens.bin", dtype=np.uint16, mode="r")
    inputs, targets = BlockDataset(tokens, 4)[7]
    assert type(inputs) is np.ndarray
    inputs[:] = 0
    assert (tokens[7], targets[0]) == (7, 8)


@pytest.mark.parametrize(
    ("tokens", "block_size", "error", "message"),
    [
        ([1, 2, 3], 2, TypeError, "integers that fit int64, but got list"),
        (np.zeros(9), 2, TypeError, "but got float64"),
        (np.zeros(9, np.uint64), 2, TypeError, "but got uint64"),
        (np.zeros(9, bool), 2, TypeError, "but got bool"),
        (np.zeros((3, 3), int), 2, ValueError, r"1-D text .* \(3, 3\)"),
        (np.zeros(4, int), 4, ValueError, r"at least 5, but got the shape \(4,\)"),
        (np.zeros(4, int), 0, ValueError, "block_size must be a whole number of at least 1"),
        (np.zeros(4, int), "2", ValueError, "block_size must be .* but got '2'"),
    ],
)
def test_bad_texts_are_refused(tokens, block_size, error, message):
    with pytest.raises(error, match=message):
        BlockDataset(tokens, block_size)


def test_a_block_that_does_not_exist():
    blocks = BlockDataset(np.arange(6), 3)
    with pytest.raises(IndexError, match="no block 3: there are 3 blocks"):
        blocks[3]
    with pytest.raises(IndexError, match="no block -4: there are 3 blocks"):
        blocks.__getitems__([0, -4])


# ---------------------------------------------------------------- the sampler


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**40), step=st.integers(0, 2**40), before=st.integers(0, 3))
def test_a_batch_depends_on_seed_and_step_alone(seed, step, before):
    one, other = (RandomBlockSampler(range(1000), 6, 5, seed=seed) for _ in range(2))
    for _ in range(before):
        list(one)
    batch = one.batch(step)
    assert batch == other.batch(step)
    assert len(batch) == 6
    assert all(type(index) is int and 0 <= index < 1000 for index in batch)
    assert batch != one.batch(step + 1)
    assert batch != RandomBlockSampler(range(1000), 6, 5, seed=seed + 1).batch(step)
    if step != seed:
        assert batch != RandomBlockSampler(range(1000), 6, 5, seed=step).batch(seed)


def test_draws_are_uniform_and_independent():
    sampler = RandomBlockSampler(range(10), 8, 2500, seed=3)
    drawn = np.array(list(sampler))
    counts = np.bincount(drawn.ravel(), minlength=10)
    # Chi-square with 9 degrees of freedom is above 27.9 in one of a thousand cases.
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9
    same = (drawn[1:] == drawn[:-1]).mean()
    assert abs(same - 0.1) < 0.01


def test_epochs_count_on():
    sampler = RandomBlockSampler(range(100), 4, 3, seed=1)
    first, second = list(sampler), list(sampler)
    assert first + second == [sampler.batch(step) for step in range(6)]
    assert sampler.state_dict() == {"seed": 1, "step": 6, "settings": sampler._settings()}
    sampler.set_epoch(1)
    assert list(sampler) == second
    check_sampler(lambda seed: RandomBlockSampler(range(50), 4, 6, seed=seed), 50, covers=False)


def test_length_of_an_epoch():
    blocks = BlockDataset(np.arange(1001), 10)
    assert len(RandomBlockSampler(blocks, 4)) == 26  # 26 x 4 x 10 tokens cover 1001
    assert len(RandomBlockSampler(blocks, 4, num_replicas=2)) == 13
    assert len(RandomBlockSampler(range(10), 4)) == 3
    assert len(RandomBlockSampler(range(10), 4, 7)) == 7


def test_ranks_share_the_draws():
    whole = RandomBlockSampler(range(1000), 12, 5, seed=2)
    ranks = [
        RandomBlockSampler(range(1000), 4, 5, seed=2, rank=rank, num_replicas=3)
        for rank in range(3)
    ]
    for batch, *parts in zip(whole, *ranks, strict=True):
        assert batch == list(itertools.chain(*parts))


@pytest.mark.parametrize("after", [0, 1, 5])
def test_resuming_through_the_loader(after):
    blocks = BlockDataset(np.random.default_rng(0).integers(0, 99, 300), 8)

    def loader():
        return DataLoader(
            blocks,
            batch_sampler=RandomBlockSampler(blocks, 4, 6, seed=5),
            collate_fn=collate_blocks,
        )

    straight = loader()
    epochs = [[batch.input_ids.tolist() for batch in straight] for _ in range(3)]
    stopped = loader()
    list(stopped)
    batches = iter(stopped)
    for _ in range(after):
        next(batches)
    resumed = loader()
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert [batch.input_ids.tolist() for batch in resumed] == epochs[1][after:]
    assert [batch.input_ids.tolist() for batch in resumed] == epochs[2]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1"),
        ({"batches_per_epoch": 0}, ValueError, "batches_per_epoch must be a whole number"),
        ({"seed": 0.5}, ValueError, "seed must be .* but got 0.5"),
        ({"rank": 1}, ValueError, "one of the 1 ranks from 0, but got 1"),
        ({"blocks": []}, ValueError, "no blocks to draw from"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        RandomBlockSampler(**{"blocks": range(10), "batch_size": 2, **settings})


def test_bad_states_and_steps_are_refused():
    sampler = RandomBlockSampler(range(10), 2)
    with pytest.raises(ValueError, match="expected a state with seed, step and settings"):
        sampler.load_state_dict({"seed": 1, "epoch": 0})
    for other in (
        RandomBlockSampler(range(11), 2, 3),
        RandomBlockSampler(range(10), 3, 3),
        RandomBlockSampler(range(10), 2, 4),
        RandomBlockSampler(range(10), 2, 3, num_replicas=2),
    ):
        with pytest.raises(ValueError, match="the state is of another sampler"):
            RandomBlockSampler(range(10), 2, 3).load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="step must be a whole number"):
        sampler.batch(-1)
    with pytest.raises(ValueError, match="epoch must be a whole number"):
        sampler.set_epoch(-1)


# ---------------------------------------------------------------- the batch


def test_a_batch_of_blocks_is_a_packed_batch():
    tokens = np.random.default_rng(0).integers(0, 99, 60)
    blocks = BlockDataset(tokens, 7)
    batch = collate_blocks(blocks.__getitems__([3, 30, 3]))
    # Padding the same tokens, and their successors, says the same but for the last target.
    padded = pad_collate([tokens[start : start + 7] for start in (3, 30, 3)])
    for name in ("input_ids", "segment_ids", "positions", "cu_seqlens"):
        ours, theirs = getattr(batch, name), getattr(padded, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(batch.targets[:, :-1], padded.targets[:, :-1])
    assert batch.targets[:, -1].tolist() == [tokens[10], tokens[37], tokens[10]]
    assert batch.num_supervised == 21 == padded.num_supervised + 3
    one_by_one = collate_blocks([blocks[3], blocks[30], blocks[3]])
    np.testing.assert_array_equal(one_by_one.targets, batch.targets)


def test_blocks_of_several_sizes_are_no_batch():
    one, other = BlockDataset(np.arange(9), 2), BlockDataset(np.arange(9), 3)
    with pytest.raises(ValueError, match=r"one size, but got \[2, 3\]"):
        collate_blocks([one[0], other[0]])
    with pytest.raises(ValueError, match=r"one size, but got \[\]"):
        collate_blocks([])
