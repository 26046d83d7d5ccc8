"""The inputs on which PyTorch tests its tensor functions, replayed through tinytrain."""

import warnings

import numpy as np
import pytest

import tinytrain as tt
from tests.oracle.known_differences import LEFT_OUT, UNSTABLE
from tests.oracle.replay import (
    LeftOut,
    Tally,
    compare,
    compare_gradients,
    convert,
    flat,
)
from tinytrain.nn import functional as F

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's tables import

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

DTYPES = ("float64", "float32", "int64", "bool")
CALLED_DIFFERENTLY = {
    "where": lambda x, condition, y: tt.where(condition, x, y),
    "einsum": lambda tensors, equation: tt.einsum(equation, *tensors),
    "nn.functional.embedding": lambda weight, ids, **settings: F.embedding(ids, weight, **settings),
    "T": lambda x: x.T,
    "bool": lambda x: x.bool(),  # tt.bool is the dtype
    "__rmatmul__": lambda x, y: y @ x,
    "__rdiv__": lambda x, y: y / x,
    "split_with_sizes": lambda x, sizes, *dim: x.split(sizes, *dim),
}
"""PyTorch's tables put the tensor that is differentiated first."""


def function_of(name):
    """Return tinytrain's function or method of a name in PyTorch's tables, or None."""
    if name in CALLED_DIFFERENTLY:
        return CALLED_DIFFERENTLY[name]
    last = name.split(".")[-1]
    if name.startswith("nn.functional."):
        return getattr(F, last, None)
    if name.startswith("linalg."):
        return getattr(tt.linalg, last, None)
    if "." in name:  # max.binary and the like are functions without the ending
        last = name.split(".")[0]
    return getattr(tt, last, None) or getattr(tt.Tensor, last, None)


def entries(functional):
    """List what PyTorch's table has of functions that tinytrain has, by name with variant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    named = [(".".join(filter(None, (op.name, op.variant_test_name))), op) for op in op_db]
    return [
        (name, op)
        for name, op in named
        if op.name.startswith("nn.functional.") is functional
        and name not in LEFT_OUT
        and function_of(op.name) is not None
    ]


def samples_of(op, dtype):
    """List the samples of one dtype, the same in every run."""
    if dtype not in op.dtypes:
        return []
    torch.manual_seed(0)
    np.random.seed(0)
    differentiate = dtype == torch.float64 and op.supports_autograd
    return list(op.sample_inputs("cpu", dtype, requires_grad=differentiate))


def replay(name, op, dtype, sample):
    """Hold one sample's outputs, and in float64 its gradients, against PyTorch's."""
    leaves = []
    given = convert(torch, (sample.input, *sample.args), leaves)
    settings = convert(torch, sample.kwargs, leaves)
    try:
        expected = flat(op(sample.input, *sample.args, **sample.kwargs))
    except Exception as error:
        raise LeftOut(f"PyTorch raises itself: {error}") from error
    found = flat(function_of(op.name)(*given, **settings))
    free_order = op.name in UNSTABLE and not dtype.is_floating_point
    compare(torch, found, expected, skip_integers=free_order)
    compare_gradients(torch, found, expected, leaves)


@pytest.mark.parametrize(
    ("family", "functional"), [("tensor functions", False), ("nn.functional", True)]
)
def test_functions(family, functional):
    tally = Tally(family)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, op in entries(functional):
            for dtype in (getattr(torch, name) for name in DTYPES):
                for sample in samples_of(op, dtype):
                    tally.run(
                        name,
                        lambda s=sample, d=dtype: f"{d} {s.summary()}",
                        lambda s=sample, d=dtype, n=name, o=op: replay(n, o, d, s),
                    )
    tally.close()
