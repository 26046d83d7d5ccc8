"""Running out of memory: batches are cut until they fit, and the result is the same (A10)."""

import random

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain import nn
from tinytrain.models import MLP, classification_loss
from tinytrain.nn import functional as F
from tinytrain.train.accumulation import divide_gradients, pooled_statistics, sum_gradients
from tinytrain.train.evaluation import evaluate
from tinytrain.train.micro_batch_size import find_micro_batch_size
from tinytrain.train.micro_batches import MicroBatches

pytestmark = pytest.mark.usefixtures("device")

ROWS = 24


class Count(nn.Module):
    """Has a buffer that moves with every forward pass in training."""

    def __init__(self):
        self.register_buffer("seen", tt.zeros(()))

    def forward(self, input):
        self.seen.data += len(input)
        return input


def make(seed=0):
    tt.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3, generator=tt.Generator(7)),
        Count(),
        nn.Linear(16, 16),
        nn.Dropout(0.2),
        nn.Linear(16, 3),
    )
    return model, tt.optim.AdamW(model.parameters(), lr=0.01)


def batches(count, rows=ROWS):
    source = np.random.default_rng(0)
    return [
        (source.standard_normal((rows, 6)).astype(np.float32), source.integers(0, 3, rows))
        for _ in range(count)
    ]


class Small:
    """A loss function on a device that has no memory for so many rows; it may fail late."""

    def __init__(self, too_many, error=MemoryError, late=True):
        self.too_many, self.error, self.late, self.tried = too_many, error, late, []

    def __call__(self, model, batch):
        self.tried.append(len(batch[0]))
        if self.late:
            loss = classification_loss(model, batch)
        if len(batch[0]) >= self.too_many:
            raise self.error("cudaErrorMemoryAllocation: out of memory")
        return loss if self.late else classification_loss(model, batch)


def train(loss_function, size, steps=3, per_window=2, **settings):
    """Make a few optimizer steps; return all that they leave, and the sizes."""
    model, optimizer = make()
    told = []
    micro_batches = MicroBatches(model, optimizer, size, tell=told.append, **settings)
    losses = []
    data = batches(steps * per_window)
    for start in range(0, len(data), per_window):
        optimizer.zero_grad()
        with pooled_statistics(model):
            loss, items = micro_batches.run(
                lambda pieces: sum_gradients(model, loss_function, pieces),
                data[start : start + per_window],
            )
        assert items == ROWS * per_window
        divide_gradients(model.parameters(), items)
        optimizer.step()
        losses.append(host(loss))
    arrays = [host(value) for value in model.state_dict().values()]
    random = [tt.default_generator().raw32(1).tolist(), model[3].generator.raw32(1).tolist()]
    return [*losses, *arrays], random, micro_batches.size, told


def assert_equal(found, expected):
    assert found[1] == expected[1]
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("too_many", "error"),
    [(5, tt.OutOfMemoryError), (17, RuntimeError), (ROWS, MemoryError)],
)
def test_the_run_equals_one_that_had_the_size_from_the_start(too_many, error):
    largest = 1 << ((too_many - 1).bit_length() - 1)
    expected = train(classification_loss, largest)
    found = train(Small(too_many, error), "auto")
    assert found[2] == largest
    assert found[3][0].startswith(f"out of memory with micro-batches of {ROWS} rows: going on with")
    assert_equal(found, expected)


