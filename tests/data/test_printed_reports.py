"""What the documentation shows of a report is what is printed, to the last space.

Elsewhere examples are compared without regard to spaces, which would hide a shifted column.
"""

import doctest
import importlib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sequences.md"


@pytest.mark.parametrize(
    "name",
    [
        "length_report",
        "packed",
        "packing",
        "packing_report",
        "padding",
        "row_picture",
        "token_budget",
        "window_split",
    ],
)
def test_docstrings(name, capsys):
    module = importlib.import_module(f"tinytrain.data.{name}")
    found = doctest.testmod(module, optionflags=0)
    assert found.attempted > 0
    assert found.failed == 0, capsys.readouterr().out


def test_the_page(capsys):
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=0)
    assert found.attempted > 50
    assert found.failed == 0, capsys.readouterr().out
