"""The log: one record per line, none lost to a crash, none written twice."""

import json
import math

import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.train import read_log
from tinytrain.train.log import Meter, RunLog


def write(path, *records, text=""):
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + text)


def start(path, step, total_steps=10):
    log = RunLog(path, total_steps, progress=False)
    log.start_at(step)
    log.close()
    return read_log(path)


def test_floats_survive(tmp_path):
    path = tmp_path / "log.jsonl"
    log = RunLog(path, 3, progress=False)
    log.record(step=1, loss=0.1 + 0.2, lr=1e-300)
    log.record(step=2, loss=1 / 3)
    log.close()
    assert read_log(path) == [
        {"step": 1, "loss": 0.1 + 0.2, "lr": 1e-300},
        {"step": 2, "loss": 1 / 3},
    ]


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, {"step": 1}, {"step": 2}, text='{"step": 3, "lo')
    assert read_log(path) == [{"step": 1}, {"step": 2}]
    assert start(path, 2) == [{"step": 1}, {"step": 2}]
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_resumed_run_keeps_what_it_will_not_write_again(tmp_path):
    path = tmp_path / "log.jsonl"
    records = [
        {"step": 0, "skipped": "a window"},
        {"step": 4, "loss": 1.0},
        {"step": 4, "validation_loss": 2.0},
        {"step": 4, "skipped": "a window"},
        {"step": 6, "loss": 0.5},
        {"step": 6, "validation_loss": 1.5},
    ]
    for step, total, kept in ((0, 9, 0), (3, 9, 1), (4, 9, 3), (5, 9, 4), (6, 9, 6), (6, 6, 5)):
        write(path, *records)
        assert start(path, step, total) == records[:kept]
    write(path, *records)
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_terminal_every_record_is_a_line(capsys):
    log = RunLog(None, 3)
    log.record(step=1, loss=0.123456789, name="run")
    log.close()
    assert capsys.readouterr().out == "step 1  loss 0.1235  name run\n"
    quiet = RunLog(None, 3, progress=False)
    quiet.record(step=1, loss=0.5)
    quiet.close()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


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
