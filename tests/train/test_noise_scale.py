"""The gradient noise scale: against data whose noise is known, and against the naive formulas."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.regression import log_of, make_data, make_model, make_trainer
from tests.train.tiny_language import make_gpt, packed_rows
from tinytrain.models import MLP, classification_loss, language_model_loss
from tinytrain.testing import mock
from tinytrain.train import GradientNoiseScale, accumulate_gradients, measure_noise
from tinytrain.train.noise_scale import GradientNoise, GradientSpread

pytestmark = pytest.mark.usefixtures("device")

WIDTH, SIGMA = 5, 1.5
MEAN = np.array([0.4, -0.8, 0.2, 0.9, -0.3])
TRUE_NOISE_SCALE = WIDTH * SIGMA**2 / float(MEAN @ MEAN)  # tr(S) / |G|^2


class Weights(tt.nn.Module):
    """A model whose gradient for an item is the item itself."""

    def __init__(self, dtype="float64"):
        self.weight = tt.nn.Parameter(tt.zeros(WIDTH, dtype=dtype))


def linear(model, items):
    return (items @ model.weight).sum(), len(items)


def items(source, count):
    return source.normal(MEAN, SIGMA, size=(count, WIDTH))


class FakeTrainer:
    def __init__(self, model):
        self.model = model


def run(callback, steps, sizes, seed=0):
    """What a trainer does, with a callback hung into it."""
    source, model = np.random.default_rng(seed), Weights()
    trainer = FakeTrainer(model)
    for _ in range(steps):
        callback.on_window_start(trainer)
        model.zero_grad()
        accumulate_gradients(
            model,
            linear,
            [items(source, size) for size in sizes],
            lambda count: callback.on_micro_batch(trainer, count),
        )
        callback.on_step_end(trainer, {})
    return callback


def test_the_noise_scale_is_within_five_percent_of_the_truth(device):
    """2000 steps of 8 micro-batches of 4."""
    steps = 2000 if device == "cpu" else 50
    found = run(GradientNoiseScale(decay=1.0), steps, [4] * 8).noise.noise_scale
    assert found == pytest.approx(TRUE_NOISE_SCALE, rel=0.05 if device == "cpu" else 0.5)


def test_micro_batches_of_unequal_size(device):
    steps = 500 if device == "cpu" else 50
    found = run(GradientNoiseScale(decay=1.0), steps, [1, 9, 3, 7, 12]).noise.noise_scale
    assert found == pytest.approx(TRUE_NOISE_SCALE, rel=0.1 if device == "cpu" else 0.5)


def test_the_two_estimators_of_the_paper():
    """With equal micro-batches: its equations for |G|^2 and tr(S), A.2, by hand."""
    source = np.random.default_rng(1)
    micro_batches = [items(source, 4) for _ in range(8)]
    small = np.mean([np.sum(batch.mean(0) ** 2) for batch in micro_batches])
    big = np.sum(np.concatenate(micro_batches).mean(0) ** 2)
    squared_norm = (32 * big - 4 * small) / (32 - 4)
    variance = (small - big) / (1 / 4 - 1 / 32)
    found = measure_noise(Weights(), linear, micro_batches)
    assert found.squared_norm == pytest.approx(squared_norm, rel=1e-10)
    assert found.variance == pytest.approx(variance, rel=1e-10)
    assert found.noise_scale == pytest.approx(variance / squared_norm, rel=1e-10)


@pytest.mark.parametrize("optimizer", [None, "flat"])
def test_it_is_the_spread_of_single_rows_in_a_network(optimizer):
    """Micro-batches of one row: tr(S) is the sum of the parameters' variances over rows."""
    tt.manual_seed(0)
    model = MLP([3, 4, 2]).to("float64")
    if optimizer:
        held = tt.optim.AdamW(model.parameters())
        assert held.param_groups
    source = np.random.default_rng(2)
    x, y = source.normal(size=(6, 3)), source.integers(0, 2, size=6)
    rows = []
    for row in range(6):
        model.zero_grad()
        accumulate_gradients(model, classification_loss, [(x[row : row + 1], y[row : row + 1])])
        rows.append(np.concatenate([host(p.grad).ravel() for p in model.parameters()]))
    model.zero_grad()
    found = measure_noise(
        model, classification_loss, [(x[i : i + 1], y[i : i + 1]) for i in range(6)]
    )
    variance = np.var(rows, axis=0, ddof=1).sum()
    assert found.variance == pytest.approx(variance, rel=1e-10)
    mean = np.mean(rows, axis=0)
    assert found.squared_norm == pytest.approx(mean @ mean - variance / 6, rel=1e-9)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("optimizer", [None, "flat"])
