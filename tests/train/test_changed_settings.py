"""Which settings are refused, and which are told when a run is resumed with others."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.train.regression import make_data, make_model, make_trainer
from tinytrain.optim import SGD, Adam, AdamW
from tinytrain.optim.lr_scheduler import ExponentialLR, StepLR
from tinytrain.train import CheckpointError, EarlyStopping, TrainingParser


def run(out, kind=AdamW, schedule=None, hyper=None, max_steps=4, **settings):
    model = make_model()
    optimizer = kind(model.parameters(), **(hyper or {"lr": 0.1}))
    settings |= {"schedule": schedule(optimizer) if schedule else None, "max_steps": max_steps}
    return make_trainer(model, make_data(), optimizer=optimizer, out=out, **settings)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            {"clip_grad_norm": 1.0},
            {"clip_grad_norm": 0.5},
            "clip_grad_norm is 0.5, and was 1.0 in the checkpoint: 0.5 acts",
        ),
        ({"micro_batch_size": 4}, {"micro_batch_size": 2}, "micro_batch_size is 2, and was 4"),
        ({}, {"batch_norm": "pooled"}, "batch_norm is pooled, and was None"),
        ({}, {"max_steps": 9}, "max_steps is 9, and was 4 in the checkpoint: 9 acts"),
        ({}, {"max_steps": 2}, "max_steps=2 is below the checkpoint's step 4: nothing is left"),
        (
            {},
            {"hyper": {"lr": 0.5}},
            "optimizer lr is 0.5, and was 0.1 in the checkpoint: 0.1 acts",
        ),
        ({}, {"loss": lambda model, batch: None}, "loss_function is"),
        (
            {"schedule": lambda optimizer: StepLR(optimizer, 2)},
            {"schedule": lambda optimizer: StepLR(optimizer, 3)},
            "schedule step_size is 3, and was 2 in the checkpoint: 2 acts",
        ),
        (
            {"callbacks": [EarlyStopping(3)], "eval_every": 2, "validation_loader": [1]},
            {"callbacks": [EarlyStopping(7)], "eval_every": 2, "validation_loader": [1]},
            "EarlyStopping patience is 7, and was 3 in the checkpoint: 7 acts",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_difference_is_a_line(tmp_path, before, after, said, capsys):
    first = run(tmp_path, **before)
    first.step = 4
    first.save()
    run(tmp_path, **before).resume("auto")
    assert " acts" not in capsys.readouterr().out
    run(tmp_path, **after).resume("auto")
    assert said in capsys.readouterr().out


def test_what_acts_is_what_the_next_checkpoint_has(tmp_path, capsys):
    run(tmp_path).save()
    second = run(tmp_path, hyper={"lr": 0.5})
    second.resume("auto")
    second.save()
    capsys.readouterr()
    run(tmp_path, hyper={"lr": 0.5}).resume("auto")
    assert "optimizer lr is 0.5, and was 0.1 in the checkpoint: 0.1 acts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": Adam}, "its optimizer is AdamW, this run has Adam"),
        ({"kind": SGD}, "its optimizer is AdamW, this run has SGD"),
        (
            {"schedule": lambda optimizer: ExponentialLR(optimizer, 0.9)},
            "its schedule is StepLR, this run has ExponentialLR",
        ),
    ],
)
def test_another_class_is_refused_by_name(tmp_path, settings, message):
    schedule = {"schedule": lambda optimizer: StepLR(optimizer, 2)}
    run(tmp_path, **schedule).save()
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path, **{**schedule, **settings}).resume("auto")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"micro_batch_size": 4.0}, ValueError, "micro_batch_size must be a whole number"),
        ({"micro_batch_size": True}, ValueError, "micro_batch_size must be a whole number"),
        ({"micro_batch_size": "x"}, ValueError, "micro_batch_size is a number of rows"),
        ({"log_every": None}, ValueError, "log_every must be a whole number"),
        ({"log_every": True}, ValueError, "log_every must be a whole number"),
        ({"keep_checkpoints": None}, ValueError, "keep_checkpoints must be a whole number"),
        ({"callbacks": EarlyStopping()}, TypeError, "callbacks must be a list"),
        ({"callbacks": [EarlyStopping]}, TypeError, "not the class itself"),
        ({"callbacks": [print]}, TypeError, "a callback is an object of a class made from"),
        ({"clip_grad_norm": "1"}, TypeError, "clip_grad_norm must be a number above 0"),
        ({"clip_grad_norm": True}, TypeError, "clip_grad_norm must be a number above 0"),
        ({"config": {"a": object()}}, TypeError, r"config\['a'\] cannot be saved as JSON"),
        ({"config": {"a": math.nan}}, ValueError, r"config\['a'\] cannot be saved as JSON"),
        ({"config": [1]}, TypeError, "config must be a mapping"),
        ({"config": {1: 2}}, TypeError, "the key 1 of config is no text"),
        ({"out": ""}, ValueError, "out is empty"),
        ({"out": 3}, TypeError, "out must be the path of a folder"),
        ({"item_name": 3}, TypeError, "item_name must be text"),
        ({"loss": None}, TypeError, "the loss function must be callable"),
    ],
)
def test_arguments_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        make_trainer(make_model(), make_data(), **{"max_steps": 1, **settings})


def test_numbers_of_numpy_are_numbers(tmp_path):
    one = np.int64(1)
    trainer = make_trainer(
        make_model(),
        make_data(),
        max_steps=np.int32(2),
        accumulation_steps=one,
        micro_batch_size=np.int64(3),
        log_every=one,
        save_every=one,
        clip_grad_norm=np.float32(1.0),
        out=tmp_path,
    )
    trainer.fit()
    assert type(trainer.max_steps) is type(trainer.micro_batches.size) is int


@pytest.mark.parametrize(
    "words",
    [
        "--warmup-steps -1",
        "--clip-grad -1",
        "--lr nan",
        "--lr inf",
        "--lr x",
        "--weight-decay -1",
        "--max-steps 0",
    ],
)
def test_flags_that_make_no_sense(words, capsys):
    parser = TrainingParser("demo", {}, quick={})
    with pytest.raises(SystemExit):
        parser.parse_args(words.replace(" ", "=").split())
    assert "must be a " in capsys.readouterr().err


def test_losses_that_are_no_numbers_are_said():
    class Run:
        step, stop = 1, print

    reasons = []
    Run.stop = reasons.append
    stopping = EarlyStopping(2)
    for _ in range(2):
        stopping.on_evaluation(Run, math.nan)
    assert reasons == ["the validation loss was NaN or infinite in 2 evaluations"]


def test_the_arguments_of_checkpoint_that_torch_has_are_taken():
    x = tt.ones(2, 2, requires_grad=True)
    tt.checkpoint(tt.exp, x, use_reentrant=False, preserve_rng_state=True).sum().backward()
    assert x.grad is not None
