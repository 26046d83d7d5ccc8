"""Curricula: short pieces first, small batches first; and no token lost, or counted twice."""

import itertools
import json
import re
import time
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import (
    BatchSampler,
    BucketBatchSampler,
    DataLoader,
    LengthWarmupBatchSampler,
    Piece,
    PieceDataset,
    RandomSampler,
    ScheduledBatchSampler,
    SequentialSampler,
    TokenBudgetBatchSampler,
    pad_collate,
)
from tinytrain.testing import check_sampler


def targets_of(batch):
    """The targets of a padded batch, sorted."""
    return sorted(batch.targets[batch.targets >= 0].tolist())


# ---------------------------------------------------------------- sequence length


def warm_up_of(lengths, **settings_):
    batches = BucketBatchSampler(lengths, 3)
    return LengthWarmupBatchSampler(batches, lengths, **settings_)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    start_length=st.integers(2, 9),
    warmup_batches=st.integers(1, 9),
    full_length=st.none() | st.integers(9, 30),
    multiple_of=st.integers(1, 4),
)
def test_a_batch_has_the_targets_it_has_without_warm_up(
    lengths, start_length, warmup_batches, full_length, multiple_of
):
    ends = np.cumsum(lengths)
    sequences = [np.arange(end - n, end) for n, end in zip(lengths, ends, strict=True)]
    warm_up = warm_up_of(
        lengths,
        start_length=start_length,
        warmup_batches=warmup_batches,
        full_length=full_length,
        multiple_of=multiple_of,
    )
    plain = DataLoader(
        sequences, batch_sampler=BucketBatchSampler(lengths, 3), collate_fn=pad_collate
    )
    cut = DataLoader(PieceDataset(sequences), batch_sampler=warm_up, collate_fn=pad_collate)
    number = 0
    for _ in range(3):
        assert len(cut) == len(plain)
        for whole, pieces in zip(plain, cut, strict=True):
            assert targets_of(pieces) == targets_of(whole)
            assert pieces.num_supervised == whole.num_supervised
            assert pieces.input_ids.shape[1] <= warm_up.length_at(number)
            # A cut costs one position, and no piece is much shorter than another of its sequence.
            tokens = int(pieces.cu_seqlens[-1])
            cuts = len(pieces.cu_seqlens) - len(whole.cu_seqlens)
            assert tokens == int(whole.cu_seqlens[-1]) + cuts
            number += 1
    if full_length is None and number > warmup_batches:
        np.testing.assert_array_equal(pieces.input_ids, whole.input_ids)


def test_lengths_grow_from_the_start_to_the_full_one():
    sampler = warm_up_of([100] * 6, start_length=8, warmup_batches=20, multiple_of=8)
    grown = [sampler.length_at(batch) for batch in range(25)]
    assert grown[0] == 8
    assert grown == sorted(grown)
    assert all(length % 8 == 0 for length in grown[:20])
    assert grown[19] < 100
    assert set(grown[20:]) == {100}
    assert max(itertools.starmap(lambda a, b: b - a, itertools.pairwise(grown[:20]))) == 8


def test_pieces_of_a_sequence_are_of_nearly_equal_length():
    sampler = LengthWarmupBatchSampler(
        [[0, 1, 2]], [65, 1, 2], start_length=64, warmup_batches=1, full_length=64
    )
    pieces = [piece[:3] for piece in next(iter(sampler))]
    assert pieces == [(0, 0, 33), (0, 32, 65), (1, 0, 1), (2, 0, 2)]


def test_the_budget_is_hardly_exceeded():
    lengths = np.clip(np.random.default_rng(0).lognormal(5, 1, 2_000).astype(int), 1, 1024)
    batches = TokenBudgetBatchSampler(lengths, 4096)
    sampler = LengthWarmupBatchSampler(
        batches, lengths, start_length=64, warmup_batches=2 * len(batches), max_tokens=4226
    )
    for number, batch in enumerate(sampler):
        widths = [piece.stop - piece.start for piece in batch]
        assert len(widths) * max(widths) < (1 + 2 / (sampler.length_at(number) - 1)) * 4096


