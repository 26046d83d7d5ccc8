"""A loader explained: the report is right, and the loader notices nothing."""

import itertools
import json
import random
import time

import numpy as np
import pytest

from tinytrain.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    LengthWarmupBatchSampler,
    PackedDataset,
    Piece,
    PieceDataset,
    RandomSampler,
    Sampler,
    StackDataset,
    Subset,
    TensorDataset,
    TokenBudgetBatchSampler,
    collate_packed,
    pad_collate,
    plan_packing,
)
from tinytrain.data.balanced_sampler import BalancedBatchSampler
from tinytrain.data.explanation import explain
from tinytrain.data.look_ahead import first_batches, upcoming_epochs
from tinytrain.data.order_measures import lag_correlation, padding_share, repeat_mates
from tinytrain.generator import Generator, default_generator

ROWS = np.arange(40)


class Counted:
    """A data set that counts its reads, and draws from generators of all kinds."""

    def __init__(self, size=40):
        self.size, self.reads, self.rng = size, 0, np.random.default_rng(3)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.reads += 1
        random.random()
        np.random.random()
        default_generator().raw32(1)
        return index + self.rng.random()


class OwnSampler(Sampler):
    """Without a state, and another order in each epoch."""

    def __init__(self):
        self.epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter([self.epoch, 0, 5])

    def __len__(self):
        return 3


def orders(loader, epochs=2):
    """What an untouched loader gives, as lists of its samples."""
    return [[np.ravel(batch).tolist() for batch in loader] for _ in range(epochs)]


LOADERS = {
    "shuffled": lambda: DataLoader(ROWS, 7, shuffle=True, generator=1),
    "shuffled by the default generator": lambda: DataLoader(ROWS, 7, shuffle=True),
    "in order": lambda: DataLoader(ROWS, 7, drop_last=True),
    "not batched": lambda: DataLoader(ROWS, None, shuffle=True, generator=1),
    "a sampler's own default": lambda: DataLoader(ROWS, 7, sampler=RandomSampler(ROWS)),
    "with replacement": lambda: DataLoader(
        ROWS, 7, sampler=RandomSampler(ROWS, replacement=True, generator=2)
    ),
    "balanced": lambda: DataLoader(
        ROWS, batch_sampler=BalancedBatchSampler(ROWS % 3, 2, generator=0)
    ),
    "a sampler without a state": lambda: DataLoader(ROWS, 2, sampler=OwnSampler()),
}


@pytest.fixture(autouse=True)
def _default_generator_kept():
    state = default_generator().get_state()
    yield
    default_generator().set_state(state)


@pytest.mark.parametrize("name", LOADERS)
def test_the_epochs_foreseen_come_and_are_not_changed_by_being_foreseen(name):
    default_generator().manual_seed(7)
    expected = orders(LOADERS[name]())
    default_generator().manual_seed(7)
    loader = LOADERS[name]()
    foreseen = upcoming_epochs(loader, 2)
    assert [[np.ravel(batch).tolist() for batch in epoch] for epoch in foreseen] == expected
    explain(loader)
    assert orders(loader) == expected
    assert orders(loader) != foreseen or name == "in order"


def test_in_the_middle_of_an_epoch_nothing_is_disturbed():
    loader = DataLoader(ROWS, 7, shuffle=True, generator=1)
    expected = orders(DataLoader(ROWS, 7, shuffle=True, generator=1))
    batches = iter(loader)
    found = [next(batches).tolist(), next(batches).tolist()]
    state = json.dumps(loader.state_dict())
    explain(loader)
    assert json.dumps(loader.state_dict()) == state
    found += [batch.tolist() for batch in batches]
    assert [found, *orders(loader, 1)] == expected


def test_a_restored_position_stays():
    loader = DataLoader(ROWS, 7, shuffle=True, generator=1)
    next(iter(loader))
    state = loader.state_dict()
    resumed = DataLoader(ROWS, 7, shuffle=True, generator=0)
    resumed.load_state_dict(state)
    explain(resumed)
    assert orders(resumed)[0] == orders(DataLoader(ROWS, 7, shuffle=True, generator=1))[0][1:]


def test_every_random_state_is_afterwards_what_it_was():
    data = Counted()
    loader = DataLoader(data, 5, shuffle=True)

    def states():
        default = default_generator().get_state()
        numpy = np.random.get_state()[1].tolist()
        return default, numpy, random.getstate(), data.rng.bit_generator.state

    before = states()
    report = explain(loader, fetch=2)
    assert states() == before
    assert data.reads == 10
    assert report.fetched == 2
    assert report.fetch_seconds > 0


class Augmented:
    """Draws from generators of four kinds, each found in another place."""

    def __init__(self):
        self.numpy, self.old = np.random.default_rng(1), np.random.RandomState(1)
        self.inside = {"own": [Generator(1)], "python": random.Random(1)}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        own, python = self.inside["own"][0], self.inside["python"]
        return self.numpy.random() + self.old.random_sample() + own.random(1)[0] + python.random()


