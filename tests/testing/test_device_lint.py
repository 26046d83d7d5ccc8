"""The device lint: every planted error is found on its line, and tinytrain itself is clean."""

from pathlib import Path

import pytest

import tinytrain
from tinytrain.testing.device_lint import Problem, check_source

PACKAGE = Path(tinytrain.__file__).resolve().parent

HOST_FILES = {
    "backend.py": "the doors between host and device",
    "creation.py": "makes arrays from Python values on the host, then brings them over",
    "generator.py": "draws random numbers on the host",
    "twister.py": "reads the state of the host's random stream",
    "anomaly.py": "looks at every value, on purpose",
    "allocator.py": "settings of the host's memory",
    "data/": "data sets and batches live in host memory",
    "explain/": "draws pictures on the host",
    "kernels/adamw.py": "a kernel's NumPy form",
    "kernels/blocks.py": "a kernel's NumPy form",
    "kernels/cpu.py": "the kernels' NumPy forms",
    "kernels/philox.py": "a kernel's NumPy form",
    "kernels/scatter.py": "a kernel's NumPy form",
    "kernels/special.py": "a kernel's NumPy form",
    "models/gpt.py": "samples tokens on the host",
    "testing/": "compares and reports on the host",
    "train/numpy_source.py": "looks at NumPy's random generators, which are on the host",
    "train/checkpoint.py": "writes and reads files",
    "train/checkpoint_manifest.py": "writes and reads files",
    "train/nested_state.py": "packs states, whose arrays are in host memory",
    "train/random_state.py": "looks at random generators, which are on the host",
    "train/split_batch.py": "counts the sequences of batches in host memory",
    "train/row_comparison.py": "compares inputs and outputs of layers on the host",
    "train/verify.py": "compares gradients on the host",
}
DEVICE_FILES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if not path.relative_to(PACKAGE).as_posix().startswith(tuple(HOST_FILES))
)

HEADER = "import math\nimport numpy as np\nfrom tinytrain import backend\n"


def problems_of(code):
    """The problems of code that stands below a few imports, as (line, message) from line 1."""
    found = check_source(HEADER + code)
    return [(problem.line - HEADER.count("\n"), problem.message) for problem in found]


