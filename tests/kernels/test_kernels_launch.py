"""Launching: a kernel's declaration is read, and every argument that does not fit is refused."""

import numpy as np
import pytest

from tinytrain.kernels import launch as launching
from tinytrain.kernels.launch import NULL, Parameter, declarations, launch, source_text
from tinytrain.testing.mock import kernels as mock_kernels
from tinytrain.testing.mock import ledger

EVERY_TYPE = """
// extern "C" __global__ void not_this(int* x) {}
extern "C" __global__ void fill(  // a comment, with a comma
    const real* x, float *y_or_null,
    unsigned long long key, unsigned int few, long long many, int n, double d, float f, real r,
    bool* mask
) { }
extern "C" __global__ void second(int n) {}
"""


def test_declarations():
    found = declarations(EVERY_TYPE)
    assert list(found) == ["fill", "second"]
    assert found["fill"] == (
        Parameter("x", "real", True),
        Parameter("y_or_null", "float", True),
        Parameter("key", "unsigned long long", False),
        Parameter("few", "unsigned int", False),
        Parameter("many", "long long", False),
        Parameter("n", "int", False),
        Parameter("d", "double", False),
        Parameter("f", "float", False),
        Parameter("r", "real", False),
        Parameter("mask", "bool", True),
    )


@pytest.mark.parametrize("text", ["short* x", "int** x", "float", "int x[3]", "unsigned x", ""])
def test_a_parameter_that_cannot_be_read_is_an_error(text):
    with pytest.raises(ValueError, match="kernel f: cannot read the parameter"):
        declarations(f'extern "C" __global__ void f({text}) {{}}')


@pytest.fixture
def probe(on_mock, monkeypatch):
    """A kernel with a parameter of every type, which notes what it gets."""
    seen = []
    text = "typedef {real} real;\n" + EVERY_TYPE
    monkeypatch.setattr(launching, "source_text", lambda source, real: text.replace("{real}", real))
    monkeypatch.setitem(mock_kernels.REFERENCES, "fill", lambda *values: seen.append(values))
    caches = (launching._parameters, launching._module, launching._function)
    for cache in caches:
        cache.cache_clear()
    yield seen
    for cache in caches:
        cache.cache_clear()


PARAMETERS = ("x", "y_or_null", "key", "few", "many", "n", "d", "f", "r", "mask")


