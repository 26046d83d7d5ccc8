"""The example of the Earth's pole: what it says is what it does, in the quick run too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinytrain.data import DisjointWindowBatchSampler, WindowDataset, chronological_split

pytest.importorskip("astropy_iers_data")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def forecast(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import forecast

    return forecast


def test_the_batch_size_is_that_of_the_batches(forecast):
    windows = WindowDataset(forecast.load_pole(), forecast.INPUT_LENGTH, forecast.HORIZON)
    training = chronological_split(windows, forecast.FRACTIONS)[0]
    for settings in (forecast.DEFAULTS, {**forecast.DEFAULTS, **forecast.QUICK}):
        sampler = DisjointWindowBatchSampler(training, settings["batch_size"])
        assert max(map(len, sampler)) == settings["batch_size"]
    assert "more than lie side by side: 17" in str(
        DisjointWindowBatchSampler(training, 32).report()
    )


def test_both_splits_are_tested_on_the_same_windows(forecast):
    windows = WindowDataset(forecast.load_pole(), forecast.INPUT_LENGTH, forecast.HORIZON)
    parts = chronological_split(windows, forecast.FRACTIONS)
    honest, leaking = forecast.split_at_random(parts, seed=3)
    tested = set(honest[2].indices)
    assert tested == set(leaking[2].indices) < set(parts[2].indices)
    for split in (honest, leaking):
        training, validation = (set(part.indices) for part in split[:2])
        assert not (tested & training)
        assert not (tested & validation)
        assert not (training & validation)
        assert (len(training), len(validation)) == (len(parts[0]), len(parts[1]))
    neighbours = {index + 1 for index in tested}
    assert neighbours & set(leaking[0].indices)
    assert not neighbours & set(honest[0].indices)


def test_the_verdict_follows_the_figures(forecast):
    errors = {"stays where it is": 5.0, "as a year ago": 2.0, "copies the most similar": 3.0}
    errors["the network"] = 1.0
    claims = {**errors, "copies the most similar": 1.5, "the network": 0.9}
    text = forecast.verdict(errors, claims)
    assert "the network beats all three" in text
    assert "is 1.00 m, and that of the best of them ('as a year ago') 2.00 m" in text
    assert "flatters 'copies the most similar' and 'the network'" in text
    assert "would claim 1.50 m instead of 3.00 m" in text
    worse = forecast.verdict({**errors, "the network": 2.5}, {**errors, "the network": 2.6})
    assert "the network does not beat all three" in worse
    assert "flatters nobody" in worse


@pytest.mark.slow
def test_the_quick_run_shows_what_the_text_says(tmp_path):
    command = [sys.executable, "examples/forecast.py", "--quick", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TINYTRAIN_DEVICE": "cpu"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert "the network beats all three that learn nothing" in done.stdout
    assert "flatters 'copies the most similar' and 'the network'" in done.stdout
    assert "in batches of 16 to 17" in done.stdout
