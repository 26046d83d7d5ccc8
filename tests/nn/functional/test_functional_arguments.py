"""Every function of `nn.functional` refuses what is no tensor, and names function and argument."""

import inspect

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.nn import functional as F


def tensor_arguments():
    """Yield each function with the name of each of its arguments that is a tensor."""
    for name in F.__all__:
        for argument, parameter in inspect.signature(getattr(F, name)).parameters.items():
            if "Tensor" in str(parameter.annotation):
                yield name, argument


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(2, np.float32)], ids=["list", "array"])
@pytest.mark.parametrize(("name", "argument"), list(tensor_arguments()))
def test_what_is_no_tensor_is_refused_by_name(name, argument, value):
    function = getattr(F, name)
    arguments = {}
    for other, parameter in inspect.signature(function).parameters.items():
        if "Tensor" in str(parameter.annotation):
            arguments[other] = tt.ones(2)
        elif parameter.default is parameter.empty:
            arguments[other] = None
    kind = type(value).__name__
    with pytest.raises(TypeError, match=rf"^{name}: {argument} must be a tensor, got a .*{kind}"):
        function(**{**arguments, argument: value})


def test_every_function_takes_a_tensor():
    assert {name for name, _ in tensor_arguments()} == set(F.__all__)


@pytest.mark.parametrize("num_heads", [0, -2])
@pytest.mark.parametrize("tiled", [False, True])
def test_packed_attention_needs_a_head(num_heads, tiled):
    with pytest.raises(ValueError, match=f"num_heads must be at least 1, got {num_heads}"):
        F.packed_self_attention(tt.ones(1, 4, 12), num_heads, tiled=tiled)
    with pytest.raises(ValueError, match="num_heads must be at least 1"):
        F.packed_self_attention_simple(tt.ones(1, 4, 12), num_heads)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_only_constant_padding_takes_a_value(mode):
    x = tt.tensor([[1.0, 2.0, 3.0]])
    expected = F.pad(x, (1, 1), mode).tolist()
    assert F.pad(x, (1, 1), mode, value=0.0).tolist() == expected  # as in PyTorch
    with pytest.raises(ValueError, match=r"takes no value, got 0\.5"):
        F.pad(x, (1, 1), mode, value=0.5)


def test_without_max_norm_the_kind_of_norm_says_nothing():
    ids, weight = tt.tensor([1, 0]), tt.randn(2, 3)
    assert F.embedding(ids, weight, norm_type=3.0).tolist() == weight[[1, 0]].tolist()