def test_a_budget_that_cuts_would_break_is_refused_in_words():
    """Two rows of 9 fill the budget; in pieces of 3 they are 8 rows of 3."""
    batches = TokenBudgetBatchSampler([9, 9], 18)
    expected = (
        "a batch within the budget of 18 positions may take 24 when it is cut into pieces of 3 "
        "tokens and more, .* over max_tokens=18.* say max_tokens=24"
    )
    with pytest.raises(ValueError, match=expected):
        LengthWarmupBatchSampler(batches, [9, 9], start_length=3, warmup_batches=9)
    with pytest.raises(ValueError, match="over max_tokens=23"):
        LengthWarmupBatchSampler(batches, [9, 9], start_length=3, warmup_batches=9, max_tokens=23)
    sampler = LengthWarmupBatchSampler(
        batches, [9, 9], start_length=3, warmup_batches=9, max_tokens=24
    )
    first = next(iter(sampler))
    assert (len(first), {piece.stop - piece.start for piece in first}) == (8, {3})
    roomy = TokenBudgetBatchSampler([8, 8], 16, max_batch_size=1)
    warm_up = LengthWarmupBatchSampler(roomy, [8, 8], start_length=5, warmup_batches=9)
    assert warm_up.max_tokens == 16  # one row makes 2 pieces of 5
    rounded = TokenBudgetBatchSampler([8, 8], 16, multiple_of=4)
    with pytest.raises(ValueError, match="may take 32 when"):  # 4 pieces of 5, padded to 8
        LengthWarmupBatchSampler(rounded, [8, 8], start_length=5, warmup_batches=9)
    whole = LengthWarmupBatchSampler(batches, [9, 9], start_length=9, warmup_batches=9)
    assert whole.max_tokens == 18  # nothing is cut, and the budget is kept
    with pytest.raises(ValueError, match="the wrapped BucketBatchSampler has no token budget"):
        warm_up_of([5, 6], start_length=3, warmup_batches=3, max_tokens=99)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=25),
    budget=st.integers(8, 90),
    multiple_of=st.integers(1, 8),
    start_length=st.integers(2, 20),
    too_long=st.sampled_from(["alone", "truncate"]),
)
def test_no_batch_takes_more_than_it_may(lengths, budget, multiple_of, start_length, too_long):
    def make(**more):
        batches = TokenBudgetBatchSampler(
            lengths, budget, multiple_of=multiple_of, too_long=too_long
        )
        return LengthWarmupBatchSampler(
            batches, lengths, start_length=start_length, warmup_batches=7, **more
        )

    try:
        sampler = make()
    except ValueError as error:
        sampler = make(max_tokens=int(re.search(r"say max_tokens=(\d+)", str(error))[1]))
    for batch in chain.from_iterable(sampler for _ in range(3)):
        width = max(piece.stop - piece.start for piece in batch)
        assert len(batch) * -(-width // multiple_of) * multiple_of <= sampler.max_tokens


def test_warm_up_keeps_the_contract_of_samplers():
    lengths = np.random.default_rng(0).integers(1, 30, 40)

    class Items:
        """The items of the pieces, each once."""

        def __init__(self, seed):
            wrapped = BatchSampler(RandomSampler(lengths, generator=seed), 4, drop_last=False)
            self.sampler = LengthWarmupBatchSampler(
                wrapped, lengths, start_length=4, warmup_batches=15
            )
            self.state_dict = self.sampler.state_dict
            self.load_state_dict = self.sampler.load_state_dict

        def __iter__(self):
            return ([piece.item for piece in batch if piece.start == 0] for batch in self.sampler)

        def __len__(self):
            return len(self.sampler)

    assert "state" in check_sampler(Items, 40)


def test_set_epoch_moves_both():
    lengths = [9] * 10
    sampler = warm_up_of(lengths, start_length=2, warmup_batches=9)
    epochs = [list(sampler) for _ in range(3)]
    sampler.set_epoch(1)
    assert [list(sampler), list(sampler)] == epochs[1:]
    plain = LengthWarmupBatchSampler([[0], [1]], [9, 9], start_length=2, warmup_batches=4)
    plain.set_epoch(1)
    assert plain.batches_begun == 2


def test_a_warm_up_around_an_order_that_cannot_be_repeated_has_no_state():
    batches = BatchSampler(RandomSampler(range(4)), 2, drop_last=False)
    sampler = LengthWarmupBatchSampler(batches, [5] * 4, start_length=2, warmup_batches=3)
    assert sampler.state_dict() is None
    with pytest.raises(ValueError, match="not the state of a LengthWarmupBatchSampler"):
        sampler.load_state_dict({"epoch": 1})


def test_pieces_of_other_sequences_are_refused():
    data = PieceDataset([np.arange(5)])
    assert data[Piece(0, 1, 3)].tolist() == [1, 2]
    assert len(data) == 1
    with pytest.raises(TypeError, match=r"indexed by Piece\(item, start, stop\), not by 0"):
        data[0]
    for start, stop in [(3, 6), (-1, 2), (2, 2)]:
        with pytest.raises(IndexError, match=f"has 5 entries, no piece {start}:{stop}"):
            data[Piece(0, start, stop)]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"start_length": 1}, "start_length must be a whole number of at least 2, but got 1"),
        ({"warmup_batches": 0}, "warmup_batches must be a whole number of at least 1"),
        ({"full_length": 3}, "full_length must be a whole number of at least 4, but got 3"),
        ({"multiple_of": 0}, "multiple_of must be a whole number"),
    ],
)
def test_warm_up_settings_are_checked(settings_, message):
    with pytest.raises(ValueError, match=message):
        warm_up_of([5, 6], **{"start_length": 4, "warmup_batches": 3, **settings_})


