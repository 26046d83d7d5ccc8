"""Saving under fire and reading what nobody should trust: `tests.train.faults`, in small counts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinytrain.train import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """In a process of its own, which forks, and whose memory is watched."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.faults", *arguments],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments():
    assert "15 kills" in run("kills", "15")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_killed_or_refused_at_system_calls(tmp_path):
    allowed = subprocess.run(
        ["strace", "-o", str(tmp_path / "log"), "true"], capture_output=True, check=False
    )
    if allowed.returncode:
        pytest.skip("strace may not trace here")
    assert "none lost" in run("calls", "12")


@pytest.mark.parametrize(
    "arguments", [("flips", "100"), ("truncations",), ("fuzz", "20000", "1")], ids=lambda a: a[0]
)
def test_changed_files(arguments):
    pytest.importorskip("resource")
    assert run(*arguments)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_what_there_is(small_disk):
    path = small_disk / "step-00000001.npz"
    save_checkpoint(path, {"a": np.arange(1000.0)}, {"step": 1})
    for name in (path, small_disk / "step-00000002.npz"):
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(name, {"a": np.zeros(10**6)}, {"step": 2})
    assert [one.name for one in small_disk.iterdir()] == [path.name]
    arrays, state = load_checkpoint(path)
    assert np.array_equal(arrays["a"], np.arange(1000.0))
    assert state == {"step": 1}
