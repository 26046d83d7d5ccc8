"""A process that is killed in mid-training, and another one that finishes its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.train.test_resume import everything, make_classifier
from tinytrain.train import read_log
from tinytrain.train.checkpoint_folder import list_checkpoints, step_of

ROOT = Path(__file__).parents[2]


def run(folder, *killed_at_call):
    command = [
        sys.executable,
        "-m",
        "tests.train.killed_run",
        str(folder),
        *map(str, killed_at_call),
    ]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # the same sums in every process
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def losses(folder):
    return [(record["step"], record["loss"]) for record in read_log(folder / "log.jsonl")]


def test_a_killed_run_is_finished_by_another_process(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run(straight).returncode == 0

    assert run(killed, 14).returncode == -signal.SIGKILL  # in the seventh step of two calls
    assert not (killed / "final.npz").exists()
    (killed / "step-00000008.npz.part").write_bytes(b"of another, unluckier kill")
    resumed = run(killed)
    assert resumed.returncode == 0, resumed.stderr
    assert "step-00000006.npz" in resumed.stdout

    with np.load(straight / "final.npz") as expected, np.load(killed / "final.npz") as found:
        assert set(found) == set(expected)
        for name in expected:
            assert found[name].tobytes() == expected[name].tobytes(), name
    assert losses(killed) == losses(straight)
    assert [step for step, _ in losses(killed)] == [3, 6, 9, 10]
    assert not list(killed.glob("*.part"))


@pytest.mark.slow
def test_every_step_is_continued_by_another_process(tmp_path):
    """Killed in the middle of each of the ten steps in turn, at one process a step."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run(straight).returncode == 0
    for _ in range(9):
        assert run(killed, 6).returncode == -signal.SIGKILL  # two steps are made, then the third
        if step_of(list_checkpoints(killed)[0]) >= 8:
            break
    assert run(killed).returncode == 0
    with np.load(straight / "final.npz") as expected, np.load(killed / "final.npz") as found:
        for name in expected:
            assert found[name].tobytes() == expected[name].tobytes(), name
    assert losses(killed) == losses(straight)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_signalled_process_saves_and_leaves_with_the_customary_status(tmp_path, sent, status):
    """A shell shows the end by SIGINT, which is what an uncaught KeyboardInterrupt is, as 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.train.signalled_run", str(tmp_path / "run")],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("ready")
    process.send_signal(sent)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"{sent.name}: stopping at the next safe moment" in complaints
    newest = list_checkpoints(tmp_path / "run")[0]
    assert 1 <= step_of(newest) < 500
    resumed = make_classifier(tmp_path / "run", max_steps=500)
    resumed.resume("auto")
    resumed.max_steps = resumed.step + 2
    resumed.fit()
    straight = make_classifier(tmp_path / "straight", max_steps=500)
    straight.max_steps = resumed.step
    straight.fit()
    assert everything(resumed)["model"] == everything(straight)["model"]
