"""The backend: choosing a device, the words where a GPU is missing, and whose array is whose."""

import importlib
import os
import subprocess
import sys
import types

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import backend


class FakeDeviceArray:
    """What a fake CuPy computes with: an array that is not NumPy's."""

    def __init__(self, host):
        self.host = np.asarray(host)

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)

    def __add__(self, number):
        return FakeDeviceArray(self.host + number)

    def sum(self):
        return FakeDeviceArray(self.host.sum())

    def __float__(self):
        return float(self.host)

    def get(self):
        return self.host.copy()


class NoDevice(Exception):
    """CUDA's own type of error."""


def fake_cupy(driver=13000, runtime=13000, devices=1, wrong_by=0.0):
    """Build a module that looks like CuPy on a machine of the given state."""

    def device_count():
        if devices == 0:
            raise NoDevice("cudaErrorNoDevice: no CUDA-capable device is detected")
        return devices

    cupy = types.ModuleType("cupy")
    cupy.ndarray = FakeDeviceArray
    cupy.asarray = FakeDeviceArray
    cupy.ones = lambda n, dtype: FakeDeviceArray(np.ones(n, dtype) + wrong_by)
    cupy.zeros = lambda shape, dtype: FakeDeviceArray(np.zeros(shape, dtype))
    stream = types.SimpleNamespace(synchronize=lambda: waits.append(1))
    waits = cupy.waits = []
    cupy.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
            getDeviceCount=device_count,
        ),
        get_current_stream=lambda: stream,
    )
    return cupy


