"""Packing a stream: how full the rows are, what is open, and that interruptions change nothing."""

import collections
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.data.test_packing import CAPACITY, document_lengths
from tinytrain.data import (
    DataLoader,
    OnlinePacker,
    PackedStream,
    WorkerInfo,
    collate_packed,
    plan_packing,
    split_sequences,
)

LONGEST = np.zeros(CAPACITY, dtype=np.int64)


def lengths_of(rows):
    return [[len(tokens) for tokens in row] for row in rows]


@pytest.mark.parametrize(
    ("kind", "efficiency"),
    [("lognormal", 0.99), ("geometric", 0.99), ("bimodal", 0.90), ("uniform", 0.95)],
)
def test_32_open_rows_are_enough(kind, efficiency):
    lengths = document_lengths(kind, 100_000)[:20_000]
    packer = OnlinePacker(CAPACITY, open_rows=32)
    rows, most = [], 0
    for length in lengths.tolist():
        rows += packer.add(LONGEST[:length])
        most = max(most, len(packer))
    assert most == 32
    rows += packer.flush()
    assert len(packer) == 0
    packed = lengths_of(rows)
    assert max(map(sum, packed)) <= CAPACITY
    assert collections.Counter(itertools.chain(*packed)) == collections.Counter(lengths.tolist())
    report = packer.report()
    assert (report.rows, report.tokens, report.sequences) == (len(rows), lengths.sum(), 20_000)
    assert report.efficiency == lengths.sum() / (len(rows) * CAPACITY)
    assert report.efficiency >= efficiency
    offline = plan_packing(lengths, CAPACITY)
    assert report.bound == offline.lower_bound
    assert len(rows) <= 1.04 * len(offline.rows)


def test_each_goes_where_the_least_room_is_left():
    packer = OnlinePacker(capacity=10, open_rows=3)
    for length in (8, 4, 7):
        assert packer.add(range(length)) == []
    assert lengths_of(packer.add(range(2))) == [[8, 2]]  # where it fits best, though all have room
    assert packer.add(range(5)) == []  # beside the 4: no new row while there is room
    assert len(packer) == 2
    assert lengths_of(packer.flush()) == [[4, 5], [7]]


def test_a_full_row_is_closed_at_once_and_only_the_fullest_makes_room():
    packer = OnlinePacker(capacity=10, open_rows=2)
    assert lengths_of(packer.add(range(10))) == [[10]]
    assert packer.add(range(5)) == packer.add(range(7)) == []
    assert lengths_of(packer.add(range(8))) == [[7]]
    assert lengths_of(packer.add(range(5))) == [[5, 5]]
    assert lengths_of(packer.flush()) == [[8]]
    assert packer.flush() == []


def test_rows_with_equal_room_are_filled_in_the_order_of_their_opening():
    packer = OnlinePacker(capacity=10, open_rows=3)
    for token in (1, 2, 3):
        packer.add([token] * 6)
    (row,) = packer.add([4] * 4)
    assert [tokens[0] for tokens in row] == [1, 4]


def test_the_longest_wait_is_counted_in_sequences():
    packer = OnlinePacker(capacity=10, open_rows=2)
    for length in (3, 9, 9, 9):  # the first waits, while the others push each other out
        packer.add(range(length))
    assert packer.report().longest_wait == 1
    assert lengths_of(packer.add(range(7))) == [[3, 7]]
    assert packer.report().longest_wait == 4
    assert "4 sequences at most, from arrival to the end of the row" in str(packer.report())


def test_the_report_before_anything_is_closed():
    """An empty packer wastes nothing and fills nothing: words, and no figures."""
    packer = OnlinePacker(capacity=10)
    for _ in range(2):
        report = packer.report()
        assert (report.rows, report.tokens, report.bound) == (0, 0, 0)
        assert math.isnan(report.efficiency)
        assert math.isnan(report.variation)
        assert report.longest_wait is None
        assert str(report) == "no row is closed yet: there is nothing to report"
        packer.add([1, 2, 3])
    packer.flush()
    assert packer.report().longest_wait == 1
    assert "efficiency  60.00 % of" in str(packer.report())


def test_tokens_are_copied():
    tokens = np.array([1, 2, 3], dtype=np.uint8)
    packer = OnlinePacker(capacity=5)
    packer.add(tokens)
    tokens[:] = 9
    ((kept,),) = packer.flush()
    assert kept.tolist() == [1, 2, 3]
    assert kept.dtype == np.int64