def test_it_may_fail_in_the_middle_of_a_window_and_later_in_the_run():
    class Later(Small):
        def __call__(self, model, batch):
            self.too_many = 17 if len(self.tried) >= 3 else ROWS + 1  # in window 2, second batch
            return super().__call__(model, batch)

    restarts = []
    found = train(Later(0), "auto", on_restart=lambda: restarts.append(1))
    assert (found[2], len(restarts), len(found[3])) == (16, 1, 1)

    sizes = iter([None, 16, 16])
    model, optimizer = make()
    losses = []
    data = batches(6)
    for start in range(0, 6, 2):
        optimizer.zero_grad()
        micro_batches = MicroBatches(model, optimizer, next(sizes))
        with pooled_statistics(model):
            loss, items = micro_batches.run(
                lambda pieces: sum_gradients(model, classification_loss, pieces),
                data[start : start + 2],
            )
        divide_gradients(model.parameters(), items)
        optimizer.step()
        losses.append(host(loss))
    arrays = [host(value) for value in model.state_dict().values()]
    for one, other in zip(found[0], [*losses, *arrays], strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_memory_trouble_nothing_changes():
    assert_equal(train(classification_loss, "auto"), train(classification_loss, None))


def small_run(limit, size, rows=64, accumulation=1, **settings):
    """Train a perceptron under a limit; return the peak, and the size that was used."""
    tt.manual_seed(0)
    model = MLP([64, 64, 10], batch_norm=settings.pop("batch_norm", False))
    optimizer = settings.pop("optimizer", tt.optim.AdamW)(model.parameters(), lr=0.01)
    count = 3 * rows * accumulation
    source = np.random.default_rng(0)
    x = source.normal(size=(count, 64)).astype(np.float32)
    data = tt.data.TensorDataset(x, source.integers(0, 10, count))
    with tt.memory_limit(limit) as allowed:
        trainer = tt.Trainer(
            model,
            optimizer,
            classification_loss,
            tt.data.DataLoader(data, rows),
            max_steps=3,
            accumulation_steps=accumulation,
            micro_batch_size=size,
            batch_norm="pooled",
            progress=False,
            **settings,
        )
        trainer.fit()
    return allowed.ledger.peak, trainer.micro_batches.size


def trains(*arguments, **settings):
    try:
        small_run(*arguments, **settings)
    except MemoryError:
        return False
    return True


def test_the_peak_does_not_grow_with_accumulation():
    """The batches of a window that wait in host memory do not count, on the CPU as on a GPU."""
    peaks = [small_run("1GB", None, accumulation=steps)[0] for steps in (1, 2, 4, 8, 16)]
    peaks += [small_run("1GB", 64, rows=64 * pieces)[0] for pieces in (2, 16)]
    assert max(peaks) - min(peaks) <= 16  # the loss's sums
    assert min(peaks) == pytest.approx(135_388, rel=0.01)  # on all devices


@pytest.mark.parametrize("batch_norm", [False, True])
def test_auto_ends_at_the_largest_power_of_two_that_can_be_trained(batch_norm, capsys):
    sizes = set()
    for limit in range(108_000, 200_000, 9_000):
        largest = next(
            size for size in (64, 32, 16, 8, 4, 2) if trains(limit, size, batch_norm=batch_norm)
        )
        _, found = small_run(limit, "auto", batch_norm=batch_norm)
        assert (found or 64) == largest, limit
        sizes.add(largest)
    assert len(sizes) >= 3


def test_one_row_that_does_not_fit_ends_the_run():
    with pytest.raises(tt.OutOfMemoryError, match="not even a micro-batch of one row fits"):
        train(Small(1, late=False), "auto")


def test_other_errors_pass():
    def broken(model, batch):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        train(broken, "auto")


def test_a_given_size_is_not_changed():
    with pytest.raises(MemoryError):
        train(Small(4), 8)


def test_pieces_are_as_equal_as_possible():
    model, optimizer = make()
    seen = []
    micro_batches = MicroBatches(model, optimizer, 32)
    micro_batches.run(lambda pieces: seen.extend(map(len, pieces)), [np.zeros(33), np.zeros(5)])
    assert seen == [17, 16, 5]


def test_the_size_is_part_of_the_state():
    model, optimizer = make()
    saved = MicroBatches(model, optimizer, 4).state_dict()
    automatic, given = (MicroBatches(model, optimizer, size) for size in ("auto", 8))
    automatic.load_state_dict(saved)
    given.load_state_dict(saved)
    assert (automatic.size, given.size) == (4, 8)


@pytest.mark.parametrize("size", [0, -3, "large", True])
def test_what_is_no_size(size):
    model, optimizer = make()
    with pytest.raises((ValueError, TypeError), match="micro_batch_size"):
        MicroBatches(model, optimizer, size)


def test_a_memory_limit_is_met_by_cutting():
    def under(limit, size):
        with tt.memory_limit(limit):
            return train(classification_loss, size)

    found = under("16KB", "auto")
    assert found[2] in (4, 8, 16)
    assert_equal(found, under(None, found[2]))
    with pytest.raises(tt.OutOfMemoryError):
        under("16KB", 2 * found[2])


# ---------------------------------------------------------------- finding the size


@pytest.mark.parametrize("too_many", [2, 7, 23, 100])
@pytest.mark.parametrize("start", [1, 7, 500])
def test_the_largest_that_fits_is_found(too_many, start):
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.1))  # can do with one row
    optimizer = tt.optim.AdamW(model.parameters())
    loss_function = Small(too_many)
    (batch,) = batches(1)
    found = find_micro_batch_size(model, optimizer, loss_function, batch, start=start)
    assert found == min(too_many - 1, ROWS)
    assert len(loss_function.tried) <= 2 * 2 * ROWS.bit_length()  # two micro-batches each