def test_the_start_may_be_longer_than_all_sequences():
    sampler = warm_up_of([5, 6], start_length=9, warmup_batches=3)
    assert sorted(piece[:3] for piece in next(iter(sampler))) == [(0, 0, 5), (1, 0, 6)]


# ---------------------------------------------------------------- batch size


def run_by_loop(lengths, schedule, epochs, seed, replicas):
    """The batches of a run before anything is done about its end: one item after the other."""
    items = []
    for number in range(epochs):
        random = np.random.default_rng(np.random.SeedSequence([seed, number]))
        items += random.permutation(len(lengths)).tolist()
    batches, seen = [], 0
    while items:
        size = max((start, size) for start, size in schedule.items() if start <= seen)[1]
        for _ in range(replicas):
            if items:
                batches.append(items[:size])
                seen += sum(lengths[i] for i in items[:size])
                items = items[size:]
    return batches


schedules = st.dictionaries(st.integers(1, 300), st.integers(1, 9), max_size=4)


@settings(deadline=None, max_examples=80)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    schedule=schedules,
    first=st.integers(1, 5),
    epochs=st.integers(1, 3),
    replicas=st.integers(1, 3),
    uneven=st.sampled_from(["split", "drop", "repeat"]),
    drop_last=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_run_against_a_loop(lengths, schedule, first, epochs, replicas, uneven, drop_last, seed):
    schedule = {**schedule, 0: first}
    expected = run_by_loop(lengths, schedule, epochs, seed, replicas)
    settings_ = {"epochs": epochs, "num_replicas": replicas, "uneven": uneven, "seed": seed}

    def ranks():
        return [
            ScheduledBatchSampler(lengths, schedule, rank=r, drop_last=drop_last, **settings_)
            for r in range(replicas)
        ]

    if drop_last:  # whole steps of all ranks only; the last one may be short of items
        steps = [expected[k : k + replicas] for k in range(0, len(expected), replicas)]
        short = len(steps[-1]) < replicas or len(steps[-1][-1]) < len(steps[-1][0])
        seen = sum(lengths[i] for step in steps[:-1] for batch in step for i in batch)
        size = max((start, size) for start, size in schedule.items() if start <= seen)[1]
        if short or len(steps[-1][-1]) < size:
            steps = steps[:-1]
        expected = [batch for step in steps for batch in step]
    missing = -len(expected) % replicas
    if uneven == "split" and expected and sum(map(len, expected)) < len(expected) + missing:
        with pytest.raises(ValueError, match="cannot be split"):
            ranks()
        return
    if uneven == "drop" and missing:
        expected = expected[: len(expected) - len(expected) % replicas]
    if not expected:
        with pytest.raises(ValueError, match="give no batch for each of"):
            ranks()
        return
    shares = [list(rank) for rank in ranks()]
    assert {len(share) for share in shares} == {len(ranks()[0])}
    found = [batch for step in zip(*shares, strict=True) for batch in step]
    if uneven == "repeat" and missing:
        expected += (expected * missing)[:missing]
    if uneven == "split" and missing:
        assert len(found) == len(expected) + missing
        assert list(chain.from_iterable(found)) == list(chain.from_iterable(expected))
        cuts = set(np.cumsum([len(batch) for batch in found]).tolist())
        assert cuts >= set(np.cumsum([len(batch) for batch in expected]).tolist())
    else:
        assert found == expected


