"""How the tests of layers compare: values and gradients, with a twin or with PyTorch."""

import numpy as np

import tinytrain as tt
from tests.device_helpers import host


def numbers(*shape, seed=0):
    """Normal numbers in float64, the same for the same shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def assert_close(actual, expected, tolerance, what=""):
    """Hold two arrays equal up to a share of the largest element."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: {actual.shape} for {expected.shape}"
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype} for {expected.dtype}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=what)
    largest = np.abs(expected[finite]).max(initial=0)
    error = np.abs(actual[finite] - expected[finite]).max(initial=0)
    assert error <= tolerance * max(largest, 1e-2), f"{what}: off by {error} of {largest}"


def value_and_gradients(function, *arrays):
    """Run a function of tensors and differentiate a fixed weighted sum of what it returns."""
    tensors = [_leaf(tt.tensor, array) for array in arrays]
    output = function(*tensors)
    output.backward(tt.tensor(numbers(*output.shape, seed=7), dtype=output.dtype))
    gradients = [host(t.grad) if t is not None and t.requires_grad else None for t in tensors]
    return host(output), gradients


def assert_twins(fast, simple, *arrays, tolerance=1e-12):
    """Hold two ways to compute the same thing equal, in value and in every gradient."""
    value, gradients = value_and_gradients(fast, *arrays)
    expected, expected_gradients = value_and_gradients(simple, *arrays)
    assert_close(value, expected, tolerance, "value")
    for position, (one, other) in enumerate(zip(gradients, expected_gradients, strict=True)):
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other, tolerance, f"gradient of input {position}")


def copy_state(ours, theirs, dtype="float64"):
    """Bring a layer and its PyTorch counterpart to one dtype and to the same parameters."""
    import torch

    theirs.to(getattr(torch, dtype))
    ours.to(dtype)
    state = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict(state)


def assert_same_state(ours, theirs, tolerance):
    """Hold parameters, buffers and the parameters' gradients equal."""
    for name, value in theirs.state_dict().items():
        assert_close(host(ours.state_dict()[name]), value.numpy(), tolerance, name)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        expected = gradients.pop(name)
        assert (parameter.grad is None) == (expected is None), name
        if expected is not None:
            assert_close(host(parameter.grad), expected.numpy(), tolerance, f"gradient of {name}")
    assert not gradients


def assert_like_torch(ours, theirs, *arrays, tolerance=1e-10, **settings):
    """Hold a layer equal to PyTorch's: its outputs, the gradients, and its state afterwards.

    Float arrays among the settings are differentiated too; None outputs are left out.
    """
    import torch

    given = {**dict(enumerate(arrays)), **settings}
    mine = {name: _leaf(tt.tensor, value) for name, value in given.items()}
    reference = {name: _leaf(torch.tensor, value) for name, value in given.items()}
    outputs = _call(ours, mine)
    expected_outputs = _call(theirs, reference)
    last = len(outputs) - 1
    for position, (one, other) in enumerate(zip(outputs, expected_outputs, strict=True)):
        assert_close(host(one), other.detach().numpy(), tolerance, f"output {position}")
        weights = np.asarray(numbers(*one.shape, seed=7))
        one.backward(tt.tensor(weights), retain_graph=position < last)
        other.backward(torch.tensor(weights), retain_graph=position < last)
    for name, value in mine.items():
        if isinstance(value, tt.Tensor) and value.requires_grad:
            assert_close(host(value.grad), reference[name].grad.numpy(), tolerance, f"d{name}")
    if isinstance(ours, tt.nn.Module):
        assert_same_state(ours, theirs, tolerance)


def _leaf(make, value):
    if not isinstance(value, np.ndarray | np.generic):
        return value
    return make(np.asarray(value), requires_grad=value.dtype.kind == "f")


def _call(layer, given):
    """Call with the arguments under numbers by position and with the others by name."""
    by_position = [value for name, value in given.items() if isinstance(name, int)]
    outputs = layer(*by_position, **{k: v for k, v in given.items() if isinstance(k, str)})
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [output for output in outputs if output is not None]
