"""The training loop: the order of a step, last windows, steps that are skipped or refused."""

import json
import math
import warnings

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.regression import (
    log_of,
    make_data,
    make_model,
    make_trainer,
    mean_gradient,
    squared_error,
)
from tinytrain.data import DataLoader, RandomSampler
from tinytrain.models import MLP, classification_loss
from tinytrain.optim import SGD, AdamW, ConstantSchedule, WarmupCosine

pytestmark = pytest.mark.usefixtures("device")

FULL = {1: 12, 2: 6, 4: 3, 12: 1}  # accumulation steps: rows per micro-batch, 12 rows in all


def weights(model):
    return np.r_[tuple(host(parameter).ravel() for parameter in model.parameters())]


def test_a_step_is_the_gradient_of_the_mean_over_the_window():
    data, model = make_data(22, counts=np.arange(22) % 5 != 0), make_model()
    trainer = make_trainer(model, data, max_steps=1, accumulation_steps=3)
    gradient, bias_gradient = mean_gradient(model, data, slice(0, 12))
    expected = weights(model) - 0.1 * np.r_[gradient.ravel(), bias_gradient]
    trainer.fit()
    np.testing.assert_allclose(weights(model), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("last_window", "rows"),
    [
        ("step", [20, 21]),  # the short micro-batch alone, divided by its own number of rows
        ("carry", [20, 21, *range(16)]),
        ("drop", [*range(20)]),
    ],
)
def test_the_last_window(last_window, rows):
    """22 rows in micro-batches of 4 and windows of 5: the second window."""
    data, model, twin = make_data(22), make_model(), make_model()
    settings = {"accumulation_steps": 5, "last_window": last_window}
    make_trainer(model, data, max_steps=1, **settings).fit()
    gradient, bias_gradient = mean_gradient(model, data, rows)
    expected = weights(model) - 0.1 * np.r_[gradient.ravel(), bias_gradient]
    make_trainer(twin, data, max_steps=2, **settings).fit()
    np.testing.assert_allclose(weights(twin), expected, rtol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"clip_grad_norm": 0.05}])
def test_every_number_of_micro_batches_gives_the_same_run(settings, tmp_path):
    """Norms before clipping, learning rates, losses and weights."""
    data, runs = make_data(12), {}
    for steps, rows in FULL.items():
        model = make_model()
        optimizer = AdamW(model.parameters(), lr=0.1)
        out = tmp_path / str(steps)
        trainer = make_trainer(
            model,
            data,
            rows,
            optimizer=optimizer,
            schedule=WarmupCosine(optimizer, 3, 10),
            accumulation_steps=steps,
            max_steps=10,
            out=out,
            **settings,
        )
        trainer.fit()
        runs[steps] = weights(model), log_of(out)
    expected, records = runs.pop(1)
    assert [record["lr"] for record in records] == [
        0.1 * WarmupCosine(AdamW(make_model().parameters()), 3, 10).factor(step)
        for step in range(10)
    ]
    for found, others in runs.values():
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert [record["lr"] for record in others] == [record["lr"] for record in records]
        for name in ("grad_norm", "loss"):
            ours = [record[name] for record in others]
            assert ours == pytest.approx([record[name] for record in records], rel=1e-12)
    if settings:
        assert min(record["grad_norm"] for record in records) > settings["clip_grad_norm"]


def test_clipping_comes_after_the_division():
    data, model = make_data(12), make_model()
    gradient = np.concatenate([g.ravel() for g in mean_gradient(model, data, slice(0, 12))])
    norm = np.linalg.norm(gradient)
    before = weights(model)
    trainer = make_trainer(
        model, data, accumulation_steps=3, max_steps=1, clip_grad_norm=norm / 2, lr=1.0
    )
    trainer.fit()
    np.testing.assert_allclose(before - weights(model), gradient / 2, rtol=1e-5)
    # The sum of the gradients is 12 times as long: clipped first, the step would be 12 times less.


