"""The exponential moving average: its formula, its layout, and that it is saved and put away."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.test_resume import STEPS, everything, interrupt_after, make_classifier
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss
from tinytrain.train import CheckpointError, ExponentialMovingAverage

pytestmark = pytest.mark.usefixtures("device")


def values(model):
    return {name: host(p).copy() for name, p in model.named_parameters()}


def averaged(out=None, decay=0.8, **settings):
    """A trainer and its average."""
    trainer = make_classifier(out, **settings)
    average = ExponentialMovingAverage(trainer.model, decay)
    trainer.callbacks.callbacks.insert(0, average)
    return trainer, average


def test_the_formula():
    """Against the sum over all steps: a_n = d^(n-1) w_1 + (1 - d) sum_k d^(n-k) w_k."""
    trainer, average = averaged(decay=0.8)
    seen = []

    class Watch(tt.train.Callback):
        def on_step_end(self, trainer, record):
            seen.append(values(trainer.model))

    trainer.callbacks.callbacks.append(Watch())
    trainer.fit()
    assert average.updates == len(seen) == STEPS
    saved = average.state_dict()["average"]
    for name in seen[0]:
        expected = seen[0][name].astype(np.float64)
        for step in seen[1:]:
            expected = 0.8 * expected + 0.2 * step[name]
        np.testing.assert_allclose(host(saved[name]), expected, rtol=1e-5, atol=1e-7)


def test_one_pass_per_buffer_and_one_per_parameter_without():
    model = MLP([3, 4, 2])
    alone = ExponentialMovingAverage(model)
    alone.update()
    assert len(alone._averages) == 4
    optimizer = tt.optim.SGD(
        [
            {"params": [model.layers[0].weight, model.layers[0].bias]},
            {"params": list(model.layers[2].parameters()), "lr": 0.1},
        ]
    )
    together = ExponentialMovingAverage(model)
    together.update()
    assert len(together._averages) == 2
    assert optimizer is not None
    for name, value in alone.state_dict()["average"].items():
        assert np.array_equal(host(value), host(together.state_dict()["average"][name]))


def test_frozen_parameters_and_buffers_are_left_out():
    model = MLP([3, 4, 2], batch_norm=True)
    model.layers[0].requires_grad_(False)
    average = ExponentialMovingAverage(model)
    average.update()
    names = average.state_dict()["average"].keys()
    assert "layers.0.weight" not in names
    assert not any("running" in name for name in names)
    assert "layers.1.weight" in names


def test_the_average_is_applied_in_a_block_and_put_away_even_after_an_error():
    model = tt.nn.Linear(2, 1)
    average = ExponentialMovingAverage(model, decay=0.5)
    first = values(model)
    with average.applied():  # nothing to apply yet
        assert np.array_equal(host(model.weight), first["weight"])
    average.update()
    model.weight.data += 2
    average.update()

    def fail():
        with average.applied():
            np.testing.assert_allclose(host(model.weight), first["weight"] + 1, rtol=1e-6)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert np.array_equal(host(model.weight), first["weight"] + np.float32(2))


@pytest.mark.parametrize("evaluate", [True, False])
def test_validation_uses_it_if_asked_to(evaluate):
    trainer, average = averaged(eval_every=4)
    average.evaluate = evaluate
    result = trainer.fit()
    plain = trainer.evaluate(trainer.validation_loader)
    with average.applied():
        smooth = trainer.evaluate(trainer.validation_loader)
    assert smooth != plain
    assert result.validation_loss == pytest.approx(smooth if evaluate else plain, rel=1e-12)


def test_it_changes_nothing_in_the_training(tmp_path):
    straight = make_classifier(tmp_path / "straight")
    straight.fit()
    trainer, _ = averaged(tmp_path / "averaged")
    trainer.fit()
    ours, theirs = everything(trainer), everything(straight)
    assert ours.pop("log") != theirs.pop("log")  # the validation losses
    assert ours == theirs


def test_it_is_resumed_bit_for_bit(tmp_path):
    step = 5
    straight, expected = averaged(tmp_path / "straight", save_every=step)
    straight.fit()
    resumed, average = averaged(interrupt_after(step, straight.out, tmp_path / "resumed"))
    resumed.resume("auto")
    assert average.updates == step
    resumed.fit()
    assert everything(resumed) == everything(straight)
    for name, value in expected.state_dict()["average"].items():
        assert host(value).tobytes() == host(average.state_dict()["average"][name]).tobytes()


def test_an_average_of_another_model_is_refused(tmp_path):
    other = MLP([3, 6, 5, 2], batch_norm=True, dropout=0.2)
    average = ExponentialMovingAverage(other)
    average.update()
    state = average.state_dict()
    state["average"]["layers.0.weight"] = state["average"]["layers.0.weight"][:2]
    with pytest.raises(ValueError, match=r"of other parameters: layers\.0\.weight"):
        average.load_state_dict(state)
    trainer, _ = averaged(tmp_path, max_steps=2)
    trainer.fit()
    again, mine = averaged(tmp_path)
    mine.model = MLP([3, 6, 4, 2], batch_norm=True, dropout=0.2)
    with pytest.raises(CheckpointError, match=r"of other parameters: layers\.4\."):
        again.resume("auto")
    assert mine.updates == 0


@pytest.mark.parametrize("decay", [0.0, 1.0, -1, float("nan")])
def test_decays_that_make_no_sense(decay):
    with pytest.raises(ValueError, match="decay must lie between 0 and 1"):
        ExponentialMovingAverage(tt.nn.Linear(1, 1), decay)


def test_a_step_with_it_waits_for_no_gpu(device):
    if device != "mock":
        pytest.skip("counted on the mock GPU")
    from tinytrain.testing import mock

    source = np.random.default_rng(0)
    data = TensorDataset(source.normal(size=(8, 3)).astype(np.float32), np.arange(8) % 2)
    model = MLP([3, 4, 2])
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1)
    average = ExponentialMovingAverage(model, evaluate=False)
    trainer = tt.Trainer(
        model,
        optimizer,
        classification_loss,
        DataLoader(data, 4),
        max_steps=4,
        callbacks=[average],
        log_every=100,
        progress=False,
    )
    with mock.forbid_sync():
        trainer.fit()
    assert average.updates == 4


def test_parameters_that_are_frozen_later_keep_their_average(tmp_path):
    trainer, average = averaged(tmp_path, max_steps=2)
    trainer.fit()
    again, average = averaged(tmp_path, max_steps=4)
    weight = average.model.layers[0].weight
    weight.requires_grad = False
    again.resume("auto")
    frozen = host(weight).copy()
    average.update()
    with average.applied():
        applied = host(weight).copy()
    assert np.array_equal(host(weight), frozen)
    assert not np.array_equal(applied, frozen)


def test_an_average_of_a_model_that_is_not_trained_is_refused():
    trainer, average = averaged(None, max_steps=2)
    average.model = MLP([3, 6, 5, 2], batch_norm=True, dropout=0.2)
    with pytest.raises(ValueError, match=r"another model \(MLP\) than the one that is trained"):
        trainer.fit()
