"""The race of `examples/docstrings.py`: its table tells a time only where there is one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "docstrings.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("docstrings_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_who_does_not_arrive_has_no_time(example, capsys):
    run = example.Run(20, 40, 800, 9_000, 10_000, 3.25, 0.075, reached=False)
    example.print_table({"padding": run, "packing": run._replace(reached=True)}, 0.2)
    *_, lost, won = capsys.readouterr().out.splitlines()
    assert lost.endswith("not reached: 7.5% after 20 steps")
    assert "3.25" not in lost
    assert won.split()[-2:] == ["20", "3.25"]


@pytest.mark.slow
def test_the_quick_race_is_finished():
    found = subprocess.run(
        [sys.executable, SCRIPT, "--quick"],
        capture_output=True,
        text=True,
        check=True,
        cwd=SCRIPT.parents[1],
        env={"PYTHONPATH": str(SCRIPT.parents[1])},
    )
    assert "not reached" not in found.stdout
    assert [line.split()[0] for line in found.stdout.splitlines()[-3:]] == [
        "padding",
        "buckets",
        "packing",
    ]