def test_everything_is_put_back():
    model, optimizer = make()
    model.eval()
    model[0].train()
    states = model.state_dict(), optimizer.state_dict()
    states_before = [tt.default_generator().get_state(), model[3].generator.get_state()]
    (batch,) = batches(1)
    assert find_micro_batch_size(model, optimizer, Small(10), batch) == 9
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(host(value), host(states[0][name]))
    assert optimizer.state_dict() == states[1]
    assert [tt.default_generator().get_state(), model[3].generator.get_state()] == states_before
    assert all(p.grad is None for p in model.parameters())
    assert [layer.training for layer in model] == [True] + [False] * 7


@pytest.mark.parametrize("start", [1, 2, 24])
def test_one_row_that_does_not_fit_is_said(start):
    model, optimizer = make()
    with pytest.raises(tt.OutOfMemoryError, match="not even a micro-batch of one row fits"):
        find_micro_batch_size(model, optimizer, Small(1, late=False), batches(1)[0], start=start)


def test_the_size_found_under_a_limit_trains_under_it():
    model, optimizer = make()
    (batch,) = batches(1)
    found = find_micro_batch_size(model, optimizer, classification_loss, batch, limit="14KB")
    assert 2 < found < ROWS
    with tt.memory_limit("14KB") as limit:
        for _ in range(2):
            optimizer.zero_grad()
            piece = tuple(part[:found] for part in batch)
            sum_gradients(model, classification_loss, [piece])
            optimizer.step()
        limit.ledger.limit = 10**9
        limit.ledger.peak = 0
        piece = tuple(part[: found + 1] for part in batch)
        optimizer.zero_grad()
        sum_gradients(model, classification_loss, [piece])
        assert limit.ledger.peak > 14_000


@pytest.mark.parametrize("optimizer", [tt.optim.AdamW, tt.optim.SGD])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_size_found_trains_in_a_trainer_under_the_very_limit(optimizer, batch_norm):
    for limit in (110_000, 131_000):
        tt.manual_seed(0)
        model = MLP([64, 64, 10], batch_norm=batch_norm)
        source = np.random.default_rng(0)
        batch = source.normal(size=(512, 64)).astype(np.float32), source.integers(0, 10, 512)
        found = find_micro_batch_size(
            model, optimizer(model.parameters(), lr=0.1), classification_loss, batch, limit=limit
        )
        settings = {"optimizer": optimizer, "batch_norm": batch_norm, "clip_grad_norm": 1.0}
        for accumulation in (1, 2, 8):
            small_run(limit, None, rows=found, accumulation=accumulation, **settings)
        assert not trains(limit, None, rows=found + 2, accumulation=2, **settings)


def test_batch_normalisation_for_which_two_rows_are_too_many_is_out_of_memory():
    model, optimizer = make()
    words = "micro-batches of two rows do not fit .* with one row at a time"
    with pytest.raises(tt.OutOfMemoryError, match=words):
        find_micro_batch_size(model, optimizer, Small(2, late=False), batches(1)[0])
    with pytest.raises(tt.OutOfMemoryError, match=words):
        train(Small(2, late=False), "auto")
    with pytest.raises(ValueError, match="more than one value per channel"):  # no lack of memory
        find_micro_batch_size(model, optimizer, classification_loss, batches(1, rows=1)[0])


def test_an_empty_batch_is_refused():
    model, optimizer = make()
    with pytest.raises(ValueError, match="no rows to try"):
        find_micro_batch_size(model, optimizer, classification_loss, (np.zeros((0, 6)),))


# ---------------------------------------------------------------- the trainer


def train_with_trainer(loss_function, size, max_steps=4, out=None, resume=False):
    model, optimizer = make()
    x, y = (np.concatenate(part) for part in zip(*batches(4), strict=True))
    loader = tt.data.DataLoader(tt.data.TensorDataset(x, y), ROWS, shuffle=True, generator=1)
    trainer = tt.Trainer(
        model,
        optimizer,
        loss_function,
        loader,
        max_steps=max_steps,
        accumulation_steps=2,
        micro_batch_size=size,
        batch_norm="pooled",
        clip_grad_norm=1.0,
        log_every=1,
        out=out,
        progress=False,
    )
    if resume:
        trainer.resume("auto")
    result = trainer.fit()
    return [result.training_loss, *map(host, model.state_dict().values())], trainer


