"""Evaluations are part of the run: their data, their random numbers, the modes of layers."""

import itertools
import os
import signal

import numpy as np
import pytest

import tinytrain as tt
from tests.train.regression import log_of, make_data, make_model, make_trainer, squared_error
from tests.train.test_stop_signals import stop
from tinytrain.data import DataLoader, RandomSampler
from tinytrain.train import (
    BestCheckpoint,
    Callback,
    ExponentialMovingAverage,
    load_checkpoint,
    load_weights,
)


def sampled(out, loss=squared_error, **settings):
    """A run whose evaluations each see another part of the data."""
    data = make_data(22)
    sampler = RandomSampler(data, num_samples=8, generator=3)
    settings = {"max_steps": 6, "eval_every": 2, "keep_checkpoints": 9, **settings}
    validation = DataLoader(data, 4, sampler=sampler)
    return make_trainer(
        make_model(), data, loss=loss, validation_loader=validation, out=out, **settings
    )


def evaluations(folder):
    found = [record for record in log_of(folder) if "validation_loss" in record]
    return [(record["step"], record["validation_loss"]) for record in found]


def test_resumed_evaluations_are_those_of_the_straight_run(tmp_path):
    sampled(tmp_path / "straight", save_every=1).fit()
    expected = evaluations(tmp_path / "straight")
    assert len({loss for _, loss in expected}) == len(expected) == 3
    for step in (1, 2, 3, 4, 5):
        resumed = sampled(tmp_path / str(step))
        resumed.resume(tmp_path / "straight" / f"step-{step:08d}.npz")
        resumed.fit()
        assert evaluations(tmp_path / str(step)) == [one for one in expected if one[0] > step]


