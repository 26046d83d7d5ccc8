"""The house: imports run downward only, one file knows the GPU library, and importing is light."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinytrain
import tinytrain.testing.mock
from docs import house, reference

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tinytrain"

FLOORS = [
    {
        "backend",
        "allocator",
        "checks",
        "dtypes",
        "generator",
        "twister",
        "in_place",
        "view_families",
        "data",
    },
    {"autograd", "anomaly", "kernels", "memory"},
    {"ops"},
    {"tensor", "tensor_methods", "creation", "functions", "linalg"},
    {"nn", "optim"},
    {"train", "models", "explain", "testing"},
    {"__main__"},
    {"__init__"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS, start=1) for name in names}


def module_name(path, package):
    """Return the dotted name of a file: tinytrain/ops/shape.py is tinytrain.ops.shape."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(source, name, is_package, modules):
    """Yield the modules that a source text imports, wherever in it: functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if is_package else name.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}".rstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules else base


def draw(package=PACKAGE):
    """Return, for each module of a package, which modules of the same package it imports."""
    files = {module_name(path, package): path for path in package.rglob("*.py")}
    drawing = {}
    for name, path in files.items():
        found = imported_by(path.read_text(), name, path.name == "__init__.py", files)
        drawing[name] = {other for other in found if other in files and other != name}
    return drawing


def part_of(name):
    """Return the part of the house a module belongs to: tinytrain.ops.shape is in ops."""
    return [*name.split("."), "__init__"][1]


def floor_of(name):
    return FLOOR_OF[part_of(name)]


def upward_imports(drawing):
    return sorted(
        f"{name} (floor {floor_of(name)}) imports {other} (floor {floor_of(other)})"
        for name, others in drawing.items()
        for other in others
        if floor_of(other) > floor_of(name)
    )


def circles(drawing):
    """Return the modules that are left when those are taken away that import nothing left."""
    left = {name: set(others) for name, others in drawing.items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for name in leaves:
            del left[name]
    return sorted(left)


def test_every_module_has_a_floor():
    homeless = {part_of(name) for name in draw()} - FLOOR_OF.keys()
    assert not homeless, f"not on a floor of the house: {sorted(homeless)}"


def test_no_import_runs_upward():
    assert upward_imports(draw()) == []


def test_no_import_runs_in_a_circle():
    assert circles(draw()) == []


def test_no_two_parts_of_a_floor_import_each_other():
    parts = {}
    for name, others in draw().items():
        ours = parts.setdefault(part_of(name), set())
        ours |= {part_of(other) for other in others} - {part_of(name)}
    assert circles(parts) == []


def test_the_drawing_is_of_the_whole_house():
    drawing = draw()
    assert len(drawing) == len(list(PACKAGE.rglob("*.py"))) > 30
    assert "tinytrain.backend" in drawing["tinytrain.autograd"]
    assert (
        "tinytrain.ops.shape" in drawing["tinytrain.tensor_methods.shapes"]
    )  # from tinytrain.ops import shape
    assert "tinytrain.tensor" in drawing["tinytrain"]


@pytest.fixture
def crooked(tmp_path):
    """A small house with one upward import and one circle, both hidden."""
    house = tmp_path / "tinytrain"
    sources = {
        "__init__.py": "from tinytrain import tensor",
        "backend.py": "import numpy",
        "tensor.py": "from tinytrain.ops.shape import Reshape",
        "ops/__init__.py": "",
        "ops/shape.py": "from . import index\nfrom .. import backend",
        "ops/index.py": "def late():\n    from tinytrain.ops import shape",
        "autograd.py": "if True:\n    from .tensor import Tensor",
    }
    for name, source in sources.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(source)
    return draw(house)


def test_an_upward_import_would_be_found(crooked):
    assert upward_imports(crooked) == [
        "tinytrain.autograd (floor 2) imports tinytrain.tensor (floor 4)"
    ]


def test_a_circle_would_be_found(crooked):
    assert {"tinytrain.ops.shape", "tinytrain.ops.index"} <= set(circles(crooked))
    assert "tinytrain.backend" not in circles(crooked)


# ---------------------------------------------------------------- who knows the GPU library


def names_cupy(source):
    """Whether a source text imports CuPy, by a statement or by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(a.name.split(".")[0] == "cupy" for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cupy":
            return True
        if isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if any(str(name).split(".")[0] == "cupy" for name in names):
                return True
    return False


def test_only_the_backend_and_the_kernels_import_cupy():
    knowing = {
        part_of(module_name(p, PACKAGE)) for p in PACKAGE.rglob("*.py") if names_cupy(p.read_text())
    }
    assert "backend" in knowing
    assert knowing <= {"backend", "kernels"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import cupy as cp", True),
        ("def f():\n    from cupy.cuda import runtime", True),
        ("import importlib\nimportlib.import_module('cupy.cublas')", True),
        ("__import__('cupy')", True),
        ("# import cupy\nx = 'cupy'\nimport cupyx_like", False),
    ],
)
def test_every_way_to_import_cupy_would_be_found(source, found):
    assert names_cupy(source) is found


# ---------------------------------------------------------------- importing