class JitteringCollate:
    def __init__(self):
        self.rng = np.random.default_rng(2)

    def __call__(self, samples):
        return np.asarray(samples) + self.rng.random()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: Subset(Subset(data, range(8)), range(8)),
        lambda data: ConcatDataset([data, data]),
        lambda data: StackDataset(x=data),
    ],
)
def test_generators_of_data_sets_inside_others_are_put_back(wrap):
    def make():
        wrapped = wrap(Augmented())
        collate = None if isinstance(wrapped, StackDataset) else JitteringCollate()
        return DataLoader(wrapped, 4, collate_fn=collate)

    loader = make()
    loader.explain()
    assert repr(list(loader)) == repr(list(make()))


def test_the_time_of_a_fetch_is_without_the_drawing_of_the_order():
    class SlowOrder(OwnSampler):
        def __iter__(self):
            time.sleep(0.2)
            return super().__iter__()

    assert explain(DataLoader(ROWS, 2, sampler=SlowOrder())).fetch_seconds < 0.1


def test_lengths_of_zero_and_indices_that_are_no_integers():
    report = explain(DataLoader(range(4), 2), lengths=[0, 0, 0, 0])
    assert report.padding is None
    assert "nan" not in str(report)
    named = DataLoader({"x": 1, "y": 2}, sampler=["y", "x"], batch_size=2)
    with pytest.raises(TypeError, match=r"need batches of integer indices, .* gives 'y' \(a str"):
        explain(named)


def test_nothing_is_fetched_for_the_order():
    data = Counted()
    report = explain(DataLoader(data, 5, shuffle=True, generator=0), fetch=0)
    assert data.reads == 0
    assert (report.batches, report.samples, report.parts) == (8, 40, ())
    assert report.batch_bytes is report.epoch_bytes is report.padding is None
    assert 0 < report.repeat_mates < 1


def test_the_first_batch_fetched_is_the_first_batch():
    loader = DataLoader(ROWS, 7, shuffle=True, generator=1)
    batches, _ = first_batches(loader, 2)
    for found, expected in zip(batches, loader, strict=False):
        np.testing.assert_array_equal(found, expected)


def test_bytes_shapes_and_names():
    data = TensorDataset(np.zeros((10, 3), np.float32), np.zeros(10, np.int64))
    report = explain(DataLoader(data, 4))
    assert [(p.name, p.kind, p.shape, p.nbytes) for p in report.parts] == [
        ("[0]", "float32", (4, 3), 48),
        ("[1]", "int64", (4,), 32),
    ]
    assert (report.batch_bytes, report.epoch_bytes) == (80, 200)
    assert (report.dataset, report.dataset_size) == ("TensorDataset", 10)
    assert report.repeat_mates == 1
    assert "10 samples" in str(report)
    assert "100.0% of the pairs" in str(report)


# ---------------------------------------------------------------- lengths and padding

LENGTHS = np.clip(np.rint(np.random.default_rng(0).lognormal(3, 0.8, 200)), 1, 200).astype(int)


def sequences():
    return [np.arange(1, length + 1) for length in LENGTHS]


def test_padding_with_lengths_is_that_of_the_whole_epoch():
    loader = DataLoader(sequences(), 8, shuffle=True, collate_fn=pad_collate, generator=0)
    report = explain(loader, lengths=LENGTHS, fetch=0)
    batches = list(loader)
    tokens = [int((batch.segment_ids > 0).sum()) for batch in batches]
    positions = sum(batch.segment_ids.size for batch in batches)
    assert report.padding == pytest.approx(1 - sum(tokens) / positions)
    assert report.tokens_mean == pytest.approx(np.mean(tokens))
    assert report.tokens_cv == pytest.approx(np.std(tokens) / np.mean(tokens))
    assert abs(report.length_correlation) < 0.5


def test_padding_without_lengths_is_that_of_the_batches_fetched():
    loader = DataLoader(sequences(), 8, shuffle=True, collate_fn=pad_collate, generator=0)
    report = explain(loader, fetch=3)
    batches = list(itertools.islice(loader, 3))
    tokens = sum(int((batch.segment_ids > 0).sum()) for batch in batches)
    assert report.padding == pytest.approx(1 - tokens / sum(b.segment_ids.size for b in batches))
    assert report.length_correlation is None


def test_padding_of_packed_rows_masks_and_a_value():
    plan = plan_packing(LENGTHS.tolist(), 200)
    packed = DataLoader(PackedDataset(sequences(), plan), len(plan.rows), collate_fn=collate_packed)
    assert explain(packed).padding == pytest.approx(1 - LENGTHS.sum() / (200 * len(plan.rows)))

    data = [{"ids": np.array([5, 0, 0, 0]), "attention_mask": np.array([1, 1, 0, 0])}] * 4
    assert explain(DataLoader(data, 2)).padding == 0.5
    rows = TensorDataset(np.array([[5, 0, 0, 0]] * 4))
    assert explain(DataLoader(rows, 2), padding_value=0).padding == 0.75
    assert explain(DataLoader(rows, 2)).padding is None
    with pytest.raises(
        ValueError, match=r"no array of integers .* only \['batch float64 \(2,\)'\]"
    ):
        explain(DataLoader([0.5, 1.5], 2), padding_value=0)