def test_sequences_over_the_capacity():
    packer = OnlinePacker(capacity=5)
    packer.add([1])
    with pytest.raises(ValueError, match="sequence 1 has 6 tokens, more than the capacity 5"):
        packer.add(range(6))
    assert len(packer) == 1
    packer = OnlinePacker(capacity=5, split="truncate")
    assert [tokens.tolist() for (tokens,) in packer.add(range(8))] == [[0, 1, 2, 3, 4]]
    assert packer.report().num_truncated == 1
    packer = OnlinePacker(capacity=5, split="split")
    rows = [*packer.add(range(11)), *packer.flush()]
    pieces = [tokens.tolist() for row in rows for tokens in row]
    assert pieces == [p.tolist() for p in split_sequences([np.arange(11)], 5, "split")]
    assert packer.report().num_split == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"capacity": 0}, "capacity must be a whole number of at least 1, but got 0"),
        (
            {"capacity": 1, "split": "split"},
            "capacity must be a whole number of at least 2, but got 1",
        ),
        ({"capacity": 4, "split": "cut"}, "split must be"),
        (
            {"capacity": 4, "open_rows": 0},
            "open_rows must be a whole number of at least 1, but got 0",
        ),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        OnlinePacker(**settings)
    with pytest.raises(ValueError, match=message):
        PackedStream([], **settings)


def test_what_is_no_sequence_is_refused_and_changes_nothing():
    packer = OnlinePacker(capacity=5)
    packer.add([1, 2])
    before = packer.state_dict()
    for wrong, error in [
        ([], ValueError),
        ([[1]], ValueError),
        ([1.5], TypeError),
        ([-1], ValueError),
    ]:
        with pytest.raises(error):
            packer.add(wrong)
    assert packer.state_dict() == before


@pytest.mark.parametrize("other", [{"capacity": 6}, {"open_rows": 3}, {"split": "truncate"}])
def test_a_state_of_other_settings(other):
    state = OnlinePacker(capacity=5, open_rows=2).state_dict()
    (name,) = other
    with pytest.raises(ValueError, match=f"a packer with {name}="):
        OnlinePacker(**{"capacity": 5, "open_rows": 2, **other}).load_state_dict(state)


class AnyUse(RuleBasedStateMachine):
    """A packer that is interrupted at will does what an uninterrupted one does."""

    @initialize(
        capacity=st.integers(2, 12),
        open_rows=st.integers(1, 4),
        split=st.sampled_from(["error", "truncate", "split"]),
    )
    def begin(self, capacity, open_rows, split):
        self.settings = (capacity, open_rows, split)
        self.packer, self.straight = OnlinePacker(*self.settings), OnlinePacker(*self.settings)
        self.given, self.rows, self.straight_rows = [], [], []
        self.next_token = 0

    @rule(length=st.integers(1, 30))
    def add(self, length):
        capacity, _, split = self.settings
        tokens = np.arange(self.next_token, self.next_token + length)
        if length > capacity and split == "error":
            with pytest.raises(ValueError, match="more than the capacity"):
                self.packer.add(tokens)
            return
        self.next_token += length
        self.given.append(tokens)
        self.rows += self.packer.add(tokens)
        self.straight_rows += self.straight.add(tokens)

    @rule()
    def interrupt(self):
        state = json.loads(json.dumps(self.packer.state_dict()))
        self.packer = OnlinePacker(*self.settings)
        self.packer.add([1])
        self.packer.load_state_dict(state)
        assert self.packer.state_dict() == state

    @rule()
    def flush(self):
        self.rows += self.packer.flush()
        self.straight_rows += self.straight.flush()
        assert len(self.packer) == 0

    @invariant()
    def nothing_is_lost_and_nothing_differs(self):
        capacity, open_rows, split = self.settings
        assert len(self.packer) <= open_rows
        texts = [
            [[t.tolist() for t in row] for row in rows] for rows in (self.rows, self.straight_rows)
        ]
        assert texts[0] == texts[1]
        assert str(self.packer.report()) == str(self.straight.report())
        inside = [t for row in self.packer.state_dict()["rows"] for t in row["sequences"]]
        held = [tuple(t) for row in texts[0] for t in row] + [tuple(t) for t in inside]
        expected = split_sequences(self.given, capacity, split)
        assert sorted(held) == sorted(tuple(piece.tolist()) for piece in expected)
        assert all(sum(map(len, row)) <= capacity for row in texts[0])


AnyUse.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
test_any_use = AnyUse.TestCase


# ---------------------------------------------------------------- streams