@pytest.mark.parametrize("log_every", [1, 3, 4, 100])
def test_the_reported_loss_is_the_sum_over_the_items(log_every, tmp_path):
    """With lr 0, so that the loss of each row stays as it is."""
    counts = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1])
    data, model = make_data(18, counts), make_model()
    x, y, _ = data.tensors
    losses = ((x @ host(model.weight).T + host(model.bias) - y) ** 2).ravel() * counts
    trainer = make_trainer(
        model,
        data,
        lr=0.0,
        max_steps=9,
        accumulation_steps=2,
        log_every=log_every,
        out=tmp_path,
    )
    result = trainer.fit()
    records = log_of(tmp_path)
    windows = [range(0, 8), range(8, 16), range(16, 18)] * 3
    start = 0
    for record in records:
        rows = [row for window in windows[start : record["step"]] for row in window]
        expected = losses[rows].sum() / counts[rows].sum()
        assert record["loss"] == pytest.approx(expected, rel=1e-12)
        start = record["step"]
    assert start == 9
    assert result.training_loss == records[-1]["loss"]
    if log_every == 100:
        assert len(records) == 1


def test_a_window_without_supervised_items_is_skipped_and_said(tmp_path):
    counts = np.ones(24)
    counts[8:16] = 0  # the second window of two micro-batches of 4
    data, model = make_data(24, counts), make_model()
    schedule_steps = []

    class Watched(ConstantSchedule):
        def step(self):
            super().step()
            schedule_steps.append(self.last_epoch)

    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    trainer = make_trainer(
        model,
        data,
        optimizer=optimizer,
        schedule=Watched(optimizer),
        max_steps=2,
        accumulation_steps=2,
        out=tmp_path,
    )
    trainer.fit()
    expected = make_model()
    only = [slice(0, 8), slice(16, 24)]
    reference = AdamW(expected.parameters(), lr=0.1, weight_decay=0.5)
    for rows in only:
        gradient, bias_gradient = mean_gradient(expected, data, rows)
        expected.weight.grad = tt.tensor(gradient)
        expected.bias.grad = tt.tensor(bias_gradient)
        reference.step()
    np.testing.assert_allclose(weights(model), weights(expected), rtol=1e-12)
    assert schedule_steps == [1, 2]
    records = log_of(tmp_path)
    assert [record["step"] for record in records] == [1, 1, 2]
    assert records[1] == {"step": 1, "skipped": "a window without supervised items"}


@pytest.mark.parametrize("last_window", ["step", "carry", "drop"])
@pytest.mark.parametrize("first_window_counts", [False, True])
def test_an_epoch_without_supervised_items_is_an_error(last_window, first_window_counts):
    data, model = make_data(22, np.zeros(22)), make_model()
    trainer = make_trainer(model, data, max_steps=50, accumulation_steps=2, last_window=last_window)
    if first_window_counts:
        calls = []

        def only_at_first(model, batch):
            calls.append(0)
            loss_sum, _ = squared_error(model, (*batch[:2], tt.ones_like(batch[2])))
            return loss_sum, 4 if len(calls) <= 2 else 0

        trainer.loss_function = only_at_first
    with pytest.raises(ValueError, match="a whole epoch had no supervised items"):
        trainer.fit()
    assert trainer.step == int(first_window_counts)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_not_finite_changes_nothing(value, clip):
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2
    x[9] = value
    tt.manual_seed(0)
    model = MLP([3, 4, 2], batch_norm=True).to("float64")
    optimizer = AdamW(model.parameters(), lr=0.1)
    loader = DataLoader(tt.data.TensorDataset(x, y), batch_size=4)
    settings = {"max_steps": 9, "progress": False, "clip_grad_norm": clip, "log_every": 1}
    trainer = tt.Trainer(model, optimizer, classification_loss, loader, **settings)

    straight = MLP([3, 4, 2], batch_norm=True).to("float64")
    straight.load_state_dict(model.state_dict())
    reference = AdamW(straight.parameters(), lr=0.1)
    tt.Trainer(
        straight, reference, classification_loss, loader, **(settings | {"max_steps": 2})
    ).fit()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, about the bad values
        with pytest.raises(FloatingPointError, match=r"step 3: the gradient's norm is .*no update"):
            trainer.fit()
    assert trainer.step == 2
    for name, tensor in model.state_dict().items():  # running statistics too
        assert np.array_equal(host(tensor), host(straight.state_dict()[name])), name
    assert optimizer.state_dict()["state"][0]["step"] == 2
    ours, theirs = optimizer.state_dict()["state"], reference.state_dict()["state"]
    assert all(np.array_equal(host(ours[i]["exp_avg"]), host(theirs[i]["exp_avg"])) for i in theirs)


