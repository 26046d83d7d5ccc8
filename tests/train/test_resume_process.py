"""A process that is killed in mid-training, and another one that finishes its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tinytrain.train import read_log

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
