"""The GPU benchmark: no GPU, no figures; and its whole path, run where there is none."""

import json
import sys
import types

import gpu
import harness
import numpy as np
import pytest
from tinytrain_device_steps import DeviceStep
from tinytrain_steps import make_step
from workloads import WORKLOADS, GPTShape, MLPShape

from tinytrain import backend
from tinytrain.testing.doctor.machine import Finding

DEVICES = ["cpu", "mock"]
SMALL = {
    "mlp": MLPShape(sizes=(7, 6, 5, 3), batch=4),
    "gpt": GPTShape(layers=2, heads=2, width=8, context=4, vocabulary=7, batch=2),
}


@pytest.fixture(autouse=True)
def _leave_the_device_as_it_was(monkeypatch):
    monkeypatch.setattr(backend, "_creation_library", np)
    monkeypatch.setenv("CUPY_TF32", "0")  # set by the script: put back what was there


def test_without_a_gpu_there_are_no_figures(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(gpu, "measure", lambda *_: pytest.fail("measured without a GPU"))
    assert gpu.main(["--json", str(tmp_path / "figures.json")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Nothing was measured, for no GPU can be used: CuPy is not installed")
    assert "|" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_the_whole_path_on_a_device_that_is_none(device, capsys, tmp_path):
    file = tmp_path / "figures.json"
    words = ["--device", device, "--quick", "--rounds", "2", "--seconds", "0.01"]
    few = ["--workloads", "mlp-32", "--variants", "tinytrain"]
    assert gpu.main([*words, *few, "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("- WARNING: THESE ARE NO GPU FIGURES")
    assert f"on the device {device}\n" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| mlp-32"))
    assert row.split("|")[2].strip() == "tinytrain"
    assert float(row.split("|")[3].removesuffix("ms ")) > 0
    saved = json.loads(file.read_text())
    assert "WARNING" in saved["header"]
    assert len(saved["results"]["mlp-32"][0]["seconds"]) == 2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SMALL)
def test_it_is_the_work_of_the_other_benchmark(monkeypatch, device, name):
    monkeypatch.setitem(WORKLOADS, "small", SMALL[name])
    expected = make_step("small")
    expected_losses = [expected() for _ in range(5)]
    step = DeviceStep("small", device)
    losses = [float(step()) for _ in range(5)]
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert step.device_mb() == 0
    step.synchronize()


@pytest.mark.oracle
@pytest.mark.parametrize("name", SMALL)
def test_pytorch_does_the_same_work(monkeypatch, name):
    pytest.importorskip("torch")
    import torch_device_steps

    monkeypatch.setitem(WORKLOADS, "small", SMALL[name])
    results = []
    for variant, make in (("tinytrain", DeviceStep), ("torch", torch_device_steps.DeviceStep)):
        step = make("small", "cpu")
        results.append(harness.Result(variant, [float(step()) for _ in range(5)]))
        step.synchronize()
    harness.check_same_work(results)
    assert step.device_mb() == 0


def test_device_memory_is_what_the_pool_holds(monkeypatch):
    step = DeviceStep("mlp-32", "cpu")
    pool = types.SimpleNamespace(total_bytes=lambda: 12_500_000)
    library = types.SimpleNamespace(get_default_memory_pool=lambda: pool)
    monkeypatch.setattr(backend, "creation_library", lambda: library)
    assert step.device_mb() == 0
    step.device = "cuda"
    assert step.device_mb() == 12.5


@pytest.mark.oracle
def test_pytorch_waits_for_its_gpu_and_tells_what_its_pool_holds(monkeypatch):
    torch = pytest.importorskip("torch")
    import torch_device_steps

    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append("wait"))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 12_500_000)
    step = torch_device_steps.DeviceStep("mlp-32", "cpu")
    step.device = torch.device("cuda")
    step.synchronize()
    assert waits == ["wait"]
    assert step.device_mb() == 12.5


def test_a_block_waits_for_the_device_before_and_after():
    events = []

    class Step:
        def __call__(self):
            events.append("step")

        def synchronize(self):
            events.append("wait")

        def device_mb(self):
            return 12.5

    block = harness._time_block(Step(), seconds=0.0)
    assert events == ["step", "wait", "step", "step", "wait"]
    assert block["device_mb"] == 12.5
    assert harness._time_block(lambda: 1.0, seconds=0.0)["device_mb"] == 0


def test_ratios_stand_where_there_is_something_to_compare_with():
    ours = harness.Result("tinytrain", [], seconds=[2e-3, 4e-3], device_mb=30.0)
    theirs = harness.Result("torch", [], seconds=[1e-3, 1e-3], device_mb=60.0)
    assert gpu.table_rows("gpt", [ours, theirs]) == [
        ["gpt", "tinytrain", "3.000 ms", "3.00", "30.0 MB", "0.50"],
        ["gpt", "torch", "1.000 ms", "-", "60.0 MB", "-"],
    ]
    assert gpu.table_rows("gpt", [ours]) == [
        ["gpt", "tinytrain", "3.000 ms", "-", "30.0 MB", "-"],
    ]
    ours.device_mb = 0.0
    assert gpu.table_rows("gpt", [ours, theirs])[0][3:] == ["3.00", "-", "-"]


def printed(stdout, stderr=""):
    """A process that has ended, and what it printed."""
    return types.SimpleNamespace(stdout=stdout, stderr=stderr)


def test_pytorch_is_left_out_where_it_cannot_run(monkeypatch):
    monkeypatch.setattr(gpu, "torch_version", lambda: None)
    assert gpu.torch_problem("cuda") == gpu.torch_problem("cpu") == "not installed"
    assert gpu.gpu_header("cpu", "not installed")["PyTorch"] == "left out, not installed"
    monkeypatch.setattr(gpu, "torch_version", lambda: "2.13.0")
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: printed("False\n"))
    problem = gpu.torch_problem("cuda")
    assert problem == "2.13.0 sees no GPU: torch.cuda.is_available() is False"
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: printed("", "x\nImportError: y\n"))
    assert gpu.torch_problem("cuda") == "2.13.0 sees no GPU: ImportError: y"
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: printed("True\n"))
    assert gpu.torch_problem("cuda") is None
    assert gpu.torch_problem("mock") is None


def test_the_header_of_a_real_run_has_no_warning_and_names_the_gpu(monkeypatch):
    found = [Finding("GPU", "NVIDIA H200"), Finding("CUDA", "usable")]
    monkeypatch.setattr(gpu, "cuda_findings", lambda: found)
    header = gpu.gpu_header("cuda", None)
    assert next(iter(header.items())) == ("GPU", "NVIDIA H200")
    assert "WARNING" not in header
    assert "CUDA" not in header
    assert "TF32 off" in header["precision"]
