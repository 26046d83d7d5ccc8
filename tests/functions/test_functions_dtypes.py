"""Functions of integers and booleans against PyTorch, and where functions and methods meet."""

import inspect

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import functions

FUNCTIONS_ONLY = {"cat", "einsum", "stack", "tensordot"}


def test_every_function_is_a_method_too():
    """Except those of many tensors, and `where`, whose tensor comes second."""
    for name in set(functions.__all__) - FUNCTIONS_ONLY:
        assert callable(getattr(tt.Tensor, name)), name
        assert getattr(tt, name) is getattr(functions, name)


def test_settings_have_the_names_and_defaults_of_the_method():
    """After the first argument, which is the tensor; `axis` and `keepdims` are extra names."""
    for name in set(functions.__all__) - FUNCTIONS_ONLY - {"where"}:
        of_function = list(inspect.signature(getattr(functions, name)).parameters.values())[1:]
        of_method = inspect.signature(getattr(tt.Tensor, name)).parameters
        for parameter in of_function:
            if parameter.name in of_method:
                default = of_method[parameter.name].default
                assert parameter.default == default or default is None, (name, parameter.name)


@pytest.mark.parametrize("name", ["exp", "sum", "reshape", "sort", "mm", "eq", "gather", "isnan"])
def test_bare_arrays_are_refused(name):
    arguments = {"reshape": [(2,)], "mm": [np.ones(2)], "eq": [1], "gather": [0, np.ones(2)]}
    with pytest.raises(TypeError, match=r"a bare ndarray of shape \(2,\): wrap it"):
        getattr(tt, name)(np.ones(2), *arguments.get(name, []))


@pytest.mark.parametrize("call", [lambda: tt.add(1, 2), lambda: tt.maximum(1.0, 2.0)])
def test_one_of_two_operands_is_a_tensor(call):
    with pytest.raises(TypeError, match="one of two operands must be a tensor"):
        call()


def test_two_names_of_one_correction():
    with pytest.raises(TypeError, match="two names of one argument"):
        tt.ones(3).var(unbiased=True, correction=1)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["int64", "int32", "bool", "float32"])
@pytest.mark.parametrize(
    "name",
    [
        *["abs", "sign", "exp", "expm1", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "square"],
        *["floor", "ceil", "trunc", "round", "sum", "prod", "amax", "amin", "argmax", "all", "any"],
        *["logical_not", "isnan", "isinf", "isfinite", "sort", "cumsum", "tril", "flip", "std"],
    ],
)
def test_dtypes_are_those_of_torch(name, dtype):
    torch = pytest.importorskip("torch")
    values = np.array([[3, 0, 1], [2, 5, 1]]).astype(dtype)
    settings = {"flip": {"dims": (0,)}, "cumsum": {"dim": 1}}.get(name, {})
    try:
        expected = getattr(torch, name)(torch.tensor(values), **settings)
    except (RuntimeError, NotImplementedError):
        pytest.skip("PyTorch has no answer")
    found = getattr(tt, name)(tt.from_numpy(values), **settings)
    if name == "sort":
        found, expected = found.values, expected.values
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_rounded_quotients_of_integers(mode):
    torch = pytest.importorskip("torch")
    x, y = np.array([-7, 7, -7, 7, 6]), np.array([2, 2, -2, -2, 3])
    expected = torch.div(torch.tensor(x), torch.tensor(y), rounding_mode=mode)
    found = tt.div(tt.tensor(x), tt.tensor(y), rounding_mode=mode)
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()
