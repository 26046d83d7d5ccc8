"""What the doctor says of CuPy and CUDA on machines that have more or less of it."""

import sys
import types

import pytest

from tinytrain.testing.doctor import cuda_facts

VERSION = cuda_facts.driver_version()


def fake_cupy(driver=13000, runtime=13020, compiler=(13, 2), devices=1, name=b"NVIDIA H200"):
    """A module with what the report asks of CuPy, on a machine of the given state."""

    def compiler_version():
        if compiler is None:
            raise RuntimeError("Failure finding libnvrtc.so\nmore lines")
        return compiler

    def ones(count, dtype):
        return FakeArray()

    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    cupy.ones = ones
    cupy.cuda = types.SimpleNamespace(
        nvrtc=types.SimpleNamespace(getVersion=compiler_version),
        Device=lambda: types.SimpleNamespace(compute_capability="90"),
        runtime=types.SimpleNamespace(
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
            getDeviceCount=lambda: devices,
            getDevice=lambda: 0,
            getDeviceProperties=lambda device: {"name": name},
            memGetInfo=lambda: (140_100_000_000, 150_700_000_000),
        ),
    )
    return cupy


class FakeArray:
    """Two ones, to which one is added before they are summed."""

    def __add__(self, number):
        return self

    def sum(self):
        return 4.0


@pytest.fixture
def findings(monkeypatch):
    """The findings, by name, on a machine with the given CuPy."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def find(cupy, cublas=True):
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        module = types.ModuleType("cupy.cublas") if cublas else None
        monkeypatch.setitem(sys.modules, "cupy.cublas", module)
        found = cuda_facts.cuda_findings()
        assert all(finding.ok is None and "\n" not in finding.text for finding in found)
        return {finding.name: finding.text for finding in found}

    return find


def test_a_usable_gpu_is_described(findings):
    assert findings(fake_cupy()) == {
        "CuPy": findings(fake_cupy())["CuPy"],
        "CUDA versions": f"driver {VERSION} supports CUDA 13.0, CuPy has the runtime 13.2",
        "CUDA libraries": "NVRTC 13.2, cuBLAS loaded",
        "GPU": "NVIDIA H200, compute capability 9.0, 140.1 GB of 150.7 GB memory free",
        "CUDA": "usable",
    }
    assert findings(fake_cupy())["CuPy"].startswith("14.2.0")
    assert findings(fake_cupy(name="text"))["GPU"].startswith("text, ")


def test_without_cupy(findings):
    found = findings(None)
    assert list(found) == ["CuPy", "CUDA"]
    assert found["CuPy"].startswith("not imported (")
    assert found["CUDA"].startswith("CuPy is not installed")


def test_installed_packages_are_named(findings, monkeypatch):
    """Two of them are a usual mistake; and an installed one may fail to import."""
    installed = [
        types.SimpleNamespace(metadata={"Name": name}, version="14.2.0")
        for name in ("numpy", "cupy-cuda13x", "cupy-cuda12x")
    ]
    monkeypatch.setattr("importlib.metadata.distributions", lambda: installed)
    packages = "(installed: cupy-cuda12x 14.2.0, cupy-cuda13x 14.2.0)"
    assert findings(fake_cupy())["CuPy"] == f"14.2.0 {packages}"
    assert findings(None)["CuPy"] == f"not imported {packages}"


def test_no_driver(findings):
    found = findings(fake_cupy(driver=0))
    assert found["CUDA versions"] == "no driver, CuPy has the runtime 13.2"
    assert found["CUDA"].startswith("no NVIDIA driver on this machine")
    assert "GPU" not in found


def test_driver_too_old(findings):
    found = findings(fake_cupy(driver=12040))
    assert found["CUDA versions"].startswith(f"driver {VERSION} supports CUDA 12.4,")
    assert "the driver supports CUDA 12.4" in found["CUDA"]


def test_no_gpu_is_visible(findings):
    assert "the driver shows no GPU" in findings(fake_cupy(devices=0))["CUDA"]


def test_missing_libraries(findings):
    found = findings(fake_cupy(compiler=None), cublas=False)
    assert found["CUDA libraries"] == (
        "NVRTC unknown (RuntimeError: Failure finding libnvrtc.so), cuBLAS not loaded"
    )
    assert found["CUDA"].startswith("a CUDA library is missing")


def test_what_an_older_cupy_does_not_know_is_unknown(findings):
    cupy = fake_cupy()
    del cupy.__version__, cupy.cuda.Device, cupy.cuda.nvrtc
    found = findings(cupy)
    assert found["CuPy"].startswith("of unknown version")
    assert "unknown (AttributeError" in found["GPU"]
    assert "140.1 GB of 150.7 GB" in found["GPU"]
    assert "NVRTC unknown (AttributeError" in found["CUDA libraries"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX Module  580.65.06  Sun Jul 27 2025\nGCC 13.2.0", "580.65.06"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104  Tue", "535.104"),
        ("NVRM version: unheard of", "(of unknown version)"),
    ],
)
def test_the_version_of_the_driver(tmp_path, text, version):
    file = tmp_path / "version"
    file.write_text(text)
    assert cuda_facts.driver_version(file) == version
