"""The loader benchmark: the variants do the same work, and the whole path runs."""

import json

import data_loader
import data_workloads
import numpy_data_steps
import pytest
import tinytrain_data_steps
from data_workloads import WORKLOADS, LoaderWorkload
from harness import Result


def small(monkeypatch, **changes):
    shape = {"samples": 50, "width": 3, "batch": 8, **changes}
    monkeypatch.setitem(WORKLOADS, "arrays", LoaderWorkload(**shape))
    monkeypatch.setattr(data_workloads, "TRANSFORM_SECONDS", 1e-5)


@pytest.mark.parametrize("transform", [False, True])
def test_all_variants_go_through_the_same_samples(monkeypatch, transform):
    small(monkeypatch, transform=transform)
    inputs, targets = data_workloads.make_arrays(WORKLOADS["arrays"])
    expected = targets.sum() + len(inputs)
    for module in (tinytrain_data_steps, numpy_data_steps):
        step = module.make_step("arrays")
        assert [step(), step()] == [expected, expected]


@pytest.mark.oracle
def test_pytorch_goes_through_the_same_samples(monkeypatch):
    pytest.importorskip("torch")
    import torch_data_steps

    small(monkeypatch)
    assert torch_data_steps.make_step("arrays")() == tinytrain_data_steps.make_step("arrays")()


def test_a_life_is_a_new_loader_for_each_step():
    made = []

    def make_loader():
        made.append([])
        return made[-1]

    life = LoaderWorkload(1, 1, 1, start_method="spawn")
    step = data_workloads.LoaderStep(make_loader, life)
    step(), step()
    assert len(made) == 2
    step = data_workloads.LoaderStep(make_loader, LoaderWorkload(1, 1, 1))
    step(), step()
    assert len(made) == 3


def test_ratios_are_taken_both_ways():
    results = [Result("tinytrain", [], [0.2, 0.2]), Result("torch", [], [0.8, 0.4])]
    ours, torchs = data_loader.table_rows("arrays", results)
    assert ours == ["arrays", "tinytrain", "200.0 ms", "300,000", "0.38", "-", "3.00"]
    assert torchs[4:] == ["-", "-", "-"]


@pytest.mark.slow
def test_the_whole_path(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(data_loader, "torch_version", lambda: None)
    file = tmp_path / "figures.json"
    words = ["--workloads", "arrays", "--rounds", "2", "--seconds", "0.01", "--json", str(file)]
    data_loader.main(words)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| arrays")]
    assert [row.split("|")[2].strip() for row in rows] == ["tinytrain", "bare loop"]
    assert len(json.loads(file.read_text())["results"]["arrays"][0]["seconds"]) == 2
