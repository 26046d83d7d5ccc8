"""Two modules, one set of names: whatever an operation asks of one, the other can answer."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import tinytrain
from tinytrain.kernels import cpu, cuda, kernels_for

PACKAGE = Path(tinytrain.__file__).parent


def calls_through_kernels_for():
    """Return every name that the sources take from `kernels_for(...)`."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and is_choice(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (
                is_choice(node.value)
                or (isinstance(node.value, ast.Name) and node.value.id in modules)
            ):
                found.add(node.attr)
    return found


def is_choice(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "kernels_for"


def test_both_offer_the_same_names():
    assert cpu.__all__ == cuda.__all__ == sorted(cpu.__all__)


@pytest.mark.parametrize("name", cpu.__all__)
def test_with_equal_parameters(name):
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (cpu, cuda))
    assert ours == theirs


def test_all_that_operations_ask_for_exists_and_nothing_else():
    assert calls_through_kernels_for() == set(cpu.__all__)


def test_nobody_goes_around_the_choice():
    for folder in ("ops", "nn", "optim"):
        for path in (PACKAGE / folder).rglob("*.py"):
            text = path.read_text()
            assert "kernels import cpu" not in text, path
            assert "kernels.cpu import" not in text, path


def test_the_choice_follows_the_array(on_mock):
    assert kernels_for(np.zeros(1)) is cpu
    assert kernels_for(np.float32(1)) is cpu
    assert kernels_for(on_mock.zeros(1, dtype="float32")) is cuda