def test_every_pass_has_every_item_once_and_an_order_of_its_own():
    sampler = ScheduledBatchSampler([7] * 20, {0: 3}, epochs=3)
    items = list(chain.from_iterable(sampler))
    passes = [items[k : k + 20] for k in range(0, 60, 20)]
    assert all(sorted(one) == list(range(20)) for one in passes)
    assert len(set(map(tuple, passes))) == 3


def test_the_size_grows_with_the_tokens_and_every_iteration_is_the_same_run():
    sampler = ScheduledBatchSampler([100] * 50, {0: 2, 1_000: 5, 4_000: 10}, epochs=2)
    sizes = [len(batch) for batch in sampler]
    assert sizes == [2] * 5 + [5] * 6 + [10] * 6
    assert list(sampler) == list(sampler)
    assert len(sampler) == 17
    report = sampler.report()
    assert (report.rows, report.tokens, report.padding_share) == (100, 10_000, 0)


def test_the_size_changes_just_where_a_pass_ends():
    sampler = ScheduledBatchSampler([10] * 4, {0: 1, 40: 2}, epochs=2)
    assert [len(batch) for batch in sampler] == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, r"with which batch size to begin, \{0: \.\.\.\}, but got \{\}"),
        ({10: 4}, r"with which batch size to begin, \{0: \.\.\.\}, but got \{10: 4\}"),
        ({0: 0}, "a batch size must be a whole number of at least 1, but got 0"),
        ({0: 1, -5: 2}, "a number of tokens must be a whole number of at least 0, but got -5"),
        ({0: 1, 1e6: 2}, r"a number of tokens must be a whole number .* got 1000000\.0"),
    ],
)
def test_schedules_are_checked(schedule, message):
    with pytest.raises(ValueError, match=message):
        ScheduledBatchSampler([1, 2], schedule)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, but got 0"),
        ({"drop_last": None}, "drop_last must be True or False, but got None"),
        ({"seed": 0.5}, r"seed must be a whole number of at least 0, but got 0\.5"),
        ({"rank": 1}, "rank must be one of the 1 ranks from 0, but got 1"),
    ],
)
def test_run_settings_are_checked(settings_, message):
    with pytest.raises(ValueError, match=message):
        ScheduledBatchSampler([1, 2], {0: 1}, **settings_)


@pytest.mark.parametrize("position", [0, 1, 7, 16, 17])
def test_a_loader_resumes_in_the_run(position):
    def make():
        sampler = ScheduledBatchSampler([100] * 50, {0: 2, 1_000: 5, 4_000: 10}, epochs=2)
        return DataLoader(range(50), batch_sampler=sampler, collate_fn=list)

    straight, loader = list(make()), make()
    batches = iter(loader)
    before = list(itertools.islice(batches, position))
    resumed = make()
    resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert before + list(resumed) == straight


def test_wrapping_an_ordinary_batch_sampler():
    batches = BatchSampler(SequentialSampler(range(4)), 2, drop_last=False)
    sampler = LengthWarmupBatchSampler(batches, [3, 4, 5, 6], start_length=3, warmup_batches=1)
    assert [len(batch) for batch in sampler] == [3, 2]
    assert sampler.state_dict() == {
        "batches_begun": 2,
        "batch_sampler": {},
        "settings": sampler._fingerprint(),
    }


def test_a_step_is_split_at_the_end_of_the_run_only():
    ranks = [
        ScheduledBatchSampler([1] * 27, {0: 6, 12: 3}, rank=rank, num_replicas=2, seed=3)
        for rank in range(2)
    ]
    assert [[len(batch) for batch in rank] for rank in ranks] == [[6, 3, 3, 2], [6, 3, 3, 1]]


def test_a_state_of_another_warm_up_is_refused():
    def make(lengths=(9, 8, 7), **changed):
        settings_ = {"start_length": np.int64(2), "warmup_batches": 9, "full_length": np.int64(9)}
        return LengthWarmupBatchSampler(
            BucketBatchSampler([9, 8, 7], 2), lengths, **{**settings_, **changed}
        )

    state = json.loads(json.dumps(make().state_dict()))
    make().load_state_dict(state)
    for other in (make((9, 8, 6)), make(start_length=3), make(warmup_batches=8)):
        with pytest.raises(ValueError, match="with other lengths or settings"):
            other.load_state_dict(state)


