"""A run that is interrupted after any step and resumed equals the run that was not, bit for bit."""

import itertools
import json
import shutil

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import CAPACITY, LENGTHS, make_gpt, sequences
from tinytrain.data import DataLoader, PackedDataset, TensorDataset, collate_packed, plan_packing
from tinytrain.models import MLP, classification_loss, language_model_loss
from tinytrain.train import CheckpointError, load_checkpoint, read_log
from tinytrain.train.checkpoint_folder import list_checkpoints
from tinytrain.train.micro_batches import MicroBatches

on_every_device = pytest.mark.usefixtures("device")

STEPS = 9
TIMES = ("items_per_second", "evaluation_seconds")


def make_classifier(out, generator=7, last_window="step", accumulation_steps=2, **settings):
    """Seven micro-batches of two rows; batch normalisation, dropout from two generators."""
    tt.manual_seed(0)
    source = np.random.default_rng(1)
    data = TensorDataset(
        source.normal(size=(14, 3)).astype(np.float32), source.integers(0, 2, size=14)
    )
    model = MLP([3, 6, 5, 2], batch_norm=True, dropout=0.2)
    model.layers.append(tt.nn.Dropout(0.1, generator=tt.Generator(5)))
    optimizer = tt.optim.AdamW(model.parameters(), lr=0.05)
    return tt.Trainer(
        model,
        optimizer,
        classification_loss,
        DataLoader(data, 2, shuffle=True, generator=generator),
        accumulation_steps=accumulation_steps,
        last_window=last_window,
        schedule=tt.optim.WarmupCosine(optimizer, 2, STEPS),
        clip_grad_norm=1.0,
        batch_norm="pooled",
        validation_loader=DataLoader(data, 5, shuffle=True),
        out=out,
        progress=False,
        **{"max_steps": STEPS, "log_every": 5, "eval_every": 4, "keep_checkpoints": 99, **settings},
    )


def make_language_model(out, generator=7, **settings):
    data = PackedDataset(sequences(), plan_packing(LENGTHS, CAPACITY))
    model = make_gpt("float32", dropout=0.1)
    optimizer = tt.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = DataLoader(data, 2, shuffle=True, generator=generator, collate_fn=collate_packed)
    settings = {"max_steps": 8, "log_every": 3, "keep_checkpoints": 99, **settings}
    return tt.Trainer(
        model, optimizer, language_model_loss, loader, out=out, progress=False, **settings
    )


def everything(trainer):
    """All that a run has, as comparable values; arrays by their bytes."""

    def plain(value):
        if hasattr(value, "shape"):
            array = host(value)
            return array.dtype.str, array.shape, array.tobytes()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return {
        "model": plain(trainer.model.state_dict()),
        "optimizer": plain(trainer.optimizer.state_dict()),
        "schedule": trainer.schedule and trainer.schedule.state_dict(),
        "windows": trainer.windows.state_dict(),
        "step": trainer.step,
        "log": records(trainer.out),
    }


def records(folder):
    found = read_log(folder / "log.jsonl")
    return [{key: value for key, value in one.items() if key not in TIMES} for one in found]


def interrupt_after(step, straight, folder):
    """What a run leaves that was killed after a step: its checkpoint, and a log that went on."""
    folder.mkdir()
    shutil.copy(straight / f"step-{step:08d}.npz", folder)
    shutil.copy(straight / "log.jsonl", folder)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 1, "lo')  # cut off by the kill
    return folder


def killed_at_call(number):
    """A loss function that breaks the run off."""
    calls = itertools.count(1)

    def loss_function(model, batch):
        if next(calls) == number:
            raise KeyboardInterrupt
        return classification_loss(model, batch)

    return loss_function


