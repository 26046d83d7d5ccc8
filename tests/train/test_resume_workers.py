"""Resumed runs whose batches workers make: bit for bit the run that makes them itself."""

import numpy as np
import pytest

import tinytrain as tt
from tests.train.test_resume import everything, interrupt_after
from tests.train.tiny_language import CAPACITY, VOCABULARY, make_gpt
from tinytrain.data import (
    BucketBatchSampler,
    DataLoader,
    PackedStream,
    ShardedIterableDataset,
    collate_packed,
    pad_sequences,
    sample_rng,
)
from tinytrain.models import MLP, classification_loss, language_model_loss

slow = pytest.mark.slow
STEPS = 7
LENGTHS = [3, 8, 5, 2, 7, 4, 6, 9, 2, 3, 5, 8, 4]


class NoisyPoints:
    """Points that each epoch moves by random numbers of their own."""

    def __len__(self):
        return len(LENGTHS)

    def __getitem__(self, index):
        point = np.random.default_rng(index).normal(size=3) + sample_rng(index).normal(size=3)
        return point.astype(np.float32), index % 2


class NoisySequences(NoisyPoints):
    """Sequences of three numbers per step, with a label."""

    def __getitem__(self, index):
        return sample_rng(index).normal(size=(LENGTHS[index], 3)).astype(np.float32), index % 2


class Sentences(ShardedIterableDataset):
    def __len__(self):
        return len(LENGTHS)

    def shard(self, index, count):
        source = np.random.default_rng(0)
        sentences = [source.integers(0, VOCABULARY, size=length) for length in LENGTHS]
        yield from sentences[index::count]


def sums_of_steps(samples):
    sequences, labels = zip(*samples, strict=True)
    return pad_sequences(sequences).values.sum(axis=1), np.array(labels)


def points(num_workers):
    return DataLoader(NoisyPoints(), 2, shuffle=True, generator=7, num_workers=num_workers)


def buckets(num_workers):
    sampler = BucketBatchSampler(LENGTHS, 3, batches_per_pool=2, seed=5)
    return DataLoader(
        NoisySequences(),
        batch_sampler=sampler,
        collate_fn=sums_of_steps,
        num_workers=num_workers,
    )


def stream(num_workers):
    rows = PackedStream(Sentences(), CAPACITY, open_rows=2)
    return DataLoader(rows, 2, collate_fn=collate_packed, num_workers=num_workers)


def make_trainer(out, loader):
    tt.manual_seed(0)
    is_language = isinstance(loader.dataset, PackedStream)
    model = make_gpt("float32", dropout=0.1) if is_language else MLP([3, 6, 2], dropout=0.2)
    return tt.Trainer(
        model,
        tt.optim.AdamW(model.parameters(), lr=0.02),
        language_model_loss if is_language else classification_loss,
        loader,
        accumulation_steps=2,
        out=out,
        progress=False,
        max_steps=STEPS,
        log_every=1,
        save_every=1,
        keep_checkpoints=99,
    )


@pytest.mark.parametrize(
    ("loader", "before", "after"),
    [
        pytest.param(points, 2, 2, marks=slow),
        pytest.param(points, 2, 0, marks=slow),
        pytest.param(points, 0, 2, marks=slow),
        (buckets, 2, 0),
        pytest.param(buckets, 0, 2, marks=slow),
        pytest.param(stream, 0, 0, marks=slow),
        (stream, 2, 2),  # each worker reads a share: another number of them reads others
    ],
)
def test_a_run_is_resumed_with_or_without_workers(tmp_path, loader, before, after):
    straight = make_trainer(tmp_path / "straight", loader(before))
    straight.fit()
    expected = everything(straight)
    for step in range(1, STEPS) if loader is points and before else (1, STEPS - 1):
        folder = interrupt_after(step, tmp_path / "straight", tmp_path / f"at-{step}")
        resumed = make_trainer(folder, loader(after))
        resumed.resume("auto")
        assert resumed.step == step
        resumed.fit()
        assert everything(resumed) == expected, step


@slow
@pytest.mark.parametrize("loader", [points, buckets])
def test_the_number_of_workers_does_not_show(tmp_path, loader):
    results = []
    for workers in (0, 2):
        trainer = make_trainer(tmp_path / str(workers), loader(workers))
        trainer.fit()
        results.append(everything(trainer))
    assert results[0] == results[1]