def test_what_is_no_schedule_is_refused():
    with pytest.raises(TypeError, match=r"a schedule is a dict of tokens and batch sizes"):
        ScheduledBatchSampler([1, 2], [(0, 1)])


# ---------------------------------------------------------------- the state of a run


RAGGED = np.random.default_rng(0).integers(1, 50, 40)
RUN = {0: 2, 600: 5, 1_500: 7}


@pytest.mark.parametrize("position", [0, 1, 5, 9])
def test_the_state_of_a_run_holds_its_seed(position):
    """Resumed with a sampler of another seed, every item still comes once in a pass."""

    def make(seed, lengths=(100,) * 50):
        sampler = ScheduledBatchSampler(lengths, {0: 2, 1_000: 5}, epochs=2, seed=seed)
        return DataLoader(range(50), batch_sampler=sampler, collate_fn=list)

    straight, loader = list(make(0)), make(0)
    before = list(itertools.islice(iter(loader), position))
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = make(1)
    resumed.load_state_dict(state)
    assert before + list(resumed) == straight
    other = make(0, (100,) * 49 + (101,))
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="with other lengths, another number of ranks or other"):
        list(other)


def test_a_state_makes_the_run_that_of_its_seed():
    runs = {seed: ScheduledBatchSampler(RAGGED, RUN, epochs=2, seed=seed) for seed in range(12)}
    assert len({len(run) for run in runs.values()}) > 1  # where sizes change depends on the order
    for run in runs.values():
        found = ScheduledBatchSampler(RAGGED, RUN, epochs=2, seed=99)
        found.load_state_dict(json.loads(json.dumps(run.state_dict())))
        assert list(found) == list(run)
        assert (len(found), found.state_dict()) == (len(run), run.state_dict())


def test_a_state_of_another_run_is_refused():
    sampler = ScheduledBatchSampler(RAGGED, RUN, epochs=2)
    others = [
        ScheduledBatchSampler(RAGGED, {**RUN, 600: 6}, epochs=2),
        ScheduledBatchSampler(RAGGED, RUN, epochs=3),
        ScheduledBatchSampler(RAGGED, RUN, epochs=2, drop_last=True),
        ScheduledBatchSampler(RAGGED + 1, RUN, epochs=2),
        ScheduledBatchSampler(RAGGED, RUN, epochs=2, num_replicas=2),
        ScheduledBatchSampler(RAGGED, RUN, epochs=2, uneven="drop"),
    ]
    before = list(sampler)
    for other in others:
        with pytest.raises(ValueError, match="ScheduledBatchSampler with other lengths, another"):
            sampler.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="not the state of a ScheduledBatchSampler"):
        sampler.load_state_dict({"seed": 1})
    with pytest.raises(ValueError, match="seed must be a whole number"):
        sampler.load_state_dict({**sampler.state_dict(), "seed": -1})
    assert list(sampler) == before
    ranks = [ScheduledBatchSampler(RAGGED, RUN, seed=5, rank=r, num_replicas=2) for r in range(2)]
    second = ScheduledBatchSampler(RAGGED, RUN, rank=1, num_replicas=2)
    second.load_state_dict(ranks[0].state_dict())
    assert list(second) == list(ranks[1])


def test_a_run_of_single_items_is_split_quickly():
    """No step has an item to spare, so that all steps are looked at for one."""
    start = time.process_time()
    with pytest.raises(ValueError, match="cannot be split"):
        ScheduledBatchSampler([1] * 400_001, {0: 1}, num_replicas=2)
    assert time.process_time() - start < 1.0


# ---------------------------------------------------------------- lengths that are not those


@pytest.mark.parametrize("length", [5, 8])
def test_tokens_are_not_lost_where_the_sampler_was_given_other_lengths(length):
    batches = BatchSampler(SequentialSampler(range(1)), 1, drop_last=False)
    sampler = LengthWarmupBatchSampler(batches, [length], start_length=3, warmup_batches=2)
    loader = DataLoader(PieceDataset([np.arange(9)]), batch_sampler=sampler, collate_fn=pad_collate)
    with pytest.raises(
        ValueError, match=f"sequence 0 has 9 entries, but its pieces were cut for {length}"
    ):
        next(iter(loader))