class Reader:
    """Sequences that keep a place of their own, as a data set that reads files may.

    After a pass its place is the end, or else its start again.
    """

    def __init__(self, sequences, stays_at_end=True):
        self.sequences, self.stays_at_end = sequences, stays_at_end
        self.place, self.loaded, self.reads = 0, False, 0

    def __iter__(self):
        self.place, self.loaded = self.place if self.loaded else 0, False
        while self.place < len(self.sequences):
            self.place += 1
            self.reads += 1
            yield self.sequences[self.place - 1]
        if not self.stays_at_end:
            self.place = 0

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place, self.loaded = state["place"], True


FIELDS = ("input_ids", "targets", "segment_ids", "positions", "cu_seqlens", "num_supervised")


def as_lists(rows):
    return [[np.asarray(getattr(row, name)).tolist() for name in FIELDS] for row in rows]


def test_a_stream_gives_packed_rows():
    random = np.random.default_rng(0)
    sequences = [random.integers(0, 99, n) for n in random.integers(1, 30, 200)]
    stream = PackedStream(sequences, capacity=32, open_rows=4, pad_id=5)
    rows = list(stream)
    batch = collate_packed(rows)
    held = batch.input_ids[batch.segment_ids > 0]
    assert sorted(held.tolist()) == sorted(np.concatenate(sequences).tolist())
    assert batch.num_supervised == sum(map(len, sequences)) - len(sequences)
    assert (batch.input_ids[batch.segment_ids == 0] == 5).all()
    assert {row.input_ids.shape for row in rows} == {(1, 32)}
    assert stream.report().rows == len(rows)
    assert as_lists(stream) == as_lists(rows)  # a second pass begins anew


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 25), min_size=0, max_size=20),
    capacity=st.integers(2, 12),
    open_rows=st.integers(1, 4),
    stop=st.integers(0, 40),
    place=st.sampled_from(["none", "end", "start"]),
)
def test_a_stream_goes_on_where_it_stopped(lengths, capacity, open_rows, stop, place):
    sequences = [list(range(1, length + 1)) for length in lengths]

    def make():
        source = sequences if place == "none" else Reader(sequences, place == "end")
        return PackedStream(source, capacity, open_rows, split="split")

    expected = as_lists(make())
    stream = make()
    assert as_lists(itertools.islice(stream, stop)) == expected[:stop]
    state = json.loads(json.dumps(stream.state_dict()))
    for resumed in (make(), stream):
        resumed.load_state_dict(state)
        assert json.loads(json.dumps(resumed.state_dict())) == state
        rest = expected[stop:] if stop <= len(expected) else expected  # the end was reached
        assert as_lists(resumed) == rest
        after = json.loads(json.dumps(resumed.state_dict()))
        assert as_lists(resumed) == expected  # the next pass is a whole one
        later = make()
        later.load_state_dict(after)
        assert as_lists(later) == expected


def test_resuming_does_not_read_again_what_keeps_its_place():
    sequences = [[1, 2, 3]] * 10
    stream = PackedStream(Reader(sequences), capacity=3)
    rows = iter(stream)
    for _ in range(6):
        next(rows)
    reader = Reader(sequences)
    resumed = PackedStream(reader, capacity=3)
    resumed.load_state_dict(stream.state_dict())
    assert len(list(resumed)) == reader.reads == 4


def test_streams_that_cannot_be_resumed():
    with pytest.raises(TypeError, match="a generator can be read only once"):
        PackedStream((s for s in [[1]]), capacity=3)
    stream = PackedStream([[1, 2, 3]] * 3, capacity=3)
    rows = iter(stream)
    next(rows), next(rows)
    shorter = PackedStream([[1, 2, 3]], capacity=3)
    shorter.load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="taken after 2 sequences, but the stream has 1"):
        next(iter(shorter))
    with pytest.raises(ValueError, match="sequences with a state of their own"):
        PackedStream(Reader([]), capacity=3).load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="capacity=3, but this one has capacity=4"):
        PackedStream([], capacity=4).load_state_dict(stream.state_dict())


def test_two_passes_at_once_do_not_touch_each_other():
    stream = PackedStream([[n] * (n % 4 + 1) for n in range(30)], capacity=7, open_rows=3)
    expected = as_lists(stream)
    first, second = iter(stream), iter(stream)
    pairs = list(zip(first, second, strict=True))
    assert as_lists(row for row, _ in pairs) == as_lists(row for _, row in pairs) == expected


