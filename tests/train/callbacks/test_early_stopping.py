"""Stopping early and keeping the best checkpoint."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from tests.device_helpers import host
from tests.train.test_resume import everything, make_classifier
from tinytrain.train import BestCheckpoint, EarlyStopping, load_checkpoint, read_log, read_manifest

LOSSES = [1.0, 0.75, 0.875, 0.625, 0.625, 0.6875, math.nan, 0.5, 0.4375]


class Scripted:
    """Evaluations whose losses are those of a list, by the step."""

    def __init__(self, trainer, losses=LOSSES):
        self.trainer, self.losses = trainer, losses

    def __iter__(self):
        yield self.losses[self.trainer.step - 1]


def make(out, callbacks, losses=LOSSES, **settings):
    """A run whose validation loss at each step is prescribed."""
    settings = {"eval_every": 1, "log_every": 3, **settings}
    trainer = make_classifier(out, callbacks=callbacks, **settings)
    trainer.validation_loader = Scripted(trainer, losses)
    wanted = trainer.loss_function

    def loss_function(model, batch):
        if model.training:
            return wanted(model, batch)
        import tinytrain as tt

        return tt.tensor(batch), 1

    trainer.loss_function = loss_function
    return trainer


@pytest.mark.parametrize(
    ("settings", "step", "best_step"),
    [
        ({"patience": 1}, 3, 2),
        ({"patience": 2}, 6, 4),
        ({"patience": 3}, 7, 4),
        ({"patience": 4}, 9, 9),
        ({"patience": 2, "min_delta": 0.25}, 3, 1),
    ],
)
def test_when_it_stops(tmp_path, settings, step, best_step):
    stopping = EarlyStopping(**settings)
    result = make(tmp_path, [stopping]).fit()
    assert (result.step, stopping.best_step) == (step, best_step)
    assert (result.stopped is None) == (step == 9)
    assert result.checkpoint.name == f"step-{step:08d}.npz"
    assert result.validation_loss == LOSSES[step - 1] or math.isnan(result.validation_loss)


@pytest.mark.parametrize("stop_after", [1, 4, 5])
def test_it_is_resumed_with_its_state(tmp_path, stop_after):
    straight = make(tmp_path / "straight", [EarlyStopping(2)])
    straight.fit()
    first = make(tmp_path / "resumed", [EarlyStopping(2)])
    first.max_steps = stop_after
    first.fit()
    resumed = make(tmp_path / "resumed", [EarlyStopping(2)])
    resumed.resume("auto")
    resumed.fit()
    assert resumed.step == 6
    assert everything(resumed)["model"] == everything(straight)["model"]


def test_a_stopped_run_stays_stopped(tmp_path):
    trainer = make(tmp_path, [EarlyStopping(2)])
    result = trainer.fit()
    before = read_log(tmp_path / "log.jsonl")
    again = make(tmp_path, [EarlyStopping(2)])
    again.resume("auto")
    repeated = again.fit()
    assert (repeated.step, repeated.validation_loss) == (result.step, result.validation_loss)
    assert repeated.stopped == result.stopped
    assert read_log(tmp_path / "log.jsonl") == before
    patient = make(tmp_path, [EarlyStopping(4)])  # more patience goes on
    patient.resume("auto")
    assert patient.fit().step == 9


def test_settings_that_make_no_sense():
    for patience in (0, -1, 1.5):
        with pytest.raises(ValueError, match="patience must be"):
            EarlyStopping(patience)
    for min_delta in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="min_delta must be"):
            EarlyStopping(min_delta=min_delta)
    with pytest.raises(ValueError, match="give eval_every"):
        EarlyStopping().on_run_start(SimpleNamespace(eval_every=None))
    with pytest.raises(ValueError, match="BestCheckpoint needs"):
        BestCheckpoint().on_run_start(SimpleNamespace(out=None, validation_loader=[]))


def test_the_best_checkpoint_is_that_of_the_lowest_loss(tmp_path):
    best = BestCheckpoint()
    losses = [*LOSSES[:8], 0.625]
    trainer = make(tmp_path, [best], losses, keep_checkpoints=2, save_every=4)
    trainer.fit()
    assert best.best == 0.5
    arrays, state = load_checkpoint(tmp_path / "best.npz")
    assert state["step"] == 8
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "best.npz",
        "step-00000008.npz",
        "step-00000009.npz",
    ]
    saved, _ = load_checkpoint(tmp_path / "step-00000008.npz")
    assert all(np.array_equal(array, saved[name]) for name, array in arrays.items())


def test_a_run_goes_on_from_the_best_one(tmp_path):
    trainer = make(tmp_path, [BestCheckpoint()], save_every=7)
    trainer.fit()
    weights = host(trainer.model.layers[0].weight)
    again = make(tmp_path, [BestCheckpoint()], [*LOSSES[:4], *[9.0] * 5])
    again.resume(tmp_path / "step-00000007.npz")
    assert again.callbacks.callbacks[0].best == 0.625
    again.fit()
    assert (tmp_path / "best.npz.superseded").exists()  # of step 9, which was taken back
    # The best until then is lost, so the best since then is kept.
    assert read_manifest(tmp_path / "best.npz")["state"]["last_evaluation"] == [8, 9.0]
    from_best = make(tmp_path, [BestCheckpoint()])
    assert from_best.resume(tmp_path / "best.npz.superseded").name == "best.npz.superseded"
    assert from_best.step == 9
    assert np.array_equal(host(from_best.model.layers[0].weight), weights)
