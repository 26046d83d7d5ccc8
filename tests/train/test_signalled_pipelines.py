"""Signals that end others too: the reader of what is printed, and the workers of the loader."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinytrain as tt
from tests.train.regression import make_data, make_model, make_trainer
from tests.train.test_resume import everything, make_classifier
from tests.train.test_stop_signals import stop
from tinytrain.data import DataLoader
from tinytrain.models import classification_loss
from tinytrain.train import Callback, load_checkpoint, say
from tinytrain.train.checkpoint_folder import list_checkpoints

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals to groups of processes")


def begin(folder, workers, unbuffered):
    """Start a run that writes to a pipe, and wait for its first step."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.train.signalled_pipeline", str(folder), str(workers)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert b"step 1" in process.stdout.readline()
    return process


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]
)
def test_the_reader_of_a_pipe_is_gone(tmp_path, unbuffered, sent, status):
    process = begin(tmp_path / "run", 0, unbuffered)
    process.send_signal(sent)
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=30) == status, said
    assert f"{sent.name}: stopping at the next safe moment" in said
    load_checkpoint(list_checkpoints(tmp_path / "run")[0])


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.15, 0.4])
def test_a_signal_to_the_workers_too(tmp_path, delay):
    """Epochs of three batches: workers are started, work and end all the time."""
    process = begin(tmp_path / "run", 2, "1")
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 143, said
    load_checkpoint(list_checkpoints(tmp_path / "run")[0])


class Failing(DataLoader):
    """Its workers are ended by the signal that the run gets."""

    fails_at = 4

    def __iter__(self):
        for number, batch in enumerate(super().__iter__()):
            if number == self.fails_at:
                os.kill(os.getpid(), signal.SIGTERM)
                raise RuntimeError("a worker died")
            yield batch


def test_an_error_of_the_loader_after_a_signal_is_a_part_of_it(tmp_path):
    straight = make_classifier(tmp_path / "straight")
    straight.fit()
    trainer = make_classifier(tmp_path / "run")
    whole = trainer.windows.loader
    failing = Failing(whole.dataset, 2, shuffle=True, generator=7)
    trainer.windows.loader = failing
    stop(trainer, signal.SIGTERM)
    assert trainer.step == 2
    resumed = make_classifier(tmp_path / "run")
    resumed.resume("auto")
    resumed.fit()
    assert everything(resumed) == everything(straight)


def test_an_error_of_the_loader_without_a_signal_is_an_error(tmp_path):
    trainer = make_classifier(tmp_path)
    trainer.windows.loader = Failing(trainer.windows.loader.dataset, 2, shuffle=True, generator=7)
    trainer.windows.loader.fails_at = 99
    trainer.loss_function = None
    with pytest.raises(TypeError):
        trainer.fit()


class Pipe:
    """An output whose reader is gone."""

    encoding = "utf-8"

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self):
        return False


class Ascii(Pipe):
    """An output that knows few letters."""

    encoding = "ascii"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text.encode("ascii").decode()

    def flush(self):
        pass


def test_what_cannot_be_printed_ends_no_run(tmp_path, monkeypatch):
    output = Ascii()
    monkeypatch.setattr(sys, "stdout", output)
    model, data = make_model(), make_data()
    folder = tmp_path / "größe-\udcff"
    try:
        folder.mkdir()
    except (OSError, ValueError):
        folder = tmp_path / "größe"
    make_trainer(model, data, max_steps=2, out=folder, progress=True, item_name="größe").fit()
    assert "gr\\xf6\\xdfe_per_second" in output.text
    monkeypatch.setattr(sys, "stdout", Pipe())
    make_trainer(model, data, max_steps=2, progress=True).fit()
    monkeypatch.setattr(sys, "stdout", None)
    make_trainer(model, data, max_steps=2, progress=True).fit()
    say.say("nobody listens")


def test_callbacks_after_one_whose_print_fails_see_the_step_too(tmp_path):
    """The average takes in the step at which the pipe breaks: the run is as the straight one."""

    class Broken(Callback):
        def on_step_end(self, trainer, record):
            if record["step"] == at:
                os.kill(os.getpid(), signal.SIGTERM)
                raise BrokenPipeError

    def run(folder):
        trainer = make_classifier(folder, callbacks=[Broken()])
        average = tt.train.ExponentialMovingAverage(trainer.model, 0.5)
        trainer.callbacks.callbacks.append(average)
        return trainer, average

    at = 0
    straight, expected = run(tmp_path / "straight")
    straight.fit()
    at = 5
    trainer, _ = run(tmp_path / "run")
    stop(trainer, signal.SIGTERM)
    resumed, average = run(tmp_path / "run")
    resumed.resume("auto")
    at = 0
    resumed.fit()
    assert everything(resumed) == everything(straight)
    for name, value in expected.state_dict()["average"].items():
        assert np.array_equal(value, average.state_dict()["average"][name])


def test_a_print_that_fails_in_a_step_takes_it_back(tmp_path):
    straight = make_classifier(tmp_path / "straight")
    straight.fit()
    trainer = make_classifier(tmp_path / "run")
    calls = []

    def broken(model, batch):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            raise BrokenPipeError
        return classification_loss(model, batch)

    trainer.loss_function = broken
    stop(trainer, signal.SIGINT)
    resumed = make_classifier(tmp_path / "run")
    resumed.resume("auto")
    resumed.fit()
    assert everything(resumed) == everything(straight)