def arguments(mock, dtype="float32", **changed):
    values = {
        "x": mock.zeros(3, dtype=dtype),
        "y_or_null": None,
        "key": 2**64 - 1,
        "few": 2**32 - 1,
        "many": -(2**63),
        "n": -(2**31),
        "d": 1e300,
        "f": 0.1,
        "r": 0.1,
        "mask": mock.zeros(3, dtype=bool),
    }
    return list((values | changed).values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_arrive_with_exactly_the_declared_type(probe, on_mock, dtype):
    launch("any", "fill", 1, arguments(on_mock, dtype))
    ((x, y, *numbers, _),) = probe
    assert x.dtype == dtype
    assert y is NULL
    types = [np.uint64, np.uint32, np.int64, np.int32, np.float64, np.float32, np.dtype(dtype).type]
    assert [type(value) for value in numbers] == types
    assert numbers[:4] == [2**64 - 1, 2**32 - 1, -(2**63), -(2**31)]
    assert numbers[4:] == [1e300, np.float32(0.1), types[-1](0.1)]


def test_infinity_and_whole_numbers_are_floats_too(probe, on_mock):
    launch("any", "fill", 1, arguments(on_mock, f=float("inf"), d=2, r=np.float64(0.5)))
    assert probe[0][6:9] == (2.0, np.inf, 0.5)


REFUSED = {
    "int too large": ({"n": 2**31}, OverflowError, "fill: n must be a number of int32, and 2147"),
    "int too small": ({"n": -(2**31) - 1}, OverflowError, "int32"),
    "unsigned of less than nothing": ({"few": -1}, OverflowError, "few must be a number of uint32"),
    "long too large": ({"many": 2**63}, OverflowError, "many must be a number of int64"),
    "key too large": ({"key": 2**64}, OverflowError, "key must be a number of uint64"),
    "float for an int": ({"n": 1.0}, TypeError, "n must be a number of int32, got 1.0"),
    "bool for an int": ({"n": True}, TypeError, "n must be a number of int32, got True"),
    "text": ({"f": "1"}, TypeError, "f must be a number of float32, got '1'"),
    "None for a number": ({"d": None}, TypeError, "d must be a number of float64, got None"),
    "float too large": ({"f": 1e39}, OverflowError, "f must be a number of float32"),
    "real too large": ({"r": -1e39}, OverflowError, "r must be a number of float32"),
    "None for an array": ({"mask": None}, TypeError, "mask must be an array of bool, got None"),
    "number for an array": ({"mask": 3}, TypeError, "mask must be an array of bool, got int"),
    "host array": ({"mask": np.zeros(3, bool)}, TypeError, "mask must be in the memory of the dev"),
    "host array first": ({"x": np.zeros(3, np.float32)}, TypeError, "x must be in the memory of"),
}


@pytest.mark.parametrize(("changed", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments_are_refused(probe, on_mock, changed, error, message):
    with pytest.raises(error, match=message):
        launch("any", "fill", 1, arguments(on_mock, **changed))
    assert probe == []


def test_arrays_of_another_dtype_are_refused(probe, on_mock):
    double = on_mock.zeros(3, dtype="float64")
    with pytest.raises(TypeError, match="y_or_null must be an array of float32, got float64"):
        launch("any", "fill", 1, arguments(on_mock, y_or_null=double))
    with pytest.raises(TypeError, match="mask must be an array of bool, got float64"):
        launch("any", "fill", 1, arguments(on_mock, mask=double))
    half = on_mock.zeros(3, dtype="float16")
    with pytest.raises(TypeError, match=r"x is float16, but the kernels .* convert it with"):
        launch("any", "fill", 1, arguments(on_mock, x=half))
    assert probe == []


def test_arrays_with_gaps_are_refused(probe, on_mock):
    gaps = on_mock.zeros((3, 4), dtype=bool)[:, ::2]
    with pytest.raises(ValueError, match=r"mask must be contiguous, got shape \(3, 2\) with str"):
        launch("any", "fill", 1, arguments(on_mock, mask=gaps))
    assert probe == []


@pytest.mark.parametrize("count", [9, 11])
def test_another_number_of_arguments_is_refused(probe, on_mock, count):
    values = [*arguments(on_mock), 1][:count]
    with pytest.raises(TypeError, match=rf"fill takes 10 arguments \(x, y_or_null, .*got {count}"):
        launch("any", "fill", 1, values)


def test_without_an_array_there_is_no_device(probe, on_mock):
    with pytest.raises(TypeError, match="kernel second got no array of the device"):
        launch("any", "second", 1, [1])


@pytest.mark.parametrize("blocks", [-1, 2**31])
def test_numbers_of_blocks_that_no_grid_has(probe, on_mock, blocks):
    with pytest.raises(ValueError, match="fill needs 0 to 2147483647 blocks"):
        launch("any", "fill", blocks, arguments(on_mock))


def test_without_blocks_nothing_is_launched(probe, on_mock):
    values = arguments(on_mock)
    with ledger.record() as noted:
        launch("any", "fill", 0, values)
        assert noted.launch_count == 0
        launch("any", "fill", 1, values)
    assert noted.launch_count == len(probe) == 1


def test_a_kernel_that_the_source_lacks(on_mock):
    with pytest.raises(KeyError, match="unheard_of"):
        launch("gelu", "unheard_of", 1, [])


def test_a_source_is_compiled_once_for_each_type(on_mock, monkeypatch):
    made = []

    class Counting(mock_kernels.RawModule):
        def __init__(self, code, options=()):
            made.append(code.split(";")[0])
            super().__init__(code, options)

    monkeypatch.setattr(on_mock, "RawModule", Counting)
    launching._module.cache_clear()
    launching._function.cache_clear()
    for dtype in ("float32", "float64", "float32", "float64"):
        x = on_mock.zeros(3, dtype=dtype)
        launch("gelu", "gelu_tanh", 1, [x, x, None, 3])
        launch("gelu", "gelu_exact", 1, [x, x, None, 3])
    assert made == ["typedef float real", "typedef double real"]
    launching._module.cache_clear()
    launching._function.cache_clear()


def test_every_source_says_what_real_is():
    for real in ("float", "double"):
        text = source_text("softmax", real)
        assert text.startswith(f"typedef {real} real;\n#define LARGEST ")
        assert text.index("block_largest(real mine)") < text.index("void softmax_rows")
