"""The log: one record per line, none lost to a crash, none written twice; what a run shows."""

import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.regression import make_data, make_model, make_trainer
from tinytrain.train import JsonLinesLog, ProgressBar, read_log
from tinytrain.train.meter import Meter


def write(path, *records, text=""):
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + text)


def start(path, step, owes_evaluation=False):
    """What is left of a log when a run goes on from a step."""
    trainer = SimpleNamespace(
        step=step, owes_evaluation=lambda: owes_evaluation, last_checkpoint=path
    )
    JsonLinesLog(path).on_run_start(trainer)
    return read_log(path)


def test_floats_survive(tmp_path):
    log = JsonLinesLog(tmp_path / "log.jsonl")
    log.on_record(None, {"step": 1, "loss": 0.1 + 0.2, "lr": 1e-300})
    log.on_record(None, {"step": 2, "loss": 1 / 3, "bad": math.nan, "worse": -math.inf})
    assert read_log(log.path) == [
        {"step": 1, "loss": 0.1 + 0.2, "lr": 1e-300},
        {"step": 2, "loss": 1 / 3, "bad": "nan", "worse": "-inf"},
    ]


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, {"step": 1}, {"step": 2}, text='{"step": 3, "lo')
    assert read_log(path) == [{"step": 1}, {"step": 2}]
    assert start(path, 2) == [{"step": 1}, {"step": 2}]
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


RECORDS = [
    {"step": 0, "skipped": "a window"},
    {"step": 4, "loss": 1.0},
    {"step": 4, "validation_loss": 2.0},
    {"step": 4, "skipped": "a window"},
    {"step": 6, "loss": 0.5},
    {"step": 6, "validation_loss": 1.5},
]


@pytest.mark.parametrize(
    ("step", "owes", "kept"),
    [(0, False, 0), (3, False, 1), (4, False, 3), (5, True, 4), (6, False, 6), (6, True, 5)],
)
def test_a_resumed_run_keeps_what_it_will_not_write_again(tmp_path, step, owes, kept):
    path = tmp_path / "log.jsonl"
    write(path, *RECORDS)
    assert start(path, step, owes) == RECORDS[:kept]
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_terminal_every_record_is_a_line(capsys):
    settings = {"max_steps": 2, "log_every": 2, "lr": 0.0}
    make_trainer(make_model(), make_data(), progress=True, **settings).fit()
    line = capsys.readouterr().out
    assert line.startswith("step 2  epoch 0  loss ")
    assert line.count("\n") == 1
    make_trainer(make_model(), make_data(), **settings).fit()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_shows_a_bar_that_begins_at_the_resumed_step(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = ProgressBar()
    bar.on_run_start(SimpleNamespace(step=3, max_steps=5))
    bar.on_step_end(None, {})
    bar.on_record(None, {"step": 4, "loss": 0.25, "epoch": 1, "items_per_second": 7})
    bar.on_record(None, {"step": 4, "validation_loss": 0.5, "evaluation_seconds": 1.0})
    bar.on_run_end(None)
    bar.on_run_end(None)  # a second end is none
    captured = capsys.readouterr()
    assert captured.out == ""
    for part in ("4/5", "loss=0.25", "items_per_second=7", "validation_loss=0.5"):
        assert part in captured.err
    assert "epoch" not in captured.err


@pytest.mark.usefixtures("device")
def test_a_meter_adds_sums_and_starts_over():
    meter = Meter()
    assert math.isnan(meter.read()[0])
    meter.add(tt.tensor(6.0), 4, 0.5)
    meter.add(tt.tensor(2.0), 1, 0.5)
    assert meter.read() == (8 / 5, 5.0)
    assert math.isnan(meter.read()[0])


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("as_array", [False, True])
def test_the_state_of_a_meter(as_array):
    meter, other = Meter(), Meter()
    other.load_state_dict(meter.state_dict())
    assert math.isnan(other.read()[0])
    meter.add(tt.tensor(6.0), 4, 0.5)
    state = meter.state_dict()
    if as_array:
        state["loss_sum"] = host(state["loss_sum"])
    other.load_state_dict(state)
    for one in (meter, other):
        one.add(tt.tensor(2.0), 1, 0.5)
    assert meter.read() == other.read() == (8 / 5, 5.0)


@pytest.mark.parametrize(
    "line", [b"\xff", b"3", b"null", b'{"step": "a"}', b"\0\0\0", b"[" * 99_999]
)
def test_damaged_lines_are_set_aside_and_named(tmp_path, line, capsys):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    assert read_log(path) == [{"step": 1}, {"step": 2}]
    assert start(path, 2) == [{"step": 1}, {"step": 2}]
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'
    assert (tmp_path / "log.jsonl.damaged").read_bytes() == line + b"\n"
    assert f"1 lines of {path} are no records" in capsys.readouterr().out


def test_figures_of_numpy_and_tensors_are_plain_numbers(tmp_path):
    class Figures(tt.train.Callback):
        def on_log(self, trainer, record):
            record |= {"a": np.float32(1.5), "b": np.int64(3), "c": tt.ones(3).sum()}

    callbacks = [
        Figures(),
        tt.train.CsvLog(tmp_path / "new" / "log.csv"),
        tt.train.TensorBoardLog(tmp_path / "board"),
    ]
    make_trainer(
        make_model(), make_data(), callbacks=callbacks, max_steps=1, out=tmp_path / "run"
    ).fit()
    record = read_log(tmp_path / "run" / "log.jsonl")[-1]
    assert (record["a"], record["b"], record["c"]) == (1.5, 3, 3.0)
    assert (tmp_path / "new" / "log.csv").read_text().splitlines()[1].endswith("1.5,3,3.0")
    assert b"\x0a\x01c\x15" in callbacks[2].path.read_bytes()
    with pytest.raises(TypeError, match="the figure 'x' of a log record is a ndarray"):
        JsonLinesLog(tmp_path / "x.jsonl").on_record(None, {"step": 1, "x": np.ones(3)})


def test_a_fresh_run_keeps_what_another_has_logged(tmp_path, capsys):
    def run(steps):
        callbacks = [tt.train.CsvLog(tmp_path / "log.csv"), tt.train.TensorBoardLog(tmp_path)]
        make_trainer(make_model(), make_data(), callbacks=callbacks, max_steps=steps).fit()

    run(3)
    before = (tmp_path / "log.csv").read_text()
    run(2)
    assert (tmp_path / "log.csv.superseded").read_text() == before
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert len(list((tmp_path / "superseded").iterdir())) == 1
    assert len(list(tmp_path.glob("events*"))) == 1
    assert capsys.readouterr().out.count("set aside") == 2
