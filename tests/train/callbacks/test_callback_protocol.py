"""When callbacks are called, in which order, and that their states survive."""

import numpy as np
import pytest

import tinytrain as tt
from tests.train.regression import make_data, make_model, make_trainer
from tests.train.test_resume import everything, make_classifier
from tinytrain.data import DataLoader
from tinytrain.train import Callback, load_checkpoint
from tinytrain.train.callback_list import CallbackList


class Diary(Callback):
    """Writes down each call."""

    def __init__(self):
        self.calls = []

    def on_run_start(self, trainer):
        self.calls.append(("start", trainer.step))

    def on_window_start(self, trainer):
        self.calls.append(("window", trainer.step))

    def on_micro_batch(self, trainer, items):
        self.calls.append(("micro-batch", items))

    def on_step_end(self, trainer, record):
        assert isinstance(record["loss_sum"], tt.Tensor)
        assert isinstance(record["grad_norm"], tt.Tensor)
        self.calls.append(("step", record["step"], record["items"]))

    def on_log(self, trainer, record):
        record["noted"] = len(self.calls)

    def on_record(self, trainer, record):
        self.calls.append(("record", *(name for name in record if name in ("loss", "noted"))))

    def on_evaluation(self, trainer, loss):
        self.calls.append(("evaluation", trainer.step))

    def on_run_end(self, trainer):
        self.calls.append(("end", trainer.step))


@pytest.mark.usefixtures("device")
def test_the_order_of_calls(tmp_path):
    data, diary = make_data(10, counts=[1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), Diary()
    trainer = make_trainer(
        make_model(),
        data,
        accumulation_steps=2,
        max_steps=2,
        log_every=2,
        eval_every=1,
        validation_loader=DataLoader(data, 10),
        callbacks=[diary],
        out=tmp_path,
    )
    trainer.fit()
    step = [("micro-batch", 4), ("micro-batch", 1)]
    evaluation = [("record",), ("evaluation", 1)]
    assert diary.calls == [
        ("start", 0),
        ("window", 0),
        *step,
        ("step", 1, 5),
        *evaluation,
        ("window", 1),  # the epoch's last micro-batch, without items: skipped
        ("record",),
        ("window", 1),
        *step,
        ("step", 2, 5),
        ("record", "loss", "noted"),
        ("record",),
        ("evaluation", 2),
        ("end", 2),
    ]
    records = tt.train.read_log(tmp_path / "log.jsonl")
    assert [record["noted"] for record in records if "loss" in record] == [13]


def test_the_end_is_told_after_an_error_to_all():
    class Failing(Callback):
        def on_run_end(self, trainer):
            raise RuntimeError("at the end")

    def loss_function(model, batch):
        raise ZeroDivisionError

    first, last = Diary(), Diary()
    trainer = make_trainer(
        make_model(),
        make_data(),
        loss=loss_function,
        max_steps=1,
        callbacks=[first, Failing(), last],
    )
    with pytest.raises(RuntimeError, match="at the end"):
        trainer.fit()
    assert first.calls[-1] == last.calls[-1] == ("end", 0)


class Steps(Callback):
    """Counts steps; keeps its count in a tensor, an array and a number."""

    def __init__(self):
        self.count, self.array, self.tensor = 0, np.zeros(2), tt.zeros(2)

    def on_step_end(self, trainer, record):
        self.count += 1
        self.array = self.array + 1
        self.tensor = self.tensor + 1

    def state_dict(self):
        return {"count": self.count, "array": self.array, "tensor": self.tensor}

    def load_state_dict(self, state):
        self.count, self.array = state["count"], state["array"]
        self.tensor = (
            state["tensor"]
            if isinstance(state["tensor"], tt.Tensor)
            else tt.tensor(state["tensor"])
        )


@pytest.mark.usefixtures("device")
def test_states_survive_a_checkpoint(tmp_path, capsys):
    make_classifier(tmp_path, callbacks=[Steps(), Steps(), Diary()], max_steps=4).fit()
    state = load_checkpoint(tmp_path / "step-00000004.npz")[1]["callbacks"]
    assert list(state) == ["Steps", "Steps-2"]
    first, second = Steps(), Steps()
    longer = make_classifier(tmp_path, callbacks=[first, second], max_steps=6)
    longer.resume("auto")
    assert "callbacks" not in capsys.readouterr().out
    longer.fit()
    for steps in (first, second):
        assert (steps.count, steps.array.tolist(), steps.tensor.tolist()) == (6, [6] * 2, [6.0] * 2)


def test_callbacks_that_come_and_go_are_named(tmp_path, capsys):
    make_classifier(tmp_path, callbacks=[Steps(), Steps()], max_steps=2).fit()
    make_classifier(tmp_path, callbacks=[Steps()], max_steps=3).resume("auto")
    said = capsys.readouterr().out
    assert "this run lacks callbacks that the checkpoint has a state of: Steps-2" in said
    make_classifier(tmp_path, callbacks=[Steps()] * 3, max_steps=3).resume("auto")
    assert "have no state" not in capsys.readouterr().out.replace("has no state of begin", "")


def test_a_state_that_does_not_fit_changes_nothing(tmp_path):
    class Choosy(Steps):
        def load_state_dict(self, state):
            if state["count"] == 2:
                raise ValueError("not two")
            super().load_state_dict(state)

    make_classifier(tmp_path, callbacks=[Choosy()], max_steps=2).fit()
    other = make_classifier(tmp_path, callbacks=[Choosy()])
    before = everything(other)
    with pytest.raises(tt.train.CheckpointError, match="not two"):
        other.resume("auto")
    assert everything(other) == before


def test_a_stop_ends_the_run_as_its_last_step_would(tmp_path):
    class Enough(Callback):
        def on_step_end(self, trainer, record):
            if record["step"] == 3:
                trainer.stop("three are enough")
                trainer.stop("not said")

    trainer = make_classifier(tmp_path, callbacks=[Enough()], log_every=5)
    result = trainer.fit()
    assert (result.step, result.stopped) == (3, "three are enough")
    assert result.checkpoint.name == "step-00000003.npz"
    records = tt.train.read_log(tmp_path / "log.jsonl")
    assert [(r["step"], "loss" in r) for r in records] == [(3, True), (3, False)]
    assert result.validation_loss == records[-1]["validation_loss"]
    assert result.training_loss == records[0]["loss"]


def test_blocks_of_evaluation_are_left_in_reverse_order():
    from contextlib import contextmanager

    order = []

    class Block(Callback):
        def __init__(self, name):
            self.name = name

        @contextmanager
        def during_evaluation(self, trainer):
            order.append(f"enter {self.name}")
            yield
            order.append(f"leave {self.name}")

    with CallbackList([Block("a"), Callback(), Block("b")]).during_evaluation(None):
        order.append("evaluate")
    assert order == ["enter a", "enter b", "evaluate", "leave b", "leave a"]
