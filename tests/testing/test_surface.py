"""The snapshot of CuPy's surface: what it says, how calls are held against it, how it is made."""

import importlib.util
import inspect
import json
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.testing.surface import Signature, surface

SCRIPT = Path(__file__).with_name("record_cupy_surface.py")
FILE = Path(inspect.getfile(Signature)).with_name("cupy_surface.json")


@pytest.fixture(scope="module")
def recorder():
    """The script that writes the snapshot, as a module."""
    spec = importlib.util.spec_from_file_location("record_cupy_surface_tested", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- facts


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sum", "a, axis=, dtype=, out=, keepdims="),
        ("clip", "a, a_min, a_max, out="),
        ("take", "a, indices, axis=, out="),
        ("zeros", "shape, dtype=, order="),
        ("astype", "x, dtype, /, *, copy="),
        ("indices", "dimensions, dtype="),
        ("linalg.norm", "x, ord=, axis=, keepdims="),
    ],
)
def test_functions_have_their_parameters(name, parameters):
    assert surface().function(name).parameters == parameters


@pytest.mark.parametrize(
    "name",
    ["einsum_path", "vecdot", "matvec", "geomspace", "insert", "block", "frompyfunc", "unstack"],
)
def test_what_cupy_lacks_is_missing(name):
    assert not surface().knows(name)
    assert surface().function(name) is None


def test_methods_of_ufuncs_that_work():
    ufuncs = surface().ufuncs
    assert len(ufuncs) > 90
    having = {
        method: {name for name, ufunc in ufuncs.items() if method in ufunc.methods}
        for method in ("at", "reduce", "accumulate", "reduceat")
    }
    assert having["reduce"] == having["accumulate"] == {"add", "multiply"}
    assert having["reduceat"] == {"add"}
    assert {"add", "maximum", "minimum", "subtract"} <= having["at"]
    assert "multiply" not in having["at"]


def test_arrays_lack_some_methods_and_operators():
    cupy = surface()
    assert cupy.method("setflags") is None
    assert cupy.method("resize") is None
    assert cupy.method("sum").check(0, ["keepdims"]) is None
    assert cupy.has_property("shape")
    assert not cupy.has_property("sum")
    missing = {"__index__", "__imatmul__", "__contains__", "__round__"}
    assert not missing & cupy.operators
    assert {"__add__", "__iadd__", "__matmul__", "__getitem__", "__float__"} <= cupy.operators


def test_constants_are_numbers_and_dtypes():
    cupy = surface()
    for name in ("inf", "pi", "newaxis", "float32", "bool_", "int64", "floating", "dtype"):
        assert cupy.is_constant(name)
    for name in ("sum", "exp", "linalg", "ndarray", "mgrid", "bfloat16"):
        assert not cupy.is_constant(name)


def test_no_name_is_two_things():
    cupy = surface()
    kinds = (cupy.functions, cupy.ufuncs, cupy.constants, cupy.classes, cupy.modules, cupy.objects)
    assert sum(map(len, kinds)) == len({name for kind in kinds for name in kind})
    assert not cupy.methods.keys() & cupy.properties


def test_the_snapshot_is_read_once():
    assert surface() is surface()


def test_the_file_has_one_entry_a_line_and_is_small():
    text = FILE.read_text()
    entries = sum(1 if isinstance(v, str) else len(v) for v in json.loads(text).values())
    assert len(text) < 60_000
    assert entries < text.count("\n") < entries + 30


# ---------------------------------------------------------------- checking a call


@pytest.mark.parametrize(
    ("parameters", "positional", "keywords", "said"),
    [
        ("a, b=", 1, [], None),
        ("a, b=", 0, ["a"], None),
        ("a, b=", 0, ["b"], "f needs the argument 'a'"),
        ("a, b=", 3, [], "f takes at most 2 positional arguments (a, b), not 3"),
        ("a, b=", 1, ["c"], "f takes no argument 'c'; it takes a, b"),
        ("a, b=", 2, ["b"], "f gets the argument 'b' twice, by position and by name"),
        ("x, /, out=, *, dtype=", 1, ["x"], "f takes no argument 'x'; it takes x, out, dtype"),
        ("x, /, out=, *, dtype=", 3, [], "f takes at most 2 positional arguments (x, out), not 3"),
        ("*, index", 0, [], "f needs the argument 'index'"),
        ("*, index", 0, ["index"], None),
        ("*arrays, axis=", 9, ["axis"], None),
        ("*arrays, axis=", 9, ["dim"], "f takes no argument 'dim'; it takes *arrays, axis"),
        ("x, **rest", 1, ["anything"], None),
        ("", 0, [], None),
        ("", 1, [], "f takes at most 0 positional arguments (none), not 1"),
        ("", 0, ["a"], "f takes no argument 'a'; it takes none"),
    ],
)
def test_check_says_what_does_not_fit(parameters, positional, keywords, said):
    assert Signature("f", parameters).check(positional, keywords) == said


NOTATIONS = [
    "a, b=, c=", "a, b, /, c=", "a, /, b, *, c, d=", "*, a=", "a, *rest, b=", "a=, **rest", "",
]  # fmt: skip


@given(
    st.sampled_from(NOTATIONS),
    st.integers(0, 4),
    st.sets(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=3),
)
def test_check_agrees_with_python(notation, positional, keywords):
    scope = {}
    exec(f"def f({notation.replace('=', '=0')}): pass", scope)
    try:
        scope["f"](*range(positional), **dict.fromkeys(keywords, 0))
        fits = True
    except TypeError:
        fits = False
    assert (Signature("f", notation).check(positional, keywords) is None) == fits


@pytest.mark.parametrize("notation", [*NOTATIONS, "a, b, /", "*, a, b=", "a, /, *rest, b, **more"])
def test_the_recorder_writes_what_the_reader_reads(recorder, notation):
    scope = {}
    exec(f"def f({notation.replace('=', '=0')}): pass", scope)
    assert recorder.parameters_of("f", scope["f"]) == notation


# ---------------------------------------------------------------- the script


def test_compiled_code_is_read_from_its_documentation(recorder):
    def compiled():
        """_base.sort(self, int axis=-1, kind=None) -> array."""

    assert recorder.parameters_of_documentation(compiled) == "axis=, kind="


def test_the_difference_names_the_entries(recorder):
    committed = '{\n  "a": "x",\n  "b": "y"\n}\n'
    said = recorder.difference(committed, committed.replace('"y"', '"y, axis="'))
    assert '-  "b": "y"' in said
    assert '+  "b": "y, axis="' in said
    assert '"a"' not in said
    assert recorder.difference(committed, committed) == ""


def test_text_and_json_agree(recorder):
    found = json.loads(FILE.read_text())
    assert recorder.as_text(found) == FILE.read_text()


def test_the_snapshot_is_that_of_the_installed_cupy(recorder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cupy = pytest.importorskip("cupy")
    if cupy.__version__ != surface().version:
        pytest.skip(f"the snapshot is of CuPy {surface().version}, not {cupy.__version__}")
    if cupy.cuda.is_available():
        pytest.skip("probing host memory is for machines without a visible GPU")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert recorder.difference(FILE.read_text(), recorder.as_text(recorder.record(cupy))) == ""