@pytest.mark.parametrize(
    ("settings", "gpu_step"),
    [
        ({"log_every": 3}, 3),
        ({"log_every": 100}, 7),
        ({"log_every": 100, "save_every": 2}, 2),
        ({"log_every": 100, "eval_every": 4, "validation_loader": [1]}, 4),
    ],
)
def test_a_gpu_is_asked_for_the_norm_where_the_host_waits_anyway(
    device, tmp_path, settings, gpu_step
):
    def loss_function(model, batch):
        loss_sum, items = squared_error(model, batch)
        return loss_sum * math.inf, items

    trainer = make_trainer(
        make_model(), make_data(), loss=loss_function, max_steps=7, out=tmp_path, **settings
    )
    expected = f"in one of the steps 1 to {gpu_step - 1}, which"
    if device == "cpu":
        expected = "step 1: .*no update was made"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, about the bad values
        with pytest.raises(FloatingPointError, match=expected):
            trainer.fit()
    # On the CPU the moment before is saved, on a GPU a checkpoint might be spoiled.
    assert [path.name for path in tmp_path.glob("*.npz")] == (
        ["before-step-00000001.npz"] if device == "cpu" else []
    )


def test_one_bad_step_between_two_records_is_not_lost(device):
    """Clipped by an infinite norm the update is 0, and the next norms are finite again."""
    calls = []

    def loss_function(model, batch):
        calls.append(1)
        loss_sum, items = squared_error(model, batch)
        return loss_sum * (1e200 if len(calls) == 2 else 1.0), items

    trainer = make_trainer(
        make_model(), make_data(), loss=loss_function, max_steps=6, clip_grad_norm=1.0, log_every=6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(FloatingPointError, match=r"step 2: |one of the steps 1 to 5"):
            trainer.fit()


def test_a_loss_that_is_not_finite_is_refused_even_with_finite_gradients():
    def loss_function(model, batch):
        loss_sum, items = squared_error(model, batch)
        return loss_sum + math.inf, items

    model = make_model()
    before = weights(model)
    with pytest.raises(FloatingPointError, match="the summed loss inf"):
        make_trainer(model, make_data(), loss=loss_function, max_steps=3).fit()
    assert np.array_equal(weights(model), before)


@pytest.mark.parametrize(
    ("epochs", "size", "last_window", "steps"),
    [
        (1, 1, "step", 6),
        (3, 4, "step", 6),
        (3, 4, "carry", 4),
        (3, 4, "drop", 3),
        (49, 49, "carry", 6),
        (2, 6, "carry", 2),
    ],
)
def test_epochs(epochs, size, last_window, steps):
    trainer = make_trainer(
        make_model(), make_data(22), epochs=epochs, accumulation_steps=size, last_window=last_window
    )
    result = trainer.fit()
    assert (trainer.max_steps, result.step) == (steps, steps)
    if last_window == "step":
        assert result.epoch == epochs


def test_epochs_are_counted_when_their_last_micro_batch_was_handed_out(tmp_path):
    trainer = make_trainer(
        make_model(), make_data(24), epochs=2, accumulation_steps=2, out=tmp_path
    )
    assert trainer.fit().epoch == 2
    assert [record["epoch"] for record in log_of(tmp_path)] == [0, 0, 1, 1, 1, 2]


def test_the_run_ends_in_training_mode_with_the_last_step_logged(tmp_path):
    model = make_model().eval()
    result = make_trainer(model, make_data(), max_steps=7, log_every=5, out=tmp_path).fit()
    assert model.training
    assert [record["step"] for record in log_of(tmp_path)] == [5, 7]
    assert result.checkpoint.name == "step-00000007.npz"
    assert result.validation_loss is None


def test_validation_is_logged_when_due_and_at_the_end(tmp_path):
    data, model = make_data(), make_model()
    trainer = make_trainer(
        model,
        data,
        max_steps=5,
        log_every=100,
        eval_every=2,
        validation_loader=DataLoader(data, 8),
        out=tmp_path,
    )
    result = trainer.fit()
    records = [record for record in log_of(tmp_path) if "validation_loss" in record]
    assert [record["step"] for record in records] == [2, 4, 5]
    assert result.validation_loss == records[-1]["validation_loss"]
    assert result.validation_loss < records[0]["validation_loss"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ValueError, "give either max_steps or epochs"),
        ({"max_steps": 3, "epochs": 1}, ValueError, "give either max_steps or epochs"),
        ({"max_steps": 0}, ValueError, "max_steps must be a whole number of at least 1, but got 0"),
        ({"max_steps": 2.5}, ValueError, "max_steps must be a whole number"),
        ({"epochs": 0.5}, ValueError, "epochs must be a whole number of at least 1, but got 0.5"),
        (
            {"epochs": 1, "accumulation_steps": 9, "last_window": "drop"},
            ValueError,
            "a run of 1 epochs would have no optimizer step: the loader gives 6 micro-batches, "
            "a step takes 9",
        ),
        ({"max_steps": 1, "accumulation_steps": 0}, ValueError, "accumulation_steps must be"),
        ({"max_steps": 1, "last_window": "pad"}, ValueError, "one of step, carry, drop"),
        ({"max_steps": 1, "log_every": 0}, ValueError, "log_every must be a whole number"),
        ({"max_steps": 1, "eval_every": -1}, ValueError, "eval_every must be a whole number"),
        ({"max_steps": 1, "save_every": 2}, ValueError, "save_every needs a folder"),
        ({"max_steps": 1, "keep_checkpoints": 0}, ValueError, "keep_checkpoints must be"),
        ({"max_steps": 1, "clip_grad_norm": 0.0}, ValueError, "clip_grad_norm must be above 0"),
        ({"max_steps": 1, "clip_grad_norm": math.nan}, ValueError, "above 0, got nan"),
    ],
)
def test_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        make_trainer(make_model(), make_data(), **settings)


