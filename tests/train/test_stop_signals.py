"""A signal stops a run at the next safe moment, saved; the run is continued bit for bit."""

import itertools
import os
import signal
import threading

import pytest

from tests.train.test_resume import STEPS, everything, make_classifier
from tinytrain.models import classification_loss
from tinytrain.train import EarlyStopping
from tinytrain.train.checkpoint_folder import list_checkpoints, step_of
from tinytrain.train.stop_signals import StopSignals


def signalled_at(number, sent, wanted=classification_loss):
    """A loss function that sends this process a signal at a call."""
    calls = itertools.count(1)

    def loss_function(model, batch):
        if next(calls) == number:
            os.kill(os.getpid(), sent)
        return wanted(model, batch)

    return loss_function


def stop(trainer, sent):
    if sent == signal.SIGINT:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit()
    else:
        with pytest.raises(SystemExit) as left:
            trainer.fit()
        assert left.value.code == 143


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    trainer = make_classifier(tmp_path_factory.mktemp("straight"))
    result = trainer.fit()
    return everything(trainer), result


@pytest.mark.parametrize(
    ("call", "sent"),
    [*zip((1, 2, 7, 8, 9, 10, 11, 22), 4 * (signal.SIGINT, signal.SIGTERM), strict=True)],
)
def test_a_stopped_run_is_continued_bit_for_bit(tmp_path, straight, call, sent):
    """Calls 8 to 10 are those of the first evaluation, after step 4."""
    trainer = make_classifier(tmp_path)
    trainer.loss_function = signalled_at(call, sent)
    stop(trainer, sent)
    assert trainer.last_checkpoint is not None
    assert step_of(list_checkpoints(tmp_path)[0]) == trainer.step
    resumed = make_classifier(tmp_path)
    resumed.resume("auto")
    result = resumed.fit()
    assert everything(resumed) == straight[0]
    assert result.validation_loss == straight[1].validation_loss


def test_the_same_trainer_goes_on_after_ctrl_c(tmp_path, straight):
    trainer = make_classifier(tmp_path)
    trainer.loss_function = signalled_at(5, signal.SIGINT)
    stop(trainer, signal.SIGINT)
    trainer.loss_function = classification_loss
    trainer.fit()
    assert everything(trainer) == straight[0]


def test_no_further_micro_batch_is_begun(tmp_path):
    calls = []

    def counted(model, batch):
        calls.append(1)
        return classification_loss(model, batch)

    trainer = make_classifier(tmp_path)
    trainer.loss_function = signalled_at(3, signal.SIGTERM, counted)
    stop(trainer, signal.SIGTERM)
    assert len(calls) == 3


def test_a_second_signal_stops_at_once(tmp_path):
    reached = []

    def impatient(model, batch):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("after the first")
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("after the second")
        return classification_loss(model, batch)

    trainer = make_classifier(tmp_path)
    trainer.loss_function = impatient
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert reached == ["after the first"]
    assert list_checkpoints(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_folder_ctrl_c_is_as_ever():
    reached = []

    def loss_function(model, batch):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)

    trainer = make_classifier(None)
    trainer.loss_function = loss_function
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert reached == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_earlier_handlers_are_called_after_saving_and_put_back(tmp_path, sent):
    seen = []

    def mine(number, frame):
        seen.append((number, len(list_checkpoints(tmp_path))))

    before = signal.signal(sent, mine)
    try:
        trainer = make_classifier(tmp_path)
        trainer.loss_function = signalled_at(3, sent)
        stop(trainer, sent)
        assert signal.getsignal(sent) is mine
    finally:
        signal.signal(sent, before)
    assert seen == [(sent, 1)]


def test_handlers_are_put_back_after_a_run_and_after_an_error(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    make_classifier(tmp_path / "a").fit()
    trainer = make_classifier(tmp_path / "b")
    trainer.loss_function = None
    with pytest.raises(TypeError):
        trainer.fit()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        trainer = make_classifier(tmp_path)
        trainer.loss_function = signalled_at(3, signal.SIGINT)
        assert trainer.fit().step == STEPS
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_trains_without_handlers(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(make_classifier(tmp_path).fit()))
    thread.start()
    thread.join()
    assert results[0].step == STEPS


def test_a_signal_after_the_last_step_ends_a_whole_run(tmp_path, straight):
    class Late(EarlyStopping):
        def on_run_end(self, trainer):
            os.kill(os.getpid(), signal.SIGTERM)

    trainer = make_classifier(tmp_path, callbacks=[Late(99)])
    stop(trainer, signal.SIGTERM)
    assert everything(trainer)["model"] == straight[0]["model"]


def test_a_signal_is_forgotten_by_the_next_run():
    signals = StopSignals()
    with signals.noticed():
        os.kill(os.getpid(), signal.SIGTERM)
    with signals.noticed():
        signals.check()