def check_every_interruption(make, tmp_path, **settings):
    straight = make(tmp_path / "straight", save_every=1, **settings)
    result = straight.fit()
    expected = everything(straight)
    assert len(list_checkpoints(straight.out)) == straight.max_steps
    last = straight.max_steps - 1
    for step in range(1, last + 1) if tt.get_device() == "cpu" else (last // 2,):
        resumed = make(interrupt_after(step, straight.out, tmp_path / str(step)), **settings)
        tt.default_generator().random_int64()  # whatever else the new process has drawn
        assert resumed.resume("auto").name == f"step-{step:08d}.npz"
        assert resumed.step == step
        again = resumed.fit()
        assert everything(resumed) == expected
        assert (again.training_loss, again.validation_loss, again.epoch) == (
            result.training_loss,
            result.validation_loss,
            result.epoch,
        )


@on_every_device
@pytest.mark.parametrize("generator", [7, None])
@pytest.mark.parametrize("last_window", ["step", "carry", "drop"])
def test_a_classifier(tmp_path, last_window, generator):
    """Seven micro-batches per epoch in windows of two: an epoch's end comes in every position."""
    check_every_interruption(
        make_classifier, tmp_path, last_window=last_window, generator=generator
    )


@on_every_device
@pytest.mark.parametrize("generator", [7, None])
def test_windows_that_end_with_the_epoch(tmp_path, generator):
    check_every_interruption(
        make_classifier, tmp_path, accumulation_steps=7, generator=generator, max_steps=4
    )


@on_every_device
@pytest.mark.parametrize("generator", [7, None])
def test_a_language_model_on_packed_rows(tmp_path, generator):
    check_every_interruption(make_language_model, tmp_path, generator=generator)


@on_every_device
def test_a_run_may_be_interrupted_again_and_again(tmp_path):
    straight = make_classifier(tmp_path / "straight")
    straight.fit()
    finished = False
    while not finished:
        trainer = make_classifier(tmp_path / "interrupted", save_every=1)
        trainer.resume("auto")
        trainer.loss_function = killed_at_call(7)  # in a step, or in an evaluation
        try:
            trainer.fit()
            finished = True
        except KeyboardInterrupt:
            assert trainer.step < STEPS or trainer.last_checkpoint.name == "step-00000009.npz"
    assert everything(trainer) == everything(straight)


@on_every_device
def test_a_finished_run_that_is_resumed_says_nothing_twice(tmp_path):
    trainer = make_classifier(tmp_path, save_every=3)
    result = trainer.fit()
    before = everything(trainer)
    again = make_classifier(tmp_path, save_every=3)
    assert again.resume("auto").name == f"step-{STEPS:08d}.npz"
    assert again.fit().validation_loss == result.validation_loss
    assert everything(again) == before


def test_a_finished_run_can_be_made_longer(tmp_path):
    make_classifier(tmp_path, max_steps=6).fit()
    longer = make_classifier(tmp_path, max_steps=9)
    longer.resume("auto")
    longer.fit()
    steps = [record["step"] for record in records(tmp_path) if "loss" in record]
    assert steps == [5, 6, 9]
    validations = [r["step"] for r in records(tmp_path) if "validation_loss" in r]
    assert validations == [4, 6, 8, 9]


@on_every_device
def test_skipped_windows_are_not_logged_twice(tmp_path):
    def make(out):
        trainer = make_classifier(out, generator=None, save_every=1, max_steps=4)
        trainer.windows.loader.dataset.tensors[1][:4] = -100
        trainer.windows.loader = DataLoader(trainer.windows.loader.dataset, 2)

        def loss_function(model, batch):
            return classification_loss(model, batch)[0], int((host(batch[1]) >= 0).sum())

        trainer.loss_function = loss_function
        return trainer

    straight = make(tmp_path / "straight")
    straight.fit()
    expected = everything(straight)
    skipped = [record["step"] for record in expected["log"] if "skipped" in record]
    assert skipped == [0, 3]  # the first window of each epoch
    for step in (1, 2, 3):
        resumed = make(interrupt_after(step, straight.out, tmp_path / str(step)))
        resumed.resume("auto")
        resumed.fit()
        assert everything(resumed) == expected


# ---------------------------------------------------------------- choosing and refusing


def test_nothing_to_resume(tmp_path):
    trainer = make_classifier(tmp_path / "new")
    assert trainer.resume("auto") is None
    assert trainer.fit().step == STEPS
    with pytest.raises(FileNotFoundError):
        trainer.resume(tmp_path / "step-00000001.npz")
    nowhere = make_classifier(None)
    with pytest.raises(ValueError, match="resuming with 'auto' needs a folder"):
        nowhere.resume("auto")
    with pytest.raises(ValueError, match="saving needs a folder"):
        nowhere.save()


def test_auto_skips_a_damaged_newest_and_names_it(tmp_path, capsys):
    straight = make_classifier(tmp_path / "straight", save_every=4)
    straight.fit()
    folder = shutil.copytree(straight.out, tmp_path / "damaged")
    newest = list_checkpoints(folder)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = make_classifier(folder, save_every=4, keep_checkpoints=1)
    assert resumed.resume("auto").name == "step-00000008.npz"
    assert f"{newest} is no readable checkpoint" in capsys.readouterr().out
    result = resumed.fit()
    assert everything(resumed) == everything(straight)
    assert list_checkpoints(folder) == [result.checkpoint]
    load_checkpoint(result.checkpoint)


def test_going_back_sets_the_former_future_aside(tmp_path, capsys):
    straight = make_classifier(tmp_path / "run", save_every=4)
    straight.fit()
    back = make_classifier(straight.out, save_every=2, keep_checkpoints=2)
    back.resume(straight.out / "step-00000004.npz")
    back.loss_function = killed_at_call(5)
    with pytest.raises(KeyboardInterrupt):
        back.fit()
    assert "set aside, for the run goes on from step 4: " in capsys.readouterr().out
    # What was written last is there, and is what a restart takes.
    assert [path.name for path in list_checkpoints(straight.out)] == [
        "step-00000006.npz",
        "step-00000004.npz",
    ]
    assert load_checkpoint(straight.out / "step-00000009.npz.superseded")[1]["step"] == 9
    again = make_classifier(straight.out)
    assert again.resume("auto").name == "step-00000006.npz"
    again.fit()
    assert records(again.out) == records(straight.out)


def test_the_checkpoints_of_another_run_are_not_mixed_with(tmp_path):
    first = make_classifier(tmp_path / "first")
    first.fit()
    with pytest.raises(FileExistsError, match="holds checkpoints of another run"):
        make_classifier(tmp_path / "first").fit()
    second = make_classifier(tmp_path / "second", max_steps=3)
    second.fit()
    mixed = make_classifier(tmp_path / "first")
    mixed.resume(tmp_path / "second" / "step-00000003.npz")
    with pytest.raises(FileExistsError, match="another run"):
        mixed.fit()
    branch = make_classifier(tmp_path / "branch")
    branch.resume(tmp_path / "second" / "step-00000003.npz")
    assert branch.fit().step == STEPS


@pytest.mark.parametrize("keep", [1, 2])
def test_the_newest_checkpoints_are_kept(tmp_path, keep):
    make_classifier(tmp_path, save_every=4, keep_checkpoints=keep).fit()
    names = [f"step-{step:08d}.npz" for step in (9, 8, 4)]
    assert [path.name for path in list_checkpoints(tmp_path)] == names[:keep]


def others():
    """Runs that a checkpoint of `make_classifier` does not fit, and what the message says."""

    def another_model(out):
        trainer = make_classifier(out)
        trainer.model = MLP([3, 6, 4, 2], batch_norm=True)
        trainer.optimizer = tt.optim.AdamW(trainer.model.parameters())
        trainer.schedule = tt.optim.WarmupCosine(trainer.optimizer, 2, STEPS)
        return trainer

    def another_optimizer(out):
        trainer = make_classifier(out)
        parameters = list(trainer.model.parameters())
        trainer.optimizer = trainer.schedule = trainer.micro_batches = None  # frees the parameters
        trainer.optimizer = tt.optim.SGD(parameters, momentum=0.9)
        trainer.micro_batches = MicroBatches(trainer.model, trainer.optimizer, None)
        trainer.schedule = tt.optim.WarmupCosine(trainer.optimizer, 2, STEPS)
        return trainer

    def without_schedule(out):
        trainer = make_classifier(out)
        trainer.schedule = None
        return trainer

    def another_loader(out):
        trainer = make_classifier(out)
        data = trainer.windows.loader.dataset
        trainer.windows.loader = DataLoader(data, 3, shuffle=True, generator=7)
        return trainer

    def another_order(out):
        trainer = make_classifier(out)
        trainer.windows.loader = DataLoader(trainer.windows.loader.dataset, 2)
        return trainer

    def another_generator(out):
        trainer = make_classifier(out)
        trainer.model.layers[-1].generator = None
        return trainer

    return {
        another_model: "mismatch: layers.4.weight",
        another_optimizer: "the state is of AdamW, not of SGD",
        without_schedule: "only one of the checkpoint and this run has a schedule",
        another_loader: "7 batches per epoch, but this one has 5",
        another_order: "the state is of a loader with another order",
        another_generator: "it has 2 generators, not 1",
    }


@on_every_device
@pytest.mark.parametrize(
    ("make", "message"),
    others().items(),
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path, make, message):
    trainer = make_classifier(tmp_path / "saved", max_steps=3)
    path = trainer.fit().checkpoint
    other = make(tmp_path / "other")
    other.out.mkdir()
    (other.out / "log.jsonl").touch()
    other.model(tt.ones(4, 3)).sum().backward()
    other.optimizer.step()
    before = everything(other), tt.default_generator().get_state()
    with pytest.raises(CheckpointError, match=message) as refused:
        other.resume(path)
    assert str(path) in str(refused.value)
    assert (everything(other), tt.default_generator().get_state()) == before
    assert other.last_checkpoint is None


@pytest.mark.parametrize("part", ["model", "meter", "windows", "step", "random"])
def test_a_checkpoint_without_a_part_is_named(tmp_path, part):
    from tinytrain.train import save_checkpoint

    path = make_classifier(tmp_path / "saved", max_steps=1).fit().checkpoint
    arrays, state = load_checkpoint(path)
    del state[part]
    save_checkpoint(path, arrays, state)
    with pytest.raises(CheckpointError, match=f"is no checkpoint of a run: it has no {part}"):
        make_classifier(None).resume(path)


def test_the_configuration_is_in_the_checkpoint(tmp_path):
    config = {"lr": 0.1 + 0.2, "layers": [1, 2], "name": "run"}
    path = make_classifier(tmp_path, max_steps=1, config=config).fit().checkpoint
    assert load_checkpoint(path)[1]["config"] == config
    with np.load(path, allow_pickle=False) as file:
        state = json.loads(file["manifest.json"])
    assert state["state"]["config"]["lr"] == 0.1 + 0.2
