"""``python -m tinytrain``: its commands, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinytrain as tt
from tinytrain import __main__ as command_line

ROOT = Path(__file__).resolve().parent.parent


def run(*words, **environment):
    """Run the package in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tinytrain", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_doctor_in_a_process_of_its_own():
    done = run("doctor", TINYTRAIN_DEVICE="cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("tinytrain  ")
    assert "ok      device: cpu (TINYTRAIN_DEVICE is cpu)" in done.stdout
    assert done.stdout.endswith("Everything is in order.\n")


def test_an_unusable_device_is_told_without_a_traceback():
    done = run("doctor", "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "FAILED  device: device 'cuda' cannot be used" in done.stdout


@pytest.mark.parametrize(("words", "device"), [([], None), (["--device", "cpu"], "cpu")])
@pytest.mark.parametrize("status", [0, 1])
def test_the_status_is_the_doctors(monkeypatch, words, device, status):
    asked = []
    monkeypatch.setattr(command_line, "run_doctor", lambda name: asked.append(name) or status)
    assert command_line.main(["doctor", *words]) == status
    assert asked == [device]


def test_without_a_command_there_is_help(capsys):
    assert command_line.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: python -m tinytrain" in captured.err
    assert "report on this machine" in captured.err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tinytrain {tt.__version__}\n"


@pytest.mark.parametrize("words", [["surgeon"], ["doctor", "--device", "tpu"], ["doctor", "now"]])
def test_what_is_unknown_is_refused(capsys, words):
    with pytest.raises(SystemExit) as ended:
        command_line.main(words)
    assert ended.value.code == 2
    assert words[-1] in capsys.readouterr().err
