"""Interruptions anywhere, through a loader: the batches are those of the straight run."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tinytrain.data import (
    BucketBatchSampler,
    DataLoader,
    LengthWarmupBatchSampler,
    PieceDataset,
    ScheduledBatchSampler,
    TokenBudgetBatchSampler,
)

LENGTHS = st.lists(st.integers(1, 40) | st.sampled_from([1, 7, 120]), min_size=1, max_size=40)
SWITCH = st.booleans()
FEW = st.integers(1, 6)

BUCKETS = st.fixed_dictionaries(
    {
        "batch_size": FEW,
        "boundaries": st.none() | st.just([4]) | st.just([2, 9, 30]),
        "batches_per_pool": st.integers(1, 3),
        "noise": st.sampled_from([0.0, 0.2]),
        "drop_last": SWITCH,
        "longest_first": SWITCH,
        "multiple_of": st.integers(1, 4),
    }
)
BUDGETS = st.fixed_dictionaries(
    {
        "max_tokens": st.integers(4, 150),
        "multiple_of": st.integers(1, 4),
        "max_batch_size": st.none() | FEW,
        "too_long": st.sampled_from(["error", "alone", "truncate"]),
        "longest_first": SWITCH,
        "batches_per_bucket": st.integers(1, 4),
    }
)
RUNS = st.fixed_dictionaries(
    {
        "schedule": st.dictionaries(st.integers(1, 600), FEW, max_size=3),
        "epochs": st.integers(1, 3),
        "drop_last": SWITCH,
    }
)
WARM_UPS = st.fixed_dictionaries(
    {
        "start_length": st.integers(2, 9),
        "warmup_batches": st.integers(1, 20),
        "full_length": st.none() | st.just(30),
    }
)
REFUSED = "drop_last=True|cannot be split|would leave none|longer than the|give no batch"


def make_sampler(plan, lengths, seed, ranks):
    """The sampler of a plan: the name of its class, its settings, and a warm-up around it."""
    name, chosen, warm_up = plan
    shared = {**chosen, **ranks, "seed": seed}
    if name == "run":
        schedule = {0: 2, **shared.pop("schedule")}
        return ScheduledBatchSampler(lengths, schedule, **shared)
    kind = BucketBatchSampler if name == "buckets" else TokenBudgetBatchSampler
    batches = kind(lengths, **shared)
    if warm_up is None:
        return batches
    most = 100_000 if name == "budget" else None
    return LengthWarmupBatchSampler(batches, lengths, max_tokens=most, **warm_up)


PLANS = st.one_of(
    st.tuples(st.just("buckets"), BUCKETS, st.none() | WARM_UPS),
    st.tuples(st.just("budget"), BUDGETS, st.none() | WARM_UPS),
    st.tuples(st.just("run"), RUNS, st.none()),
)
ALLOWED = {"buckets": {"drop_last": False}, "budget": {"too_long": "alone"}, "run": {}}


class Interruptions(RuleBasedStateMachine):
    """A loader that is read, stopped and made anew, beside a list of what it has to give."""

    num_workers = 0

    @initialize(
        plan=PLANS,
        lengths=LENGTHS,
        seed=st.integers(0, 3),
        replicas=st.integers(1, 4),
        uneven=st.sampled_from(["repeat", "split", "drop"]),
        data=st.data(),
    )
    def start(self, plan, lengths, seed, replicas, uneven, data):
        self.plan, self.lengths, self.replicas, self.seed = plan, lengths, replicas, seed
        self.ranks = {"num_replicas": replicas, "uneven": uneven}
        self.ranks["rank"] = data.draw(st.integers(0, replicas - 1))
        try:
            self.sampler(seed)
        except ValueError:  # settings that cannot go together: it said so, and here are others
            with pytest.raises(ValueError, match=REFUSED):
                self.sampler(seed)
            name, chosen, warm_up = plan
            chosen = {**chosen, **ALLOWED[name]}
            if name == "run":
                chosen["drop_last"] = False
            self.plan, self.ranks["uneven"] = (name, chosen, warm_up), "repeat"
        self.sequences = [np.arange(n) for n in lengths]
        self.reference = iter(())
        self.reference_sampler = self.sampler(seed)
        self.epoch = -1
        self.loader = self.make_loader(seed)
        self.batches = iter(())
        self.left = 0

    @property
    def is_cut(self):
        return self.plan[2] is not None

    def sampler(self, seed, **ranks):
        return make_sampler(self.plan, self.lengths, seed, {**self.ranks, **ranks})

    def make_loader(self, seed):
        """The collate function keeps the sequences visible: it returns what it gets."""
        data = PieceDataset(self.sequences) if self.is_cut else self.sequences
        return DataLoader(
            data,
            batch_sampler=self.sampler(seed),
            collate_fn=_lists,
            num_workers=self.num_workers,
        )

    @precondition(lambda self: self.left == 0)
    @rule()
    def begin_an_epoch(self):
        assert list(self.batches) == []
        self.batches = iter(self.loader)
        expected = list(self.reference_sampler)
        if self.is_cut:
            self.check_pieces(expected)
        self.reference = iter([_lists(map(self.fetch, batch)) for batch in expected])
        self.left = len(expected)
        self.epoch += 1

    def fetch(self, index):
        if isinstance(index, tuple):
            return self.sequences[index[0]][index[1] : index[2]]
        return self.sequences[index]

    def check_pieces(self, batches):
        """Each piece begins with the last token of the one before it, up to the end."""
        whole = self.reference_sampler.lengths
        for batch in batches:
            for item, pieces in itertools.groupby(batch, lambda piece: piece.item):
                ends = [(piece.start, piece.stop) for piece in pieces]
                begins = [0, *(stop - 1 for _, stop in ends[:-1])]
                assert [start for start, _ in ends] == begins
                assert ends[-1][1] == whole[item]

    @precondition(lambda self: self.left)
    @rule(count=st.integers(1, 4))
    def read(self, count):
        for _ in range(min(count, self.left)):
            assert next(self.batches) == next(self.reference)
            self.left -= 1

    @precondition(lambda self: self.epoch >= 0)
    @rule(other_seed=st.integers(4, 6))
    def stop_and_resume(self, other_seed):
        state = json.loads(json.dumps(self.loader.state_dict()))
        assert len(json.dumps(state)) < 1_000
        between_epochs = self.left == 0 and not state["epoch_begun"]
        self.loader = self.make_loader(other_seed)
        if len(self.sampler(other_seed)) != len(self.sampler(self.seed)):
            with pytest.raises(ValueError, match="batches per epoch"):
                self.loader.load_state_dict(state)
            self.loader = self.make_loader(self.seed)
        self.loader.load_state_dict(state)
        self.batches = iter(()) if between_epochs else iter(self.loader)

    @invariant()
    def every_rank_has_as_many_batches(self):
        if hasattr(self, "ranks"):
            assert len({len(self.sampler(0, rank=r)) for r in range(self.replicas)}) == 1

    @precondition(lambda self: not self.is_cut)
    @rule(epoch=st.integers(0, 5))
    def nothing_is_lost_or_doubled(self, epoch):
        """The batches of all ranks together hold each item as often as the policies say."""
        samplers = [self.sampler(self.seed, rank=rank) for rank in range(self.replicas)]
        if self.plan[0] != "run":
            for sampler in samplers:
                sampler.set_epoch(epoch)
        steps = zip(*samplers, strict=True)
        batches = [batch for step in steps for batch in step]
        assert all(batches)
        passes = self.plan[1].get("epochs", 1)
        counts = np.bincount([i for batch in batches for i in batch], minlength=len(self.lengths))
        left_out = self.ranks["uneven"] == "drop" or self.plan[1].get("drop_last", False)
        if self.ranks["uneven"] != "repeat":
            assert counts.max() <= passes
        if not left_out:
            assert counts.min() >= passes
        self.check_sizes(batches)

    def check_sizes(self, batches):
        name, chosen, _ = self.plan
        if name == "buckets":
            sizes = {len(batch) for batch in batches}
            assert max(sizes) <= chosen["batch_size"]
            assert sizes == {chosen["batch_size"]} or not chosen["drop_last"]
        if name == "budget":
            step = chosen["multiple_of"]
            largest = chosen["max_tokens"] // step * step
            for batch in batches:
                width = max(self.lengths[i] for i in batch)
                width = min(width, largest) if chosen["too_long"] == "truncate" else width
                rows = -(-width // step) * step
                alone = chosen["too_long"] == "alone" and len(batch) == 1
                assert len(batch) * rows <= chosen["max_tokens"] or alone
                assert len(batch) <= (chosen["max_batch_size"] or len(batch))


def _lists(samples):
    return [sample.tolist() for sample in samples]


Interruptions.TestCase.settings = settings(deadline=None, max_examples=50, stateful_step_count=15)
test_interruptions = Interruptions.TestCase


class InterruptionsWithWorkers(Interruptions):
    """The same with two processes that fetch."""

    num_workers = 2


InterruptionsWithWorkers.TestCase.settings = settings(
    deadline=None, max_examples=8, stateful_step_count=8
)
test_interruptions_with_workers = pytest.mark.slow(InterruptionsWithWorkers.TestCase)