def test_a_sorted_order_shows_as_correlation_and_repeat_mates():
    by_length = np.argsort(LENGTHS).tolist()
    loader = DataLoader(range(200), 8, sampler=by_length)
    report = explain(loader, lengths=LENGTHS)
    assert report.length_correlation > 0.5
    assert report.repeat_mates == 1
    assert report.padding == padding_share(upcoming_epochs(loader, 1)[0], LENGTHS)
    shuffled = DataLoader(range(200), 8, shuffle=True, generator=0)
    assert explain(shuffled).repeat_mates == repeat_mates(*upcoming_epochs(shuffled, 2)) < 0.1


def test_a_sampler_that_cuts_sequences_is_explained_by_its_pieces():
    def make():
        budget = TokenBudgetBatchSampler(LENGTHS, 400)
        warm_up = LengthWarmupBatchSampler(
            budget, LENGTHS, start_length=8, warmup_batches=30, max_tokens=600
        )
        return DataLoader(PieceDataset(sequences()), batch_sampler=warm_up, collate_fn=pad_collate)

    loader = make()
    report = loader.explain(lengths=LENGTHS, fetch=2)
    epochs = [list(make().batch_sampler) for _ in range(2)]
    batches = list(make())
    tokens = [int((batch.segment_ids > 0).sum()) for batch in batches]
    positions = sum(batch.segment_ids.size for batch in batches)
    assert (report.batches, report.samples) == (len(batches), 200)
    assert report.pieces == sum(map(len, epochs[0])) > 300
    assert f"200 samples in {report.pieces} pieces" in str(report)
    assert report.padding == pytest.approx(1 - sum(tokens) / positions)
    assert report.tokens_mean == pytest.approx(np.mean(tokens))
    plain = DataLoader(sequences(), batch_sampler=TokenBudgetBatchSampler(LENGTHS, 400))
    assert report.repeat_mates == repeat_mates(*upcoming_epochs(plain, 2))
    widths = [batch.segment_ids.shape[1] for batch in batches]
    assert report.length_correlation == pytest.approx(lag_correlation(widths))
    assert loader.batch_sampler.state_dict() == make().batch_sampler.state_dict()
    np.testing.assert_array_equal(next(iter(loader)).input_ids, batches[0].input_ids)

    fetched = loader.explain(fetch=1)
    assert fetched.padding is not None
    assert fetched.length_correlation is None
    with pytest.raises(ValueError, match=r"gives Piece\(item=\d+, .* no part of 200 samples"):
        loader.explain(lengths=np.ones_like(LENGTHS))
    with pytest.raises(ValueError, match="no part of 3 samples"):
        loader.explain(lengths=LENGTHS[:3])


def test_pieces_drawn_by_hand_are_explained_too():
    batches = [[Piece(1, 0, 2), Piece(1, 1, 3)], [Piece(0, 0, 2)]]
    loader = DataLoader(PieceDataset(["ab", "cde"]), batch_sampler=batches, collate_fn=list)
    report = loader.explain(lengths=[2, 3])
    assert (report.samples, report.pieces, report.padding) == (2, 3, 0)
    assert report.repeat_mates is None


def test_an_iterable_data_set_is_not_moved_on():
    class Stream(IterableDataset):
        def __init__(self):
            self.position = 0

        def __iter__(self):
            self.position = 0
            while self.position < 10:
                self.position += 1
                yield self.position

    stream = Stream()
    loader = DataLoader(stream, batch_size=4)
    batches = iter(loader)
    found = [next(batches).tolist()]
    report = explain(loader)
    assert stream.position == 4
    found += [batch.tolist() for batch in batches]
    assert found == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert report.batches is report.samples is report.repeat_mates is report.epoch_bytes is None
    assert report.parts[0].shape == (4,)
    assert str(report).startswith("data set  Stream, of unknown size\nbytes     32 B per batch\n")


def test_the_method_of_the_loader():
    loader = DataLoader(sequences(), 8, collate_fn=pad_collate, pin_memory=True)
    report = loader.explain(lengths=LENGTHS, fetch=2)
    assert report.fetched == 2
    assert report.tokens_mean == pytest.approx(LENGTHS.sum() / 25)


# ---------------------------------------------------------------- what cannot be


def test_a_negative_number_of_batches():
    with pytest.raises(ValueError, match="a number of batches, but got -1"):
        explain(DataLoader(ROWS), fetch=-1)


def test_a_sampler_that_cannot_be_copied():
    sampler = (number for number in [0, 1])
    loader = DataLoader(ROWS, 2, sampler=sampler)
    with pytest.raises(TypeError, match=r"one cannot be copied: .*generator"):
        explain(loader)


def test_a_shared_generator_is_shared_by_the_copy_too():
    generator = Generator(3)
    sampler = BatchSampler(RandomSampler(ROWS, generator=generator), 7, False)
    loader = DataLoader(ROWS, batch_sampler=sampler, generator=generator)
    foreseen = upcoming_epochs(loader, 2)
    assert foreseen == orders(loader)