def test_a_parameter_that_only_some_micro_batches_reach(optimizer):
    class Two(tt.nn.Module):
        def __init__(self):
            self.first = tt.nn.Parameter(tt.zeros((), dtype=tt.float64))
            self.second = tt.nn.Parameter(tt.zeros((), dtype=tt.float64))

    model = Two()
    if optimizer:
        held = tt.optim.SGD(model.parameters(), lr=0.1)
        assert held.param_groups
    spread = GradientSpread(model.parameters())
    for loss in (model.first * 3.0, model.second * 4.0, model.first * 1.0):
        loss.backward()
        spread.add(1)
    # Rows (3, 0), (0, 4), (1, 0): means 4/3 and 4/3, variances 7/3 and 16/3.
    squared_norm, variance = (value.item() for value in spread.estimate())
    assert variance == pytest.approx(23 / 3, rel=1e-12)
    assert squared_norm == pytest.approx(32 / 9 - 23 / 9, rel=1e-12)


def test_one_micro_batch_tells_nothing():
    callback = run(GradientNoiseScale(), 3, [8])
    record = {}
    callback.on_log(None, record)
    assert record == {}
    assert math.isnan(callback.noise.noise_scale)
    with pytest.raises(ValueError, match="at least two micro-batches"):
        measure_noise(Weights(), linear, [np.ones((2, WIDTH))])


def test_a_negative_estimate_gives_no_noise_scale():
    assert math.isnan(GradientNoise(-0.1, 2.0).noise_scale)


def test_decay_forgets():
    slow = run(GradientNoiseScale(decay=0.5), 4, [2, 2]).noise
    each = [run(GradientNoiseScale(decay=0.0), steps, [2, 2]).noise for steps in range(1, 5)]
    weights = np.array([0.125, 0.25, 0.5, 1.0])
    expected = weights @ [noise.variance for noise in each] / weights.sum()
    assert slow.variance == pytest.approx(expected, rel=1e-10)
    with pytest.raises(ValueError, match=r"decay must lie in 0 to 1, got 1\.5"):
        GradientNoiseScale(1.5)


def test_its_state_returns():
    first = run(GradientNoiseScale(), 5, [2, 3])
    second = GradientNoiseScale()
    state = first.state_dict()
    on_host = [host(value) for value in state["sums"]]  # as a checkpoint gives them back
    second.load_state_dict({**state, "sums": on_host})
    assert second.noise == first.noise
    fresh = GradientNoiseScale()
    fresh.load_state_dict(GradientNoiseScale().state_dict())
    assert math.isnan(fresh.noise.variance)


def test_a_step_that_is_broken_off_is_forgotten():
    trainer, source = FakeTrainer(Weights()), np.random.default_rng(0)
    callback = GradientNoiseScale()
    for _ in range(2):  # of the first step only the beginning
        callback.on_window_start(trainer)
        trainer.model.zero_grad()
        accumulate_gradients(
            trainer.model,
            linear,
            [items(source, 3)],
            lambda count: callback.on_micro_batch(trainer, count),
        )
    callback.on_step_end(trainer, {})
    assert callback.state_dict()["sums"] is None  # one micro-batch tells nothing


def test_nothing_waits_for_a_gpu(device):
    if device != "mock":
        pytest.skip("counted on the mock GPU")
    model = make_gpt("float32")
    spread = GradientSpread(model.parameters())
    with mock.forbid_sync():
        accumulate_gradients(model, language_model_loss, packed_rows(), spread.add)
        assert spread.estimate() is not None


def test_it_is_in_the_log_of_a_run_and_survives_a_resumption(tmp_path):
    def trainer(folder, steps):
        model = make_model()
        return make_trainer(
            model,
            make_data(24),
            max_steps=steps,
            accumulation_steps=3,
            log_every=2,
            out=tmp_path / folder,
            callbacks=[GradientNoiseScale()],
        )

    trainer("straight", 6).fit()
    trainer("broken", 3).fit()
    resumed = trainer("broken", 6)
    assert resumed.resume("auto").name == "step-00000003.npz"
    resumed.fit()
    straight, broken = (
        {record["step"]: record["noise_scale"] for record in log_of(tmp_path / folder)}
        for folder in ("straight", "broken")
    )
    assert set(straight) == {2, 4, 6}
    assert all(isinstance(value, float | str) for value in straight.values())
    assert straight[6] == broken[6]
