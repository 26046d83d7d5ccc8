"""Interruptions anywhere, through a loader: the batches are those of the straight run."""

import json

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tinytrain.data import (
    BucketBatchSampler,
    DataLoader,
    LengthWarmupBatchSampler,
    PieceDataset,
    TokenBudgetBatchSampler,
)


def make_sampler(kind, lengths, seed, **ranks):
    if kind == "pools":
        return BucketBatchSampler(lengths, 4, batches_per_pool=2, seed=seed, **ranks)
    if kind == "boundaries":
        return BucketBatchSampler(lengths, 4, boundaries=[4, 9], seed=seed, **ranks)
    if kind == "longest first":
        return BucketBatchSampler(lengths, 3, seed=seed, longest_first=True, **ranks)
    budget = {"budget": 24, "small budget": 10}.get(kind, 30)
    batches = TokenBudgetBatchSampler(
        lengths, budget, too_long="alone", batches_per_bucket=2, seed=seed, **ranks
    )
    if kind == "warm-up":
        return LengthWarmupBatchSampler(
            batches, lengths, start_length=3, warmup_batches=12, max_tokens=60
        )
    return batches


KINDS = ["pools", "boundaries", "longest first", "budget", "small budget", "warm-up"]


class Interruptions(RuleBasedStateMachine):
    """A loader that is read, stopped and made anew, beside a list of what it has to give."""

    @initialize(
        kind=st.sampled_from(KINDS),
        lengths=st.lists(st.integers(1, 20), min_size=4, max_size=25),
        seed=st.integers(0, 3),
        replicas=st.integers(1, 3),
        uneven=st.sampled_from(["repeat", "split"]),
        data=st.data(),
    )
    def start(self, kind, lengths, seed, replicas, uneven, data):
        if uneven == "split" and len(lengths) % replicas:
            lengths = lengths[: len(lengths) // replicas * replicas]  # batches of one divide too
        self.kind, self.lengths, self.replicas = kind, lengths, replicas
        self.ranks = {"num_replicas": replicas, "uneven": uneven}
        self.ranks["rank"] = data.draw(st.integers(0, replicas - 1))
        self.seed, self.complete = seed, uneven == "split"
        self.sequences = [np.arange(n) for n in lengths]
        self.reference = iter(())
        self.reference_sampler = self.sampler(seed)
        self.epoch = -1
        self.loader = self.make_loader(seed)
        self.batches = iter(())
        self.left = 0

    def sampler(self, seed, **ranks):
        return make_sampler(self.kind, self.lengths, seed, **{**self.ranks, **ranks})

    def make_loader(self, seed):
        """The collate function keeps the indices visible: it returns what it gets."""
        data = PieceDataset(self.sequences) if self.kind == "warm-up" else self.sequences
        sampler = self.sampler(seed)
        return DataLoader(data, batch_sampler=sampler, collate_fn=_lists)

    @precondition(lambda self: self.left == 0)
    @rule()
    def begin_an_epoch(self):
        assert list(self.batches) == []
        self.batches = iter(self.loader)
        expected = list(self.reference_sampler)
        self.reference = iter([_lists(map(self.fetch, batch)) for batch in expected])
        self.left = len(expected)
        self.epoch += 1

    def fetch(self, index):
        if isinstance(index, tuple):
            return self.sequences[index[0]][index[1] : index[2]]
        return self.sequences[index]

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
        self.loader.load_state_dict(state)
        self.batches = iter(()) if between_epochs else iter(self.loader)

    @invariant()
    def every_rank_has_as_many_batches(self):
        if hasattr(self, "ranks"):
            assert len({len(self.sampler(0, rank=r)) for r in range(self.replicas)}) == 1

    @precondition(lambda self: self.kind != "warm-up" and self.complete)
    @rule(epoch=st.integers(0, 5))
    def every_item_is_there_once(self, epoch):
        batches = self.sampler(self.seed).plan(epoch)
        assert all(len(batch) for batch in batches)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(self.lengths)))


def _lists(samples):
    return [sample.tolist() for sample in samples]


Interruptions.TestCase.settings = settings(deadline=None, max_examples=25, stateful_step_count=15)
test_interruptions = Interruptions.TestCase
