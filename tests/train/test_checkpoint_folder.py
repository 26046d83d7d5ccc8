"""The checkpoints of a folder: which is the newest good one, which are kept, which set aside."""

import errno
import os

import numpy as np
import pytest

from tinytrain.train import CheckpointError, load_checkpoint, save_checkpoint
from tinytrain.train.checkpoint_folder import (
    BEST,
    CheckpointFolder,
    checkpoint_path,
    list_checkpoints,
    step_of,
)


def fill(folder, steps):
    for step in steps:
        save_checkpoint(checkpoint_path(folder, step), {"step": np.array(step)}, {"step": step})


def steps_in(folder):
    return [step_of(path) for path in list_checkpoints(folder)]


def damage(path):
    path.write_bytes(path.read_bytes()[:-9])


def test_the_newest_comes_first_whatever_the_number_of_digits(tmp_path):
    assert list_checkpoints(tmp_path / "missing") == []
    fill(tmp_path, [9, 100, 20, 123_456_789])
    save_checkpoint(tmp_path / "step-30.npz", {}, {})
    for other in ("step-00000040.npz.part", "step-.npz", "final.npz", "xstep-50.npz", BEST):
        (tmp_path / other).touch()
    assert steps_in(tmp_path) == [123_456_789, 100, 30, 20, 9]


@pytest.mark.parametrize("keep", [1, 2, 3, 10])
def test_old_ones_and_stale_temporaries_are_removed(tmp_path, keep):
    fill(tmp_path, [1, 2, 3])
    (tmp_path / "step-00000005.npz.part").write_bytes(b"half")
    (tmp_path / "log.jsonl").touch()
    CheckpointFolder(tmp_path, keep).save(4, {}, {"step": 4})
    assert steps_in(tmp_path) == [4, 3, 2, 1][:keep]
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "log.jsonl").exists()


def test_a_damaged_one_does_not_count_among_those_kept(tmp_path, capsys):
    fill(tmp_path, [1, 2, 3, 4])
    damage(checkpoint_path(tmp_path, 3))
    damage(checkpoint_path(tmp_path, 4))
    checkpoints = CheckpointFolder(tmp_path, keep=2)
    checkpoints.save(5, {}, {"step": 5})
    assert steps_in(tmp_path) == [5, 4, 3, 2]  # 5 and 2 are good
    assert capsys.readouterr().out.count("is no readable checkpoint") == 2
    checkpoints.save(6, {}, {"step": 6})
    assert steps_in(tmp_path) == [6, 5]
    assert capsys.readouterr().out == ""


def test_nothing_is_deleted_before_the_new_one_is_written(tmp_path, monkeypatch):
    fill(tmp_path, [1, 2])

    def full(descriptor):
        assert steps_in(tmp_path) == [2, 1]
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        CheckpointFolder(tmp_path, keep=1).save(3, {"a": np.ones(3)}, {})
    assert steps_in(tmp_path) == [2, 1]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_newest_readable_one_is_found_and_the_others_named(tmp_path, capsys):
    checkpoints = CheckpointFolder(tmp_path, keep=3)
    assert checkpoints.newest_readable() is None
    fill(tmp_path, [1, 2, 3])
    third, second, first = list_checkpoints(tmp_path)
    damage(third)
    second.write_bytes(b"")
    path, arrays, state = checkpoints.newest_readable()
    assert (path, arrays["step"], state["step"]) == (first, 1, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert str(third) in lines[0]
    assert str(second) in lines[1]
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"none of the 3 checkpoints in .* can be read"):
        checkpoints.newest_readable()
    assert CheckpointFolder(tmp_path / "missing", keep=1).newest_readable() is None


def test_later_ones_are_set_aside_not_deleted_when_a_run_starts(tmp_path):
    fill(tmp_path, [5, 10, 15, 20])
    save_checkpoint(tmp_path / BEST, {}, {"step": 15})
    (tmp_path / "best.npz.part").write_bytes(b"half")
    checkpoints = CheckpointFolder(tmp_path, keep=9)
    renamed = checkpoints.start(10, came_from=checkpoint_path(tmp_path, 10))
    assert steps_in(tmp_path) == [10, 5]
    assert sorted(path.name for path in renamed) == [
        "best.npz.superseded",
        "step-00000015.npz.superseded",
        "step-00000020.npz.superseded",
    ]
    assert load_checkpoint(renamed[0])[1] == {"step": 20}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("step", [10, 11])
def test_a_best_one_of_the_past_stays(tmp_path, step):
    save_checkpoint(tmp_path / BEST, {}, {"step": 10})
    assert CheckpointFolder(tmp_path, keep=1).start(step, came_from=None) == []
    assert (tmp_path / BEST).exists()


def test_a_damaged_best_one_is_set_aside(tmp_path):
    (tmp_path / BEST).write_bytes(b"half")
    renamed = CheckpointFolder(tmp_path, keep=1).start(3, came_from=None)
    assert [path.name for path in renamed] == ["best.npz.superseded"]


def test_another_runs_folder_is_refused_and_left_alone(tmp_path):
    fill(tmp_path, [5])
    (tmp_path / "step-00000006.npz.part").touch()
    for came_from in (None, tmp_path / "elsewhere" / "step-00000005.npz"):
        with pytest.raises(FileExistsError, match="another run"):
            CheckpointFolder(tmp_path, keep=1).start(0, came_from)
    assert len(list(tmp_path.iterdir())) == 2