def test_a_state_of_other_padding_or_of_something_else():
    stream = PackedStream([[1, 2]], capacity=4, pad_id=np.int64(3))
    state = json.loads(json.dumps(stream.state_dict()))
    with pytest.raises(ValueError, match="a stream with pad_id=3, but this one has pad_id=0"):
        PackedStream([[1, 2]], capacity=4).load_state_dict(state)
    with pytest.raises(ValueError, match="not the state of a PackedStream"):
        stream.load_state_dict(state["packer"])
    for wrong in (0.7, -1, True, "0"):
        with pytest.raises(ValueError, match="pad_id must be a whole number"):
            PackedStream([[1]], capacity=4, pad_id=wrong)


class Shares:
    def __init__(self, sequences):
        self.sequences = sequences

    def __iter__(self):
        return self.shard(0, 1)

    def shard(self, index, count):
        return iter(self.sequences[index::count])


def test_workers_share_the_sequences_or_refuse(monkeypatch):
    sequences = [[n] * (n % 4 + 1) for n in range(30)]
    plain, shared = (PackedStream(s, capacity=7) for s in (sequences, Shares(sequences)))
    whole = as_lists(plain)
    tokens = []
    for number in range(3):
        info = WorkerInfo(number, 3, 0, None)
        monkeypatch.setattr("tinytrain.data.packed_stream.get_worker_info", lambda info=info: info)
        with pytest.raises(RuntimeError, match="each of 3 workers would pack all sequences"):
            iter(plain)
        tokens += [t for row in shared for t in row.input_ids[row.segment_ids > 0].tolist()]
    assert sorted(tokens) == sorted(itertools.chain(*sequences))
    monkeypatch.setattr(
        "tinytrain.data.packed_stream.get_worker_info", lambda: WorkerInfo(0, 1, 0, None)
    )
    assert as_lists(plain) == whole


@pytest.mark.parametrize("wrong", [2.5, float("nan"), True, "4", None])
def test_numbers_of_a_packer_are_whole(wrong):
    with pytest.raises(ValueError, match="open_rows must be a whole number"):
        OnlinePacker(4, open_rows=wrong)
    with pytest.raises(ValueError, match="capacity must be a whole number"):
        OnlinePacker(wrong)
    with pytest.raises(ValueError, match="capacity must be a whole number"):
        plan_packing([1, 2], wrong)
    if wrong is not None:
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            plan_packing([1, 2], 4).report(wrong)


def test_numpy_numbers_go_into_the_state():
    packer = OnlinePacker(np.int64(7), np.int32(2))
    packer.add([1, 2])
    assert json.loads(json.dumps(packer.state_dict())) == packer.state_dict()


# ---------------------------------------------------------------- ends, waits and states


@pytest.mark.parametrize("stays_at_end", [True, False])
def test_after_the_end_of_a_pass_comes_a_whole_one(stays_at_end):
    sequences = [[n + 1] * (n % 9 + 1) for n in range(50)]
    stream = PackedStream(Reader(sequences, stays_at_end), capacity=10)
    rows = as_lists(stream)
    assert len(rows) > 20
    state = json.loads(json.dumps(stream.state_dict()))
    resumed = PackedStream(Reader(sequences, stays_at_end), capacity=10)
    resumed.load_state_dict(state)
    for _ in range(3):
        assert as_lists(resumed) == rows
    begun = iter(resumed)
    next(begun)
    resumed.load_state_dict(resumed.state_dict())
    assert as_lists(resumed) == rows[1:]


def test_a_stream_without_sequences_stays_empty():
    stream = PackedStream(Reader([]), capacity=10)
    assert list(stream) == []
    stream.load_state_dict(stream.state_dict())
    assert list(stream) == []


def waits_by_loop(lengths, capacity, open_rows):
    """The longest wait, from the rows themselves: each token is the number of its sequence."""
    packer, longest = OnlinePacker(capacity, open_rows), 0
    for now, length in enumerate(lengths):
        for row in packer.add([now] * length):
            longest = max(longest, now - row[0][0])
    for row in packer.flush():
        longest = max(longest, len(lengths) - 1 - row[0][0])
    return packer, longest


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    capacity=st.integers(9, 15),
    open_rows=st.integers(1, 4),
)
def test_the_longest_wait_against_a_loop(lengths, capacity, open_rows):
    packer, longest = waits_by_loop(lengths, capacity, open_rows)
    assert packer.report().longest_wait == longest


def test_what_is_flushed_at_once_has_not_waited():
    packer = OnlinePacker(capacity=10)
    packer.add([1])
    packer.flush()
    assert packer.report().longest_wait == 0


