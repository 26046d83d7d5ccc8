"""Packed rows: no token lost, no target across a boundary, pieces that keep every target."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.data import (
    IGNORE_INDEX,
    DataLoader,
    PackedDataset,
    collate_packed,
    pad_collate,
    plan_packing,
    split_sequences,
)
from tinytrain.data.row_picture import draw_rows

token_lists = st.lists(st.integers(0, 50), min_size=1, max_size=9)


def pack(sequences, capacity, pad_id=0):
    plan = plan_packing([len(tokens) for tokens in sequences], capacity)
    return PackedDataset(sequences, plan, pad_id)


def pack_all(sequences, capacity, pad_id=0):
    data = pack(sequences, capacity, pad_id)
    return data, collate_packed([data[i] for i in range(len(data))])


def check_by_loop(batch, rows, pad_id=0):
    """Every field against a loop over rows, sequences and tokens."""
    width = batch.input_ids.shape[1]
    cumulative = [0]
    supervised = 0
    for row, sequences in enumerate(rows):
        column = 0
        for number, tokens in enumerate(sequences, start=1):
            for position, token in enumerate(tokens):
                last = position == len(tokens) - 1
                assert batch.input_ids[row, column] == token
                assert batch.targets[row, column] == (
                    IGNORE_INDEX if last else tokens[position + 1]
                )
                assert batch.segment_ids[row, column] == number
                assert batch.positions[row, column] == position
                supervised += not last
                column += 1
            cumulative.append(cumulative[-1] + len(tokens))
        assert (batch.input_ids[row, column:] == pad_id).all()
        assert (batch.targets[row, column:] == IGNORE_INDEX).all()
        assert (batch.segment_ids[row, column:] == 0).all()
        assert (batch.positions[row, column:] == 0).all()
        assert column <= width
    assert batch.cu_seqlens.tolist() == cumulative
    assert batch.num_supervised == supervised


@settings(deadline=None)
@given(sequences=st.lists(token_lists, min_size=1, max_size=12), capacity=st.integers(9, 20))
def test_packed_rows(sequences, capacity):
    sequences = [np.array(tokens) for tokens in sequences]
    data, batch = pack_all(sequences, capacity, pad_id=3)
    assert batch.input_ids.shape == (len(data), capacity)
    check_by_loop(batch, [[sequences[i] for i in row] for row in data.plan.rows], pad_id=3)
    # What comes out is what went in, and n - 1 of n tokens are supervised.
    held = batch.input_ids[batch.segment_ids > 0]
    assert collections.Counter(held.tolist()) == collections.Counter(
        np.concatenate(sequences).tolist()
    )
    assert batch.num_supervised == sum(len(tokens) - 1 for tokens in sequences)
    assert batch.num_supervised == (batch.targets != IGNORE_INDEX).sum()


@settings(deadline=None)
@given(sequences=st.lists(token_lists, min_size=1, max_size=6))
def test_padded_rows(sequences):
    batch = pad_collate(sequences, pad_id=7)
    assert batch.input_ids.shape == (len(sequences), max(map(len, sequences)))
    check_by_loop(batch, [[tokens] for tokens in sequences], pad_id=7)


def test_dtypes():
    for batch in (
        pad_collate([np.array([1, 2], np.uint16)]),
        pack_all([np.array([1, 2], np.uint16)], 4)[1],
    ):
        dtypes = {name: getattr(batch, name).dtype for name in ("input_ids", "targets")}
        assert dtypes == {"input_ids": np.int64, "targets": np.int64}
        assert batch.positions.dtype == np.int64
        assert batch.segment_ids.dtype == np.int32
        assert batch.cu_seqlens.dtype == np.int32
        assert batch.targets.tolist()[0][:2] == [2, IGNORE_INDEX]
        assert type(batch.num_supervised) is int


def test_packed_and_padded_supervise_the_same_pairs():
    r = np.random.default_rng(0)
    sequences = [r.integers(0, 99, n) for n in (5, 1, 8, 3, 3, 7)]
    _, packed = pack_all(sequences, 10)
    padded = pad_collate(sequences)

    def pairs(batch):
        supervised = batch.targets != IGNORE_INDEX
        fields = (batch.input_ids, batch.targets, batch.positions)
        return sorted(zip(*(field[supervised].tolist() for field in fields), strict=True))

    assert pairs(packed) == pairs(padded)
    assert packed.num_supervised == padded.num_supervised == 27 - 6


def test_through_the_loader():
    r = np.random.default_rng(1)
    sequences = [r.integers(0, 99, n) for n in r.integers(1, 30, 50)]
    data = pack(sequences, 32)
    loader = DataLoader(data, batch_size=4, shuffle=True, generator=0, collate_fn=collate_packed)
    tokens, supervised = [], 0
    for batch in loader:
        tokens += batch.input_ids[batch.segment_ids > 0].tolist()
        supervised += batch.num_supervised
        assert batch.cu_seqlens[-1] == (batch.segment_ids > 0).sum()
    assert sorted(tokens) == sorted(np.concatenate(sequences).tolist())
    assert supervised == sum(map(len, sequences)) - len(sequences)
    padded = DataLoader(sequences, batch_size=8, collate_fn=pad_collate)
    assert sum(batch.num_supervised for batch in padded) == supervised


def test_ignore_index_of_padding():
    batch = pad_collate([[1, 2], [3]], ignore_index=-1)
    assert batch.targets.tolist() == [[2, -1], [-1, -1]]


def test_a_token_that_is_ignored_is_not_supervised():
    batch = pad_collate([[1, 2, 3], [2, 2]], ignore_index=2)
    assert batch.num_supervised == (batch.targets != 2).sum() == 1


def test_sequences_are_not_read_before_a_row_is():
    read = []

    class Files:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            read.append(index)
            return np.arange(1, 3)

    rows = PackedDataset(Files(), plan_packing([2, 2, 2], 2))
    assert read == []
    assert rows[1].input_ids.tolist() == [[1, 2]]
    assert len(read) == 1


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), capacity=st.integers(2, 15))
def test_split_pieces_keep_every_target_once(lengths, capacity):
    # Distinct tokens, so that a pair (token, next token) is known by its target.
    starts = np.cumsum([0, *lengths])
    sequences = [np.arange(a, b) for a, b in itertools.pairwise(starts)]
    pieces = split_sequences(sequences, capacity, split="split")
    assert all(1 <= len(piece) <= capacity for piece in pieces)
    _, batch = pack_all(pieces, capacity)
    supervised = batch.targets != IGNORE_INDEX
    targets = batch.targets[supervised]
    assert sorted(targets.tolist()) == sorted(np.concatenate([s[1:] for s in sequences]).tolist())
    np.testing.assert_array_equal(batch.input_ids[supervised] + 1, targets)
    assert batch.num_supervised == sum(length - 1 for length in lengths)


def test_splitting():
    short, long = np.arange(3), np.arange(8)
    with pytest.raises(ValueError, match="sequence 1 has 8 tokens, more than the capacity 5"):
        split_sequences([short, long], 5)
    truncated = split_sequences([short, long], 5, split="truncate")
    assert [piece.tolist() for piece in truncated] == [[0, 1, 2], [0, 1, 2, 3, 4]]
    pieces = split_sequences([long, short], 5, split="split")
    assert [piece.tolist() for piece in pieces] == [[0, 1, 2, 3, 4], [4, 5, 6, 7], [0, 1, 2]]
    assert np.shares_memory(pieces[0], long)
    assert len(split_sequences([np.arange(9)], 5, split="split")) == 2  # no piece of one token
    assert split_sequences([short], 3)[0] is short
    with pytest.raises(ValueError, match="split must be"):
        split_sequences([short], 5, split="cut")
    with pytest.raises(ValueError, match="at least 2, but got 1"):
        split_sequences([short], 1, split="split")
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        split_sequences([short], 0)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    capacity=st.integers(2, 15),
    split=st.sampled_from(["split", "truncate"]),
)
def test_a_plan_that_cuts_needs_the_whole_sequences_only(lengths, capacity, split):
    random = np.random.default_rng(0)
    sequences = [random.integers(0, 50, length) for length in lengths]
    data = PackedDataset(sequences, plan_packing(lengths, capacity, split=split))
    batch = collate_packed([data[i] for i in range(len(data))])
    pieces = split_sequences(sequences, capacity, split)
    check_by_loop(batch, [[pieces[i] for i in row] for row in data.plan.rows])
    if split == "split":  # without the token that a piece shares with the one before: all of them
        firsts = np.flatnonzero(data.plan.cuts.starts)
        repeated = collections.Counter(int(pieces[i][0]) for i in firsts)
        held = collections.Counter(batch.input_ids[batch.segment_ids > 0].tolist())
        assert held - repeated == collections.Counter(np.concatenate(sequences).tolist())
        assert batch.num_supervised == sum(length - 1 for length in lengths)


def test_a_batch_prints_a_picture_of_its_rows():
    sequences = [np.arange(n) for n in (5, 3, 2, 7)]
    _, batch = pack_all(sequences, 10)
    expected = """\