def in_forward(body, parameters="self, x"):
    """A method `forward` whose first line of body is line 3."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def forward({parameters}):\n    xp = xp_of(x)\n{lines}\n"


# Each: the third line of a forward method, and a part of what must be said about it.
PLANTED = [
    ("return xp.geomspace(1, 2)", "no xp.geomspace"),
    ("return backend.xp_of(x).vecdot(x, x)", "no xp.vecdot"),
    ("return xp.linalg.vector_norm(x)", "no xp.linalg.vector_norm"),
    ("return xp.sum(x, where=x > 0)", "cupy.sum takes no argument 'where'"),
    ("return xp.max(x, initial=0)", "cupy.max takes no argument 'initial'"),
    ("return xp.add(x, x, where=x > 0)", "cupy.add takes no argument 'where'"),
    ("return xp.clip(x, min=0, max=1)", "cupy.clip takes no argument 'max'"),
    ("return xp.take(x, x, mode='clip')", "cupy.take takes no argument 'mode'"),
    ("return xp.indices(x.shape, sparse=True)", "cupy.indices takes no argument 'sparse'"),
    ("return xp.sum(x, *[0], where=x)", "cupy.sum takes no argument 'where'"),
    ("return xp.broadcast_to(x, (2,), True, 4)", "cupy.broadcast_to takes at most 2 positional"),
    ("return xp.maximum(x)", "cupy.maximum needs the argument 'x2'"),
    ("xp.multiply.at(x, 0, 1)", "no xp.multiply.at"),
    ("return xp.maximum.reduce(x)", "no xp.maximum.reduce"),
    ("return xp.add.reduce(x, where=x)", "cupy.add.reduce takes no argument 'where'"),
    ("return xp.random.normal(size=3)", "random stream"),
    ("return xp.zeros(x.shape)", "xp.zeros without dtype= gives float64"),
    ("return xp.full(x.shape, 1.0)", "xp.full without dtype= gives float64"),
    ("return xp.asarray(2.0, dtype=x.dtype)", "copies a number or a host array"),
    ("return np.exp(x)", "write xp_of(x).exp, math.exp for a number"),
    ("return x * np.sqrt(2)", "math.sqrt for a number"),
    ("return np.concatenate([x, x])", "write xp_of(x).concatenate"),
    ("return np.add.at(x, 0, 1)", "write xp_of(x).add"),
    ("return np.asarray(x)", "np.asarray makes a host array"),
    ("return x * np.float64(2)", "turns float32 into float64"),
    ("return x + np.random.default_rng(0).normal()", "np.random draws on the host"),
    ("from numpy import exp", "write xp_of(x).exp"),
    ("import cupy", "only the backend and the kernels import CuPy"),
    ("from cupy.cuda import runtime", "only the backend and the kernels import CuPy"),
    ("cp = importlib.import_module('cupy')", "only the backend and the kernels import CuPy"),
    ("cp = __import__('cupyx.profiler')", "only the backend and the kernels import CuPy"),
    ("x.setflags(write=False)", "no .setflags"),
    ("x.resize(3)", "no .resize"),
    ("return x.sum(where=x > 0)", "a CuPy array's .sum takes no argument 'where'"),
    ("return x.max(axis=0, initial=0)", "a CuPy array's .max takes no argument 'initial'"),
    ("return x.take(x, mode='wrap')", "a CuPy array's .take takes no argument 'mode'"),
    ("return x.sum().item()", ".item() waits"),
    ("return x.tolist()", ".tolist() waits"),
    ("return x.nonzero()", ".nonzero() waits"),
    ("return xp.flatnonzero(x)", "xp.flatnonzero waits"),
    ("return xp.unique(x)", "xp.unique waits"),
    ("return xp.where(x > 0)", "xp.where waits"),
    ("return float(x)", "float(...) of an array waits"),
    ("return int(x)", "int(...) of an array waits"),
    ("return math.sqrt(x)", "math.sqrt(...) of an array waits"),
    ("if x: return x", "the truth of an array waits"),
    ("while not x: pass", "the truth of an array waits"),
    ("return 1 if x.any() else 2", "the truth of an array waits"),
    ("return x[x > 0]", "boolean mask"),
    ("x[~x] = 0", "boolean mask"),
    ("return x[:, [0, 2]]", "a list as index"),
]


@pytest.mark.parametrize(("line", "said"), PLANTED)
def test_a_planted_error_is_named_with_its_line(line, said):
    found = problems_of(in_forward(line))
    assert [number for number, message in found if said in message] == [3], found


@pytest.mark.parametrize(("line", "said"), PLANTED)
def test_a_reason_excuses_the_line_and_an_empty_one_does_not(line, said):
    assert problems_of(in_forward(f"{line}  # host: a table of constants")) == []
    found = problems_of(in_forward(f"{line}  # host:"))
    assert any(said in message for _, message in found)
    assert (3, "an excuse gives its reason: # host: why") in found


CLEAN = [
    "return xp.exp(x, out=x) + xp.where(x > 0, x, 0.0)",
    "xp.add.at(x, (x, 0), x)",
    "return xp.zeros(x.shape, dtype=x.dtype) + xp.ones(3, bool) + xp.full((), 1.0, np.float32)",
    "return xp.finfo(x.dtype).min, xp.inf, xp.float32, xp.__name__, xp.linalg.norm(x, axis=0)",
    "return x.astype(np.float32, copy=False) if x.dtype == np.bool_ else x * math.sqrt(2)",
    "with np.errstate(divide='ignore'): return np.promote_types(x.dtype, np.float64)",
    "return x.reshape(-1, 2).transpose(1, 0).sum(axis=0, keepdims=True).swapaxes(-1, -2)",
    "if x.ndim == 0 or not x.shape or self.needs: return x",
    "return x[:, None, ..., 1:], x[(0, slice(None))]",
    "names: Callable[[int], str] = sorted([3, 1], key=int)",
    "return float(self.scale) + int(x.shape[0]) + math.prod(x.shape)",
    "host = backend.to_host(x).tolist() + [x.cpu().item()]",
    "return np.array2string(backend.to_host(x))",
    "for name, value in {}.items(): pass",
    "backend.resize(x); os.path.join('a'); self.resize(2)",
    "xp.matmul(x, x, out=x); xp.sum(*[x], **{})",
]


@pytest.mark.parametrize("line", CLEAN)
def test_clean_code_passes(line):
    source = "import os\n" + HEADER + in_forward(line)
    assert check_source(source) == []


def test_names_of_libraries_are_followed():
    code = (
        "def helper(xp, x):\n"
        "    return xp.geomspace(1, 2)\n"
        "def other(x):\n"
        "    library, scale = backend.xp_of(x), 2.0\n"
        "    return library.geomspace(1, scale) + creation_library().geomspace(1, 2)\n"
    )
    assert [line for line, _ in problems_of(code)] == [2, 5, 5]


def test_arrays_of_a_pass_are_its_parameters_and_what_it_saved():
    code = (
        "def backward(self, gradient, count: int, scale: float):\n"
        "    x, = self.saved\n"
        "    y = xp_of(x).exp(x)\n"
        "    if count and scale: return float(count)\n"
        "    if x: return float(y)\n"
        "    return bool(gradient)\n"
    )
    assert [line for line, _ in problems_of(code)] == [5, 5, 6]


def test_other_methods_may_convert():
    assert problems_of("def plan(self, size):\n    return int(size) if size else 0\n") == []


def test_numpy_is_known_under_any_name():
    assert [p.line for p in check_source("import numpy\ny = numpy.exp(2)")] == [2]
    assert [p.line for p in check_source("import numpy as n\ny = n.exp(2)")] == [2]
    assert check_source("from numpy import float32, dtype") == []


def test_an_excuse_holds_for_a_statement_of_several_lines():
    code = "y = np.concatenate(\n    [x, x],  # host: both come from the loader\n)\nz = np.exp(y)\n"
    assert [line for line, _ in problems_of(code)] == [4]


def test_a_mark_in_a_text_is_no_excuse():
    assert [line for line, _ in problems_of("y = np.exp(x), '# host: no comment'")] == [1]


def test_a_file_may_be_allowed_to_import_cupy():
    source = "def f():\n    import cupy\n    return np.exp(2)\nimport numpy as np\n"
    assert [p.line for p in check_source(source)] == [2, 3]
    assert [p.line for p in check_source(source, may_import_cupy=True)] == [3]


def test_problems_come_in_order_and_say_where():
    found = check_source("import numpy as np\nb = np.log(1)\na = np.exp(1)", "op.py")
    assert [p.line for p in found] == [2, 3]
    assert str(found[0]).startswith("op.py:2:4: np.log")
    assert found[0] == Problem(2, 4, found[0].message, "op.py")


def test_what_is_no_python_is_an_error():
    with pytest.raises(SyntaxError):
        check_source("def f(:")


# ---------------------------------------------------------------- tinytrain


@pytest.mark.parametrize("name", DEVICE_FILES)
def test_code_that_gets_device_arrays_is_clean(name):
    path = PACKAGE / name
    found = check_source(path.read_text(), name, may_import_cupy=name.startswith("kernels/"))
    assert found == [], "\n".join(map(str, found))


def test_the_files_looked_at_are_the_ones_that_matter():
    assert {"autograd.py", "tensor.py", "ops/matmul.py", "nn/norm.py"} <= set(DEVICE_FILES)
    assert len(DEVICE_FILES) > 40
    for name in HOST_FILES:
        assert (PACKAGE / name).exists(), name