def filled_packer():
    packer = OnlinePacker(capacity=5, open_rows=2)
    for length in (3, 4, 2, 1):
        packer.add(range(length))
    packer.add([1, 2])
    return packer


def changed(state, **changes):
    return {**state, **changes}


def row_changed(state, **changes):
    return {**state, "rows": [{**state["rows"][0], **changes}]}


WRONG_STATES = {
    "no state": (lambda s: None, "not the state of an OnlinePacker: .* but got None"),
    "a key too few": (lambda s: {k: s[k] for k in s if k != "tokens"}, "not the state of an"),
    "a key too many": (lambda s: changed(s, more=1), "not the state of an OnlinePacker"),
    "no list of rows": (lambda s: changed(s, rows="12"), "must be a list, but are '12'"),
    "too many rows": (lambda s: changed(s, rows=s["rows"] * 3), "has 3 open rows, .* at most 2"),
    "no row": (lambda s: changed(s, rows=[[1, 2]]), "not the open row 0 of a packer"),
    "an empty row": (lambda s: row_changed(s, sequences=[]), "holds 0 tokens"),
    "a full row": (lambda s: row_changed(s, sequences=[[1] * 5]), "holds 5 tokens, .* 1 to 4 of 5"),
    "a row over capacity": (lambda s: row_changed(s, sequences=[[1] * 9]), "holds 9 tokens"),
    "no tokens": (lambda s: row_changed(s, sequences=[[]]), "1-D array of tokens, not empty"),
    "sequences that are none": (lambda s: row_changed(s, sequences="ab"), "a list of sequences"),
    "negative tokens": (
        lambda s: row_changed(s, sequences=[[-1]]),
        "at least 0, .* 0 holds -1",
    ),
    "tokens that are none": (lambda s: row_changed(s, sequences=[[0.5]]), "must hold integers"),
    "a row of the future": (lambda s: row_changed(s, opened=5), "opened by sequence 5, but only 5"),
    "a row of no number": (lambda s: row_changed(s, opened="1"), "'opened' of the open row 0 must"),
    "half a sequence": (lambda s: changed(s, added=2.5), "added must be a whole number"),
    "fewer than none": (lambda s: changed(s, closed=-1), "closed must be a whole number"),
    "counts that are none": (lambda s: changed(s, counts=[1, 2]), "pairs of a length and a count"),
    "counts of others": (lambda s: changed(s, counts=[[3, 1]]), "have 3 tokens, .* but 10 tokens"),
    "counts too long": (lambda s: changed(s, counts=[[10, 1]]), "the longest of them 10, .* 5 in"),
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_a_state_that_cannot_be_is_refused_and_changes_nothing(name):
    make_wrong, message = WRONG_STATES[name]
    packer = filled_packer()
    before = packer.state_dict()
    assert (len(before["rows"]), before["tokens"]) == (1, 10)
    wrong = make_wrong(json.loads(json.dumps(before)))
    with pytest.raises((ValueError, TypeError), match=message):
        packer.load_state_dict(wrong)
    assert packer.state_dict() == before
    assert str(packer.report()) == str(filled_packer().report())
    packer.load_state_dict(before)


def test_the_report_of_a_stream_that_workers_read_says_so():
    sequences = Shares([[n] * (n % 4 + 1) for n in range(30)])
    stream = PackedStream(sequences, capacity=7)
    loader = DataLoader(stream, batch_size=2, num_workers=2, collate_fn=collate_packed)
    assert sum(batch.lengths.sum() for batch in loader) == sum(map(len, sequences))
    with pytest.raises(RuntimeError, match="each worker of a DataLoader packs with a copy"):
        stream.report()
    rows = list(stream)
    assert stream.report().rows == len(rows)
    resumed = PackedStream(sequences, capacity=7)
    resumed.load_state_dict(stream.state_dict())
    assert resumed.report().rows == 0


@pytest.mark.parametrize("capacity", [2**31, 10**12])
def test_a_capacity_that_no_batch_can_have(capacity):
    for make in (OnlinePacker, lambda c: PackedStream([], c), lambda c: plan_packing([1], c)):
        with pytest.raises(
            ValueError, match=rf"capacity must be at most 2,147,483,647, .* but got {capacity:,}"
        ):
            make(capacity)


def test_the_largest_capacity_costs_no_more_than_another():
    packer = OnlinePacker(2**31 - 1)
    packer.add([1, 2])
    packer.flush()
    assert packer.report().bound == 1
    plan = plan_packing([2**30, 2**30, 5], 2**31 - 1)
    assert (len(plan.rows), plan.lower_bound) == (2, 2)