def test_a_schedule_of_another_optimizer_is_refused():
    model = make_model()
    other = SGD(make_model().parameters())
    with pytest.raises(ValueError, match="made for another optimizer"):
        make_trainer(model, make_data(), max_steps=1, schedule=ConstantSchedule(other))


def test_what_cannot_be_saved_is_refused_before_the_first_step(tmp_path):
    model, data = make_model(), make_data()
    settings = {"max_steps": 1, "out": tmp_path}
    with pytest.raises(TypeError, match="not JSON serializable"):
        make_trainer(model, data, config={"path": tmp_path}, **settings)
    with pytest.raises(ValueError, match="not JSON compliant"):
        make_trainer(model, data, config={"lr": math.nan}, **settings)
    optimizer = SGD(model.parameters())
    with pytest.raises(TypeError, match="a list has no state_dict to save"):
        tt.Trainer(model, optimizer, squared_error, [1], **settings)
    unrepeatable = DataLoader(data, sampler=RandomSampler(data))
    with pytest.raises(ValueError, match="RandomSampler without a generator"):
        tt.Trainer(model, optimizer, squared_error, unrepeatable, **settings)
    assert list(tmp_path.iterdir()) == []
    # Without a folder none of it is needed.
    listed = list(DataLoader(data, 4))
    tt.Trainer(model, optimizer, squared_error, listed, max_steps=1, progress=False).fit()


def test_the_log_has_one_json_object_per_line(tmp_path):
    make_trainer(make_model(), make_data(), max_steps=3, out=tmp_path, item_name="rows").fit()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [set(json.loads(line)) for line in lines] == [
        {"step", "epoch", "loss", "lr", "grad_norm", "rows_per_second"}
    ] * 3
