"""Records as CSV and for TensorBoard, and samples that are looked at."""

import csv
import math
import struct
from types import SimpleNamespace

import pytest

import tinytrain as tt
from tests.train.test_resume import everything, interrupt_after, make_classifier
from tinytrain.train import CsvLog, PrintSamples, TensorBoardLog
from tinytrain.train.callbacks.csv_log import read_csv
from tinytrain.train.callbacks.tensor_board import masked_checksum


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_new_figure_is_a_new_column(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.on_record(None, {"step": 1, "loss": 0.1 + 0.2})
    log.on_record(None, {"step": 1, "validation_loss": math.inf, "note": 'a,"b"\nc'})
    log.on_record(None, {"loss": 3.0, "step": 2})
    assert rows(log.path) == [
        ["step", "loss", "validation_loss", "note"],
        ["1", "0.30000000000000004", "", ""],
        ["1", "", "inf", 'a,"b"\nc'],
        ["2", "3.0", "", ""],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("step", [4, 5])
def test_a_resumed_table_is_that_of_the_straight_run(tmp_path, step):
    def without_times(path):
        return [{k: v for k, v in row.items() if "second" not in k} for row in read_csv(path)]

    def make(out):
        return make_classifier(out, callbacks=[CsvLog(out / "log.csv")], save_every=1, log_every=2)

    straight = make(tmp_path / "straight")
    straight.fit()
    resumed = make(interrupt_after(step, straight.out, tmp_path / "resumed"))
    text = (straight.out / "log.csv").read_text()
    (resumed.out / "log.csv").write_text(text + "9,cut o")
    resumed.resume("auto")
    resumed.fit()
    assert without_times(resumed.out / "log.csv") == without_times(straight.out / "log.csv")


def fields_of(message):
    """Take a protocol buffer apart: pairs of field number and value."""
    position, found = 0, []

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        value, position = message[position : position + size], position + size
        form = {1: "<d", 5: "<f"}.get(key & 7)
        found.append((key >> 3, struct.unpack(form, value)[0] if form else value))
    return found


def events_of(path):
    """Read an event file: the fields of each event."""
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack_from("<Q", content)
        assert struct.unpack_from("<I", content, 8)[0] == masked_checksum(content[:8])
        message = content[12 : 12 + length]
        assert struct.unpack_from("<I", content, 12 + length)[0] == masked_checksum(message)
        events.append(dict(fields_of(message)))
        content = content[16 + length :]
    return events


def test_events_can_be_read(tmp_path):
    log = TensorBoardLog(tmp_path / "board")
    log.on_run_start(SimpleNamespace(step=300))
    log.on_record(None, {"step": 301, "loss": 0.5, "lr": 1e300, "note": "words", "nan": math.nan})
    log.on_record(None, {"step": 302, "skipped": "a window"})
    log.on_run_end(None)
    log.on_run_end(None)
    version, start, event = events_of(log.path)
    assert version[3] == b"brain.Event:2"
    assert (start[2], fields_of(start[7])) == (301, [(1, 1)])
    assert event[2] == 301
    values = [dict(fields_of(value)) for _, value in fields_of(event[5])]
    assert [value[1] for value in values] == [b"loss", b"lr", b"nan"]
    assert values[0][2] == 0.5
    assert values[1][2] == math.inf
    assert math.isnan(values[2][2])


def test_tensorboard_itself_reads_them(tmp_path):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError
    )
    board = TensorBoardLog(tmp_path / "board")
    make_classifier(tmp_path, callbacks=[board], log_every=3).fit()
    records = tt.train.read_log(tmp_path / "log.jsonl")
    accumulator = accumulators.EventAccumulator(str(board.folder))
    accumulator.Reload()
    for name in ("loss", "validation_loss"):
        found = [(one.step, one.value) for one in accumulator.Scalars(name)]
        expected = [(r["step"], r[name]) for r in records if name in r]
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-6)


def test_samples_are_shown_and_change_nothing(tmp_path):
    straight = make_classifier(tmp_path / "straight")
    straight.fit()
    shown = []

    def sample(model):
        assert not model.training
        assert not tt.is_grad_enabled()
        return f"{tt.default_generator().random_int64() > 0} {model(tt.ones(1, 3)).shape}"

    trainer = make_classifier(tmp_path / "shown", callbacks=[PrintSamples(sample, shown.append)])
    trainer.fit()
    assert shown == [f"step {step}: True (1, 2)" for step in (4, 8, 9)]
    assert everything(trainer) == everything(straight)