def in_fresh_interpreter(code, **environment):
    """Run code in a new Python that sees this repository, and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_importing_brings_no_heavy_library():
    loaded = json.loads(
        in_fresh_interpreter("import sys, json, tinytrain; print(json.dumps(sorted(sys.modules)))")
    )
    heavy = {"torch", "matplotlib", "sklearn", "cupy", "scipy", "pandas", "hypothesis", "pytest"}
    assert "tinytrain.tensor" in loaded
    assert not heavy & set(loaded)


MEASURE = """
from time import process_time
start = process_time()
import numpy
middle = process_time()
import tinytrain
print(middle - start, process_time() - middle)
"""
NUMPY_SECONDS = 0.1  # what `import numpy` takes on a processor that has nothing else to do


def test_importing_is_quick(tmp_path):
    """The best of three; where NumPy itself takes longer than usual, the machine is busy.

    Python compiles a file at its first import, and keeps the result, here in a folder of the test.
    """
    settings = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    in_fresh_interpreter(MEASURE, **settings)
    runs = [in_fresh_interpreter(MEASURE, **settings).split() for _ in range(3)]
    of_numpy, of_tinytrain = (min(map(float, times)) for times in zip(*runs, strict=True))
    limit = 0.25 * max(1.0, of_numpy / NUMPY_SECONDS)
    assert of_tinytrain < limit, f"import tinytrain takes {of_tinytrain:.3f} s beyond numpy"


def test_importing_changes_nothing_in_numpy():
    code = (
        "import json, numpy as np\n"
        "def look():\n"
        "    return [{n: id(v) for n, v in vars(m).items()} for m in (np, np.random, np.linalg)]\n"
        "before, errors = look(), np.geterr()\n"
        "import tinytrain\n"
        "after = look()\n"
        "changed = [n for b, a in zip(before, after) for n in b if a.get(n) != b[n]]\n"
        "print(json.dumps([changed, errors == np.geterr()]))\n"
    )
    assert json.loads(in_fresh_interpreter(code)) == [[], True]


def test_this_repository_is_what_is_tested():
    assert Path(tinytrain.__file__).resolve().parent == PACKAGE
    assert (PACKAGE / "py.typed").exists()


def test_public_names_exist_and_are_listed_once():
    assert len(set(tinytrain.__all__)) == len(tinytrain.__all__)
    assert all(hasattr(tinytrain, name) for name in tinytrain.__all__)
    assert tinytrain.float32 == np.float32


NAMESPACES = [
    tinytrain,
    tinytrain.data,
    tinytrain.explain,
    tinytrain.linalg,
    tinytrain.memory,
    tinytrain.models,
    tinytrain.nn,
    tinytrain.nn.functional,
    tinytrain.nn.init,
    tinytrain.optim,
    tinytrain.optim.lr_scheduler,
    tinytrain.testing,
    tinytrain.testing.mock,
    tinytrain.train,
]


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda namespace: namespace.__name__)
def test_every_public_name_has_an_example(namespace):
    documented = {name: getattr(namespace, name).__doc__ for name in reference.offered(namespace)}
    example = r"\n *Examples\n *-{8}\n(?s:.*)>>> "
    assert [name for name, text in documented.items() if not re.search(example, text or "")] == []


def test_only_what_users_need_is_public():
    assert {"xp_of"} <= set(tinytrain.__all__)
    assert {"check_source"} <= set(tinytrain.testing.__all__)
    assert not {"FlatBuffer", "gradient_arrays"} & set(tinytrain.optim.__all__)


def test_the_reference_has_every_namespace():
    assert {namespace.__name__ for namespace in NAMESPACES} == set(reference.NAMESPACES)
    index = (ROOT / "docs/api/index.md").read_text().split()
    for page in (ROOT / "docs/api").glob("*.md"):
        assert page.stem in {*index, "index"}


def test_what_a_class_inherits_is_in_the_reference():
    page = reference.reference()["tinytrain"]
    assert ".. autoclass:: tinytrain.Tensor\n   :members:\n   :inherited-members:" in page
    assert not reference.inherited(tinytrain.Tensor, reference.entries())
    optimizers = reference.reference()["tinytrain.optim"]
    assert ":py:obj:`step <tinytrain.optim.Optimizer.step>`" in optimizers


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)


def test_no_test_hides_another_of_its_name():
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        for scope in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef))]:
            tests = [
                node.name
                for node in scope.body
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
            ]
            assert len(set(tests)) == len(tests), path


def test_map_and_reading_order_are_one():
    stops = re.findall(r"(?m)^## \d+\. `(.+)`$", (ROOT / "docs/reading.md").read_text())
    rows = re.findall(r"(?m)^\| `(.+?)` \|", (ROOT / "README.md").read_text())
    assert rows == stops
    assert len(stops) > 15


def test_the_readme_knows_how_long_the_spine_is():
    readme = (ROOT / "README.md").read_text()
    files, lines, total = (
        int(number.replace(",", ""))
        for number in re.search(
            r"the (\d+) files of the \[reading order\].*?has ([\d,]+) lines.*?has ([\d,]+)\.",
            readme,
            re.DOTALL,
        ).groups()
    )
    assert files == len(house.spine())
    assert lines == pytest.approx(sum(map(house.lines_of, house.spine())), rel=0.1)
    assert total == pytest.approx(house.lines_of(PACKAGE), rel=0.1)


def test_the_design_tells_of_every_part():
    design = (ROOT / "docs/design.md").read_text()
    table = design[design.index("| part |") : design.index("Why a rule so strict?")]
    told = re.findall(r"`([^`]+)`", "".join(row.split("|")[1] for row in table.splitlines() if row))
    assert sorted(told) == sorted({house.part_of(name) for name in house.modules()})


def test_every_page_has_its_place():
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    index = (ROOT / "docs/index.md").read_text()
    tree = index[index.index("{toctree}") :].split()
    assert pages <= set(tree)
    assert all(f"]({page}.md)" in index for page in pages)


def test_the_map_in_the_readme_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    readme_blocks = importlib.import_module("readme_blocks")
    readme_blocks.check_map((ROOT / "README.md").read_text(encoding="utf-8"))
