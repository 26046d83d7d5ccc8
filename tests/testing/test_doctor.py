"""The doctor: what counts as a failure on which device, and that it leaves no trace."""

import sys

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import backend
from tinytrain.ops import matmul
from tinytrain.testing.doctor import examination as doctor
from tinytrain.testing.doctor import examine, report, run_doctor
from tinytrain.testing.doctor.machine import Finding


@pytest.fixture(autouse=True)
def _a_machine_without_gpu(monkeypatch):
    monkeypatch.delenv("TINYTRAIN_DEVICE", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "_creation_library", np)


@pytest.fixture
def no_self_test(monkeypatch):
    """Leave the self-test out, and note for which devices it was wanted."""
    wanted = []

    def instead(device):
        wanted.append(device)
        return [Finding("training", "well", ok=True)]

    monkeypatch.setattr(doctor, "self_test", instead)
    return wanted


def verdicts(findings):
    return {finding.name: finding.ok for finding in findings if finding.ok is not None}


@pytest.mark.parametrize("device", ["cpu", "mock"])
def test_a_missing_gpu_is_no_failure_elsewhere(device, capsys):
    assert run_doctor(device) == 0
    text = capsys.readouterr().out
    assert "CuPy is not installed" in text
    assert text.endswith("\nEverything is in order.\n")
    assert f"ok      device: {device} (asked for: {device})\n" in text
    assert f"ok      training on {device}: loss" in text
    assert "FAILED" not in text


def test_a_missing_gpu_is_one_for_cuda(capsys, no_self_test):
    assert run_doctor("cuda") == 1
    text = capsys.readouterr().out
    assert "FAILED  device: device 'cuda' cannot be used: CuPy is not installed" in text
    assert "        -> mend that, or choose another with --device; the self-test was not" in text
    assert text.endswith("\n1 of 1 checks failed.\n")
    assert no_self_test == []


def test_the_environment_decides_where_no_device_is_given(monkeypatch, no_self_test):
    def device_text():
        return next(finding.text for finding in examine() if finding.name == "device")

    assert device_text() == "cpu (the default)"
    monkeypatch.setenv("TINYTRAIN_DEVICE", "cpu")
    assert device_text() == "cpu (TINYTRAIN_DEVICE is cpu)"
    monkeypatch.setenv("TINYTRAIN_DEVICE", "cuda")
    assert verdicts(examine()) == {"device": False}
    assert verdicts(examine("cpu")) == {"device": True, "training": True}
    monkeypatch.setenv("TINYTRAIN_DEVICE", "tpu")
    (wrong,) = (finding for finding in examine() if finding.ok is False)
    assert "'tpu'" in wrong.text
    assert no_self_test == ["cpu"] * 3


def test_auto_takes_what_there_is(no_self_test, capsys):
    assert verdicts(examine("auto")) == {"device": True, "training": True}
    assert no_self_test == ["cpu"]
    assert capsys.readouterr().out.startswith("device auto: using cpu (because CuPy")


def test_a_planted_fault_fails(monkeypatch, capsys):
    right = matmul.Linear.backward
    monkeypatch.setattr(
        matmul.Linear, "backward", lambda self, g: tuple(-part for part in right(self, g)[:2])
    )
    assert run_doctor("cpu") == 1
    text = capsys.readouterr().out
    assert "\nFAILED  gradients on cpu: " in text
    assert "\n        -> " in text
    assert "Traceback" not in text


def test_device_and_generator_are_as_before(monkeypatch):
    for before in (np, None):
        monkeypatch.setattr(backend, "_creation_library", before)
        tt.manual_seed(5)
        tt.default_generator().raw32(3)
        state = tt.default_generator().get_state()
        examine("cpu")
        assert backend._creation_library is before
        assert tt.default_generator().get_state() == state


def test_they_are_as_before_after_an_error_as_well(monkeypatch):
    def interrupted(device):
        backend.set_device("cpu")
        tt.manual_seed(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "self_test", interrupted)
    monkeypatch.setattr(backend, "_creation_library", None)
    state = tt.manual_seed(5).get_state()
    with pytest.raises(KeyboardInterrupt):
        examine("cpu")
    assert backend._creation_library is None
    assert tt.default_generator().get_state() == state


def test_the_report_aligns_facts_and_counts_failures():
    findings = [
        Finding("A", "one"),
        Finding("longer", "two"),
        Finding("x", "right", ok=True),
        Finding("y", "wrong", ok=False, remedy="do this"),
        Finding("z", "wrong", ok=False, remedy="do that"),
    ]
    assert report(findings).splitlines() == [
        "A       one",
        "longer  two",
        "",
        "ok      x: right",
        "FAILED  y: wrong",
        "        -> do this",
        "FAILED  z: wrong",
        "        -> do that",
        "",
        "2 of 3 checks failed.",
    ]
    assert report(findings[:3]).endswith("\n\nEverything is in order.")