2 rows of 10 positions: 4 sequences, 17 tokens, 13 of them supervised, 15.0 % padding
row 0  1112222222
row 1  1111122..."""
    assert str(batch) == expected
    assert str(tt.to_device(batch)) == expected  # of tensors
    one = str(pad_collate([[1, 2]]))
    assert one.startswith("1 row of 2 positions: 1 sequences, 2 tokens")


def test_large_pictures_are_drawn_to_scale():
    wide = np.repeat([1, 2, 0], [1440, 720, 720])[None]
    assert draw_rows(wide) == f"row 0  {'1' * 36}{'2' * 18}{'.' * 18}"
    assert len(draw_rows(np.ones((1, 1000), int))) == len("row 0  ") + 72
    many = draw_rows(np.ones((1200, 2), int)).splitlines()
    assert many[0] == "row  0  11"
    assert many[-2:] == ["row 15  11", "and 1,184 more"]
    signs = draw_rows(np.arange(1, 41)[None])
    assert signs == "row 0  123456789abcdefghijklmnopqrstuvwxyz12345"


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (np.zeros((2, 2), int), ValueError, "1-D array of tokens, not empty"),
        (np.array([], int), ValueError, "1-D array of tokens, not empty"),
        (np.array([1.0]), TypeError, "integers that fit int64, but holds float64"),
        (np.array([True]), TypeError, "integers that fit int64, but holds bool"),
        (np.array([1], np.uint64), TypeError, "integers that fit int64, but holds uint64"),
    ],
)
def test_what_is_no_sequence_of_tokens_is_refused(tokens, error, message):
    with pytest.raises(error, match=message):
        pad_collate([np.array([1]), tokens])
    with pytest.raises(error, match=f"sequence 1 .*{message}"):
        split_sequences([np.array([1]), tokens], 5)
    if tokens.ndim == 1 and tokens.size:
        with pytest.raises(error, match=message):
            pack([tokens], 5)[0]


def test_refused():
    with pytest.raises(ValueError, match="tokens must be at least 0, but got -100"):
        pad_collate([[1, IGNORE_INDEX]])
    with pytest.raises(ValueError, match="at least one sequence"):
        pad_collate([])
    plan = plan_packing([2, 3], 5)
    with pytest.raises(ValueError, match="the plan is for 2 sequences, but got 1"):
        PackedDataset([[1, 2, 3]], plan)
    with pytest.raises(ValueError, match="sequence 0 has 3 tokens, but the plan was made for 2"):
        list(PackedDataset([[1, 2, 3], [1, 2]], plan))
    for wrong in (0.7, -1, True, "0"):
        with pytest.raises(ValueError, match="pad_id must be a whole number of at least 0"):
            pad_collate([[1]], pad_id=wrong)
        with pytest.raises(ValueError, match="pad_id must be a whole number of at least 0"):
            PackedDataset([[1, 2], [1, 2, 3]], plan, pad_id=wrong)
    with pytest.raises(ValueError, match=r"ignore_index must be a whole number, but got 0\.5"):
        pad_collate([[1]], ignore_index=0.5)
    sequences = [[1, 2], [1, 2, 3]]
    data = PackedDataset(sequences, plan)
    sequences[0].append(3)
    with pytest.raises(ValueError, match="sequence 0 has 3 tokens, but the plan was made for 2"):
        data[0]
    with pytest.raises(ValueError, match=r"one width, but got \[2, 3\]"):
        collate_packed([pad_collate([[1, 2]]), pad_collate([[1, 2, 3]])])
    with pytest.raises(ValueError, match="collate_packed needs at least one row"):
        collate_packed([])


def test_rows_are_asked_for_one_by_one():
    data = pack([[1, 2, 3], [4, 5], [6]], 3)
    assert data[-1].input_ids.tolist() == data[len(data) - 1].input_ids.tolist()
    assert data[np.int64(0)].input_ids.tolist() == data[0].input_ids.tolist()
    for wrong in (slice(0, 1), 0.0, "0", True, None, [0]):
        with pytest.raises(TypeError, match=r"has a whole number, but got .*collate_packed\("):
            data[wrong]
    for wrong in (2, -3, 99):
        with pytest.raises(IndexError, match=f"no row {wrong}: the plan has 2 rows"):
            data[wrong]
    assert len(list(data)) == 2


@pytest.mark.parametrize("make", [pad_collate, lambda s: collate_packed(list(pack(s, 4)))])
def test_mask_and_lengths(make):
    batch = make([[5, 6, 7], [8, 9]])
    assert batch.mask.dtype == np.bool_
    np.testing.assert_array_equal(batch.mask, batch.segment_ids != 0)
    assert (batch.lengths.tolist(), batch.lengths.dtype) == ([3, 2], np.int32)
    left = pad_collate([[5, 6, 7], [8, 9]], side="left")
    assert left.mask.tolist() == [[True] * 3, [False, True, True]]
    tensors = tt.to_device(batch)
    assert tensors.mask.tolist() == batch.mask.tolist()
    assert tensors.lengths.tolist() == [3, 2]


def test_a_batch_of_more_tokens_than_cu_seqlens_can_tell(monkeypatch):
    monkeypatch.setattr("tinytrain.data.packed.LARGEST_CAPACITY", 4)
    with pytest.raises(ValueError, match=r"a batch of 5 tokens is larger than cu_seqlens"):
        pad_collate([[1, 2, 3], [4, 5]])