def test_the_trainer_goes_on_with_smaller_pieces_and_resumes_with_them(tmp_path, capsys):
    expected, _ = train_with_trainer(classification_loss, 8)
    found, trainer = train_with_trainer(Small(10), "auto")
    assert trainer.micro_batches.size == 8
    assert (
        "out of memory with micro-batches of 24 rows: going on with 16" in capsys.readouterr().out
    )
    train_with_trainer(Small(10), "auto", max_steps=2, out=tmp_path)
    resumed, trainer = train_with_trainer(Small(9), "auto", out=tmp_path, resume=True)
    assert trainer.micro_batches.size == 8
    for one, again, other in zip(found, resumed, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(again, other)


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize("size", ["auto", 8])
def test_evaluation_cuts_too(size):
    model, optimizer = make()
    told, loss_function = [], Small(10)
    whole = evaluate(model, classification_loss, batches(3))
    micro_batches = MicroBatches(model, optimizer, size, tell=told.append)
    assert evaluate(model, micro_batches.in_pieces(loss_function), batches(3)) == pytest.approx(
        whole, rel=1e-6
    )
    assert loss_function.tried == ([24, 12, 8, 8, 8] if size == "auto" else [8] * 3) + [8] * 6
    said = "out of memory in evaluation: going on with 8 rows at a time"
    assert told[-1:] == ([said] if size == "auto" else [])
    assert micro_batches.size == (None if size == "auto" else 8)  # training is not touched


def test_evaluation_ends_where_one_row_does_not_fit_and_other_errors_pass():
    model, optimizer = make()
    micro_batches = MicroBatches(model, optimizer, "auto", tell=lambda _: None)
    with pytest.raises(tt.OutOfMemoryError, match="not even a micro-batch of one row"):
        evaluate(model, micro_batches.in_pieces(Small(1)), batches(1))
    given = MicroBatches(model, optimizer, 8)
    with pytest.raises(MemoryError):
        evaluate(model, given.in_pieces(Small(4)), batches(1))


def test_the_trainer_evaluates_in_pieces():
    model, optimizer = make()
    loss_function = Small(10)
    trainer = tt.Trainer(
        model,
        optimizer,
        loss_function,
        batches(2, rows=8),
        max_steps=1,
        micro_batch_size=8,
        batch_norm="exact",
        validation_loader=batches(1),
        progress=False,
    )
    trainer.fit()
    trainer.evaluate(batches(1))
    assert max(loss_function.tried) == 8


# ---------------------------------------------------------------- what a cut is said to do


def test_what_a_cut_changes_is_said():
    def said(*layers, **settings):
        model = nn.Sequential(nn.Linear(6, 3), *layers)
        told = []
        optimizer = tt.optim.SGD(model.parameters(), lr=0.1)
        micro_batches = MicroBatches(model, optimizer, "auto", tell=told.append, **settings)
        loss_function = Small(20)
        micro_batches.run(lambda pieces: sum_gradients(model, loss_function, pieces), batches(1))
        return told[0]

    assert "changes no gradient, unless a layer mixes rows" in said()
    assert "changes the gradient as another seed would" in said(nn.Dropout(0.1))
    assert "as far as batch normalisation goes by the micro-batch" in said(nn.BatchNorm1d(3))
    assert "changes no gradient" in said(nn.BatchNorm1d(3), exact_batch_norm=True)
    assert "changes no gradient" in said(nn.BatchNorm1d(3).eval())


# ---------------------------------------------------------------- random numbers of all kinds


class Drawing(nn.Module):
    """Draws from NumPy's, Python's and, out of a list, from its own generator."""

    def __init__(self):
        self.own = {"sources": [tt.Generator(3)]}

    def forward(self, input):
        noise = np.random.normal(size=input.shape).astype(np.float32) + random.random()
        input = F.dropout(input, 0.3, generator=self.own["sources"][0])
        return input + tt.tensor(noise)


def draw_and_train(loss_function, size):
    """Return the weights after three windows, and where all generators are."""
    np.random.seed(5)
    random.seed(6)
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), Drawing(), nn.Linear(5, 3))
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1)
    micro_batches = MicroBatches(model, optimizer, size, tell=lambda _: None)
    for batch in batches(3):
        optimizer.zero_grad()
        micro_batches.run(lambda pieces: sum_gradients(model, loss_function, pieces), [batch])
        optimizer.step()
    places = [random.random(), np.random.random(), model[1].own["sources"][0].random_int64()]
    return [host(value) for value in model.state_dict().values()] + places


def test_a_window_is_taken_back_with_random_numbers_of_all_kinds():
    state, theirs = random.getstate(), np.random.get_state()
    try:
        found = draw_and_train(Small(10), "auto")
        for one, other in zip(found, draw_and_train(classification_loss, 8), strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        random.setstate(state)
        np.random.set_state(theirs)


def test_finding_a_size_puts_random_numbers_of_all_kinds_back():
    model = nn.Sequential(nn.Linear(6, 5), Drawing(), nn.Linear(5, 3))
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1)

    def places():
        theirs = np.random.get_state()
        own = model[1].own["sources"][0].get_state()
        return [random.getstate(), theirs[1].tolist(), theirs[2:], own]

    before = places()
    assert find_micro_batch_size(model, optimizer, Small(10), batches(1)[0]) == 9
    assert places() == before
