"""The page on building an operation is followed word by word, in a copy of the tree."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMPORT = "from tinytrain.ops.softsign import SoftSign\n"


def blocks():
    """Return the code of the three steps: the class, the row, the function."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    steps = page.split("## An operation in tinytrain itself")[1].split("\n## ")[0]
    found = re.findall(r"   ```(?:python|text)\n(.*?)\n   ```", steps, flags=re.DOTALL)
    assert len(found) == 3
    return [re.sub(r"^   ", "", block, flags=re.MULTILINE) + "\n" for block in found]


def edit(path, *changes):
    """Replace each text, which stands there once, by another."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is not once in {path.name}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A copy of the tree in which somebody did what the page says."""
    tree = tmp_path_factory.mktemp("clone")
    for part in ("tinytrain", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tree)
    operation, row, function = blocks()
    (tree / "tinytrain" / "ops" / "softsign.py").write_text(operation, encoding="utf-8")
    above = "from tinytrain.ops.rectifier import ELU, Hardtanh, LeakyReLU\n"
    samples = tree / "tests" / "ops" / "op_samples_activations.py"
    last = '(Hardtanh, "relu6", functional("relu6")),\n'
    edit(samples, (above, above + IMPORT), (last, f"{last}        {row}"))
    functional = tree / "tinytrain" / "nn" / "functional"
    above_here = "from tinytrain.tensor import Tensor, apply\n"
    activation = functional / "activation.py"
    edit(activation, (above_here, IMPORT + above_here))
    with activation.open("a", encoding="utf-8") as file:
        file.write("\n\n" + function)
    edit(
        functional / "__init__.py",
        ("    softplus,\n", "    softplus,\n    softsign,\n"),
        ('    "softplus",\n', '    "softplus",\n    "softsign",\n'),
    )
    return tree


def pytest_in(tree, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_operation_passes_all_tests_of_the_table(followed):
    table = "tests/ops/test_ops_samples.py"
    chosen = "SoftSign or has_a_sample or unique_names or run_their_operations"
    code, output = pytest_in(followed, table, "-k", chosen)
    assert code == 0, output
    passed = int(re.search(r"(\d+) passed", output)[1])
    assert passed > 20, output  # of several shapes, by all checks


@pytest.mark.slow
def test_without_samples_a_test_names_the_class(followed):
    samples = followed / "tests" / "ops" / "op_samples_activations.py"
    whole = samples.read_text(encoding="utf-8")
    try:
        edit(samples, (blocks()[1].strip(), ""))
        code, output = pytest_in(followed, "tests/ops/test_ops_samples.py", "-k", "has_a_sample")
    finally:
        samples.write_text(whole, encoding="utf-8")
    assert code == 1
    assert "SoftSign" in output