@pytest.fixture(autouse=True)
def _leave_the_device_as_it_was(monkeypatch):
    monkeypatch.delenv("TINYTRAIN_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(backend, "_creation_library", np)
    monkeypatch.setattr(backend, "_library_of_type", {np.ndarray: np})


@pytest.fixture
def plant(monkeypatch):
    """Put a fake CuPy where Python finds it."""

    def planting(cupy, cublas=True):
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        module = types.ModuleType("cupy.cublas") if cublas else None
        monkeypatch.setitem(sys.modules, "cupy.cublas", module)
        return cupy

    return planting


# ---------------------------------------------------------------- the cases of a missing GPU


def test_cupy_is_not_installed(plant):
    plant(None)
    problem = backend.cuda_problem()
    assert "CuPy is not installed: pip install 'cupy-cuda13x[ctk]'" in problem
    assert "\n" not in problem


def planted_package(tmp_path, monkeypatch, source):
    """Write a package cupy whose import runs the given source."""
    (tmp_path / "cupy.py").write_text(source)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


def test_cupy_needs_another_module(tmp_path, monkeypatch):
    planted_package(tmp_path, monkeypatch, "import fastrlock_that_is_missing")
    problem = backend.cuda_problem()
    assert problem == (
        "CuPy is installed but needs the module 'fastrlock_that_is_missing': "
        "pip install fastrlock_that_is_missing"
    )


BANNER = """raise ImportError('''
================================================================
Failed to import CuPy.

Original error:
  ImportError: libcudart.so.13: cannot open shared object file
================================================================
''')"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (BANNER, "ImportError: libcudart.so.13: cannot open shared object file; reinstall it"),
        ("raise OSError()", "does not import: OSError; reinstall it"),
        ("raise AttributeError('numpy has no attribute x')", "numpy has no attribute x; reinstall"),
    ],
)
def test_cupy_does_not_import(tmp_path, monkeypatch, source, words):
    planted_package(tmp_path, monkeypatch, source)
    problem = backend.cuda_problem()
    assert problem.startswith("CuPy is installed but does not import: ")
    assert words in problem
    assert "\n" not in problem


def test_no_driver(plant):
    plant(fake_cupy(driver=0))
    assert backend.cuda_problem().startswith("no NVIDIA driver on this machine")


@pytest.mark.parametrize(
    ("driver", "runtime", "fits"),
    [(12040, 13000, False), (11080, 12010, False), (13000, 13010, True), (13010, 12040, True)],
)
def test_driver_too_old(plant, driver, runtime, fits):
    plant(fake_cupy(driver=driver, runtime=runtime))
    problem = backend.cuda_problem()
    if fits:
        assert problem is None
    else:
        assert f"the driver supports CUDA {driver // 1000}.{driver % 1000 // 10}" in problem
        assert f"needs CUDA {runtime // 1000}.{runtime % 1000 // 10}" in problem
        advice = f"pip uninstall cupy-cuda{runtime // 1000}x, then pip install"
        assert (advice in problem) == (driver >= 12000)  # CuPy 14 is not built for CUDA 11
        assert (f"'cupy-cuda{driver // 1000}x[ctk]'" in problem) == (driver >= 12000)


def test_no_visible_device(plant, monkeypatch):
    plant(fake_cupy(devices=0))
    assert backend.cuda_problem() == "the driver shows no GPU: check nvidia-smi"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "(CUDA_VISIBLE_DEVICES is '')" in backend.cuda_problem()


def test_missing_library(plant):
    plant(fake_cupy(), cublas=False)
    problem = backend.cuda_problem()
    assert problem.startswith("a CUDA library is missing (")
    assert "cupy.cublas" in problem


def test_gpu_that_computes_wrong(plant):
    plant(fake_cupy(wrong_by=0.5))
    assert backend.cuda_problem() == "a test computation gave 5.0 instead of 4.0"


def test_no_problem(plant):
    plant(fake_cupy())
    assert backend.cuda_problem() is None


# ---------------------------------------------------------------- set_device


def test_cpu_is_the_default():
    assert tt.set_device() == tt.get_device() == "cpu"
    assert backend.creation_library() is np


def test_cuda_is_used_where_it_can_be(plant, capsys):
    cupy = plant(fake_cupy())
    assert tt.set_device("cuda") == tt.get_device() == "cuda"
    assert backend.creation_library() is cupy
    assert capsys.readouterr().out == ""
    moved = backend.to_device(np.ones(2))
    assert (type(moved), backend.device_of(moved)) == (FakeDeviceArray, "cuda")
    assert backend.to_device(moved) is moved
    assert backend.to_host(moved).tolist() == [1, 1]
    assert backend.xp_of(moved) is cupy
    assert backend.is_array(moved)
    assert tt.zeros(2).device == "cuda"
    tt.synchronize()
    assert cupy.waits == [1]
    assert tt.set_device("cpu") == "cpu"
    assert backend.creation_library() is np
    assert backend.is_array(moved)  # what was made stays usable


def test_cuda_never_falls_back(plant):
    plant(fake_cupy())
    tt.set_device("cuda")
    plant(fake_cupy(driver=0))
    with pytest.raises(
        RuntimeError, match=r"'cuda' cannot be used: no NVIDIA.*use the device 'cpu'"
    ):
        tt.set_device("cuda")
    assert tt.get_device() == "cuda"  # an error changes nothing


def test_auto_says_what_it_chose(plant, capsys):
    plant(None)
    assert tt.set_device("auto") == "cpu"
    assert "device auto: using cpu (because CuPy is not installed" in capsys.readouterr().out
    plant(fake_cupy())
    assert tt.set_device("auto") == "cuda"
    assert capsys.readouterr().out == "device auto: using cuda (a usable GPU was found)\n"
    plant(fake_cupy(devices=0))
    assert tt.set_device("auto") == tt.get_device() == "cpu"


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:0", "cpu "])
def test_unknown_devices(name):
    with pytest.raises(ValueError, match=f"not {name!r}"):
        tt.set_device(name)


def test_environment_decides_where_no_name_is_given(plant, monkeypatch):
    plant(fake_cupy())
    monkeypatch.setenv("TINYTRAIN_DEVICE", "cuda")
    assert tt.set_device("cpu") == "cpu"
    assert tt.set_device() == "cuda"
    monkeypatch.setenv("TINYTRAIN_DEVICE", "")
    assert tt.set_device() == "cpu"
    monkeypatch.setenv("TINYTRAIN_DEVICE", "tpu")
    with pytest.raises(ValueError, match="'tpu'"):
        tt.set_device()
    monkeypatch.setenv("TINYTRAIN_DEVICE", "cuda")
    plant(None)
    with pytest.raises(RuntimeError, match="CuPy is not installed"):
        tt.set_device()


# ---------------------------------------------------------------- whose array


def test_xp_of_finds_the_library():
    assert backend.xp_of(np.ones(2), 2.0, None, 3, np.zeros(())) is np


def test_xp_of_refuses_to_mix_devices(plant):
    plant(fake_cupy())
    tt.set_device("cuda")
    host, device = np.ones((2, 3)), FakeDeviceArray(np.ones(4))
    for one, other in [(host, device), (device, host)]:
        with pytest.raises(RuntimeError, match="arrays on different devices") as caught:
            backend.xp_of(one, None, other)
        message = str(caught.value)
        assert "cpu (2, 3)" in message
        assert "cuda (4,)" in message
    with pytest.raises(RuntimeError, match="different devices"):
        tt.Tensor(host) + tt.Tensor(device)


@pytest.mark.parametrize("wrong", [[1.0], 1.0, None, "a", np.float64(1), np.ma.masked_array([1.0])])
def test_xp_of_refuses_what_is_no_array(wrong):
    with pytest.raises(TypeError, match=f"expected an array.*got {type(wrong).__name__}"):
        backend.xp_of(wrong)


@pytest.mark.parametrize("wrong", [np.float64(1), np.ma.masked_array([1.0])])
def test_xp_of_does_not_blame_the_device_for_a_type(wrong):
    with pytest.raises(TypeError, match=f"got {type(wrong).__name__}"):
        backend.xp_of(np.ones(2), wrong)


def test_is_array_is_exact():
    assert backend.is_array(np.ones(2))
    assert not any(map(backend.is_array, [np.float64(1), [1.0], np.ma.masked_array([1.0]), None]))


def test_as_array_gives_numbers_a_home():
    number = np.ones(3).sum()
    assert backend.as_array(number).shape == ()
    array = np.ones(2)
    assert backend.as_array(array) is array


def test_host_arrays_stay_where_they_are():
    array = np.ones(2)
    assert backend.to_device(array) is array
    assert backend.to_host(array) is array
    tt.synchronize()


def test_the_environment_counts_without_set_device_too():
    code = "import tinytrain as tt; print(tt.zeros(1).device)"
    environment = {**os.environ, "TINYTRAIN_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert run.returncode != 0
    assert b"device 'cuda' cannot be used" in run.stderr