@pytest.mark.parametrize("call", [3, 4, 8, 12])
def test_a_signal_in_an_evaluation_takes_back_its_random_numbers(tmp_path, call):
    """The loss draws from NumPy's global generator, in evaluations too."""
    calls = itertools.count(1)

    def noisy(model, batch):
        if signalled and next(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        loss_sum, items = squared_error(model, batch)
        return loss_sum * (1 + np.random.random()), items

    signalled = False
    np.random.seed(0)
    straight = sampled(tmp_path / "straight", noisy)
    straight.fit()
    signalled = True
    np.random.seed(0)
    trainer = sampled(tmp_path / "run", noisy)
    stop(trainer, signal.SIGTERM)
    signalled = False
    resumed = sampled(tmp_path / "run", noisy)
    resumed.resume("auto")
    resumed.fit()
    assert log_of(tmp_path / "run") == log_of(tmp_path / "straight")


def test_other_validation_data_begin_anew_and_it_is_said(tmp_path, capsys):
    sampled(tmp_path, max_steps=2).fit()
    other = sampled(tmp_path)
    other.validation_loader = DataLoader(make_data(5), 5)
    other.resume("auto")
    assert "the validation loader begins anew" in capsys.readouterr().out
    other.fit()


def test_frozen_layers_stay_in_evaluation_mode(tmp_path):
    model = tt.nn.Sequential(tt.nn.Linear(3, 1), tt.nn.BatchNorm1d(1)).to("float64")
    model[1].eval()
    mean = model[1].running_mean.numpy().copy()
    make_trainer(model, make_data(), max_steps=2).fit()
    assert [model.training, model[0].training, model[1].training] == [True, True, False]
    assert np.array_equal(model[1].running_mean.numpy(), mean)
    make_trainer(model.eval(), make_data(), max_steps=2).fit()  # as a whole: after an evaluation
    assert model[1].training
    assert not np.array_equal(model[1].running_mean.numpy(), mean)


class After(Callback):
    """Has a state that an evaluation changes."""

    def __init__(self):
        self.seen = 0

    def on_evaluation(self, trainer, loss):
        self.seen += 1

    def state_dict(self):
        return {"seen": self.seen}


@pytest.mark.parametrize("first", [True, False])
def test_the_best_checkpoint_holds_what_all_callbacks_saw(tmp_path, first):
    callbacks = [BestCheckpoint(), After()]
    trainer = sampled(tmp_path, max_steps=2, callbacks=callbacks if first else callbacks[::-1])
    trainer.fit()
    assert load_checkpoint(tmp_path / "best.npz")[1]["callbacks"]["After"] == {"seen": 1}


def averaged(out, **settings):
    data = make_data(22)
    model = make_model()
    callbacks = [ExponentialMovingAverage(model, 0.9), BestCheckpoint()]
    settings = {"max_steps": 9, "eval_every": 3, "callbacks": callbacks, "lr": 0.01, **settings}
    validation = DataLoader(data, 8)
    return make_trainer(model, data, validation_loader=validation, out=out, **settings)


def test_the_best_weights_are_those_that_were_evaluated(tmp_path):
    """The average; and resuming goes on with the trained ones, bit for bit."""
    straight = averaged(tmp_path / "straight")
    straight.fit()
    path = tmp_path / "straight" / "best.npz"
    arrays, state = load_checkpoint(path)
    model = make_model()
    load_weights(path, model)
    fresh = make_trainer(model, make_data(22), max_steps=1)
    best = state["callbacks"]["BestCheckpoint"]["best"]
    assert fresh.evaluate(straight.validation_loader) == best
    assert not np.array_equal(arrays["model/weight"], arrays["trained/weight"])
    assert fresh.model.weight.tolist() == arrays["model/weight"].tolist()
    short = averaged(tmp_path / "short", max_steps=3)
    short.fit()
    resumed = averaged(tmp_path / "resumed")
    resumed.resume(tmp_path / "short" / "best.npz")
    resumed.fit()
    assert resumed.model.weight.tolist() == straight.model.weight.tolist()


def test_a_best_file_that_is_gone_is_forgotten(tmp_path, capsys):
    trainer = sampled(tmp_path / "a", callbacks=[BestCheckpoint()], save_every=2)
    trainer.fit()
    for folder in ("a", "b"):  # where it came from, and elsewhere
        again = sampled(tmp_path / folder, callbacks=[BestCheckpoint()], lr=1e-9)
        again.resume(tmp_path / "a" / "step-00000002.npz")
        again.fit()
        steps = load_checkpoint(tmp_path / folder / "best.npz")[1]["step"]
        assert steps > 2
        assert "the best is looked for anew" in capsys.readouterr().out


def test_a_stop_in_a_skipped_window_is_the_end_of_a_run(tmp_path):
    class Stop(Callback):
        def on_record(self, trainer, record):
            if "skipped" in record:
                trainer.stop("skipped one")

    data = make_data(12, counts=[1] * 8 + [0] * 4)
    trainer = make_trainer(
        make_model(),
        data,
        max_steps=9,
        log_every=100,
        callbacks=[Stop()],
        validation_loader=DataLoader(data, 4),
        out=tmp_path,
        save_every=50,
    )
    result = trainer.fit()
    assert (result.step, result.stopped) == (2, "skipped one")
    assert result.checkpoint.name == "step-00000002.npz"
    records = log_of(tmp_path)
    assert ["skipped" in records[0], "loss" in records[1], "validation_loss" in records[2]] == [
        True
    ] * 3
    again = make_trainer(make_model(), data, max_steps=9, out=tmp_path)
    assert again.resume("auto").name == "step-00000002.npz"


def test_the_training_loss_is_that_of_the_newest_record(tmp_path):
    trainer = make_trainer(make_model(), make_data(), max_steps=3, out=tmp_path)
    loss = trainer.fit().training_loss
    assert loss == log_of(tmp_path)[-1]["loss"]
    assert trainer.fit().training_loss == loss
    again = make_trainer(make_model(), make_data(), max_steps=3, out=tmp_path)
    again.resume("auto")
    assert again.fit().training_loss == loss
