"""Cutting batches: nothing is lost, everything else is refused."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.data import PackedDataset, collate_packed, pad_collate, plan_packing
from tinytrain.train.split_batch import count_rows, split_batch

Pair = namedtuple("Pair", "x y")


@dataclass
class Record:
    x: np.ndarray
    name: str


@given(st.integers(1, 9), st.integers(1, 11))
def test_pieces_put_together_are_the_batch(total, rows):
    x, y = np.arange(total * 2).reshape(total, 2), np.arange(total)
    batch = OrderedDict(
        pair=Pair(x, tt.from_numpy(y)),
        names=[f"row {i}" for i in range(total)],
        rest=(Record(x[:, 0], "a"), [y, None], "text", True),
    )
    pieces = split_batch(batch, rows)
    sizes = [count_rows(piece) for piece in pieces]
    assert sizes == [rows] * (total // rows) + [total % rows] * (total % rows > 0)
    assert all(type(p) is OrderedDict and type(p["pair"]) is Pair for p in pieces)
    np.testing.assert_array_equal(np.concatenate([p["pair"].x for p in pieces]), x)
    assert [i for p in pieces for i in p["pair"].y.tolist()] == y.tolist()
    assert [name for p in pieces for name in p["names"]] == batch["names"]
    records = [p["rest"][0] for p in pieces]
    np.testing.assert_array_equal(np.concatenate([r.x for r in records]), x[:, 0])
    assert {r.name for r in records} == {"a"}
    np.testing.assert_array_equal(np.concatenate([p["rest"][1][0] for p in pieces]), y)
    assert {p["rest"][2:] for p in pieces} == {("text", True)}


def test_arrays_are_cut_into_views():
    x = np.zeros((6, 2))
    assert all(np.shares_memory(piece, x) for piece in split_batch(x, 4))
    assert split_batch(x, 6)[0] is x


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=12),
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
)
def test_packed_rows_keep_their_sequences(lengths, rows, as_rows, as_tensors):
    sequences = [np.arange(n) + 10 * i for i, n in enumerate(lengths)]
    if as_rows:
        batch = pad_collate(sequences)
    else:
        data = PackedDataset(sequences, plan_packing(lengths, 8))
        batch = collate_packed([data[i] for i in range(len(data))])
    whole = batch
    if as_tensors:
        batch = tt.to_device(batch)
    pieces = split_batch(batch, rows)
    assert sum(p.num_supervised for p in pieces) == batch.num_supervised
    if as_tensors and len(pieces) > 1:
        assert isinstance(pieces[0].cu_seqlens, tt.Tensor)
    pieces = [
        type(p)(**{k: np.array(getattr(v, "tolist", lambda v=v: v)()) for k, v in vars(p).items()})
        for p in pieces
    ]
    for piece in pieces:
        tokens = (piece.segment_ids > 0).sum()
        assert piece.cu_seqlens[-1] == tokens
        assert len(piece.cu_seqlens) - 1 == piece.segment_ids.max(axis=1).sum()
    together = collate_packed(pieces)
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(together, name), value)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((np.zeros(3), np.zeros(4)), r"batch\[0\] has 3, batch\[1\] has 4"),
        ({"x": np.zeros(3), "n": np.array(3)}, r"batch\['n'\] has no axis"),
        ({"x": np.zeros(3), "n": 3}, r"batch\['n'\] is 3, and nothing says"),
        ((np.zeros(3), 0.5), r"batch\[1\] is 0.5"),
        ((np.zeros(3), ["a", "b"]), r"batch\[1\] has 2 entries, the batch has 3 rows"),
        ((np.zeros(3), {1, 2, 3}), r"batch\[1\] is \{1, 2, 3\}"),
        (["a", "b"], "a list without arrays has no rows"),
        (7, "a int without arrays"),
    ],
)
def test_what_cannot_be_cut_is_refused(batch, message):
    with pytest.raises(ValueError, match=message):
        split_batch(batch, 2)


def test_packed_batches_that_do_not_add_up_are_refused():
    batch = pad_collate([[1, 2, 3], [4, 5], [6, 7]])
    batch.num_supervised += 1
    with pytest.raises(ValueError, match="says that 5 positions are supervised, and 4 targets"):
        split_batch(batch, 1)
    batch = pad_collate([[1, 2, 3], [4, 5], [6, 7]])
    batch.cu_seqlens = batch.cu_seqlens[:-1]
    with pytest.raises(ValueError, match="2 lengths for 3 sequences"):
        split_batch(batch, 1)


@pytest.mark.parametrize("rows", [0, -1, 1.5])
def test_rows_must_be_positive(rows):
    with pytest.raises((ValueError, TypeError), match="rows"):
        split_batch(np.zeros(4), rows)
