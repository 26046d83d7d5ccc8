"""What the doctor says of the machine is what the machine says elsewhere."""

import ctypes
import importlib.metadata
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.testing.doctor import machine


def test_version_and_folder_are_those_of_the_imported_package():
    assert machine.tinytrain_version() == tt.__version__
    assert machine.package_folder() == Path(tt.__file__).resolve().parent
    assert f"{tt.__version__} in {machine.package_folder()}" in machine.machine_findings()[0].text


def test_facts_are_single_lines_without_a_verdict():
    for finding in machine.machine_findings():
        assert finding.text
        assert "\n" not in finding.text
        assert (finding.ok, finding.remedy) == (None, "")


@pytest.mark.parametrize(
    ("origin", "located", "words"),
    [
        ({"dir_info": {"editable": True}}, "elsewhere", "installed, editable"),
        ({}, machine.package_folder(), "installed"),
        (None, machine.package_folder(), "installed"),
        ({}, "/elsewhere/tinytrain", f"not the one in {Path('/elsewhere').resolve()}"),
    ],
)
def test_how_installed(monkeypatch, origin, located, words):
    distribution = types.SimpleNamespace(
        read_text=lambda name: None if origin is None else json.dumps(origin),
        locate_file=lambda name: located,
    )
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)
    assert machine.how_installed() == words


def test_not_installed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert machine.how_installed() == "not installed: found on the import path"


def test_the_name_asked_for_is_the_one_that_setup_cfg_gives():
    root = machine.package_folder().parent
    assert f"name = {machine.DISTRIBUTION}\n" in (root / "setup.cfg").read_text()


@pytest.mark.skipif(machine.blas_threads() is None, reason="this BLAS does not tell its threads")
def test_the_blas_tells_how_many_threads_it_has():
    """Started with one thread, the same library says one."""
    code = "from tinytrain.testing.doctor import machine; print(machine.blas_threads())"
    one = dict.fromkeys(machine.THREAD_VARIABLES, "1")
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=machine.package_folder().parent,
        env={**os.environ, **one},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "1"
    assert f"{machine.blas_threads()} thread" in machine.describe_blas()


def test_the_blas_is_named():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    assert machine.describe_blas().startswith(blas["name"])


class Answer:
    """A function of a library: it takes a type for its result."""

    restype = None

    def __call__(self):
        return 7


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("scipy_openblas_get_num_threads64_", 7),
        ("openblas_get_num_threads", 7),
        ("openblas_get_num_threads64_", 7),
        ("MKL_Get_Max_Threads", 7),
        ("another_get_num_threads", None),
    ],
)
def test_each_build_calls_it_differently(monkeypatch, name, found):
    library = types.SimpleNamespace(**{name: Answer()})
    monkeypatch.setattr(machine, "_numpy_library", lambda: library)
    assert machine.blas_threads() == found


def test_without_an_answer_the_environment_is_shown(monkeypatch):
    monkeypatch.setattr(machine, "_numpy_library", lambda: None)
    for variable in machine.THREAD_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert machine.describe_blas().endswith(", threads unknown")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.describe_blas().endswith(", threads unknown (OMP_NUM_THREADS=3)")


def test_a_library_that_cannot_be_opened_is_no_error(monkeypatch):
    def broken(path):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", broken)
    assert machine.blas_threads() is None
    assert "kernels" not in machine.describe_blas()


def test_memory_that_the_system_does_not_tell(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    assert f"{os.cpu_count()} cores" in machine.describe_processor()
    monkeypatch.setattr(os, "sysconf", unknown, raising=False)
    assert machine.describe_processor().endswith("memory unknown")
