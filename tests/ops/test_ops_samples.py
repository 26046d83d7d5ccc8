"""Every operation, from one table: gradients, dtypes, memory layouts, and who writes where."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from op_samples import SAMPLES

import tinytrain as tt
import tinytrain.ops
from tinytrain.autograd import Function
from tinytrain.testing import GradcheckError, gradcheck


def tensors_of(sample, arrays=None):
    """Wrap the sample's arrays as they are; floating-point ones require gradients."""
    arrays = sample.arrays if arrays is None else arrays
    return [tt.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def upstream_of(output):
    """A gradient for an output, without symmetry."""
    return np.linspace(-1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)


def run(sample, arrays=None):
    """Return the output and the gradients of one forward and backward pass."""
    tensors = tensors_of(sample, arrays)
    output = sample.function(tt, *tensors)
    if not output.requires_grad:
        return output.data, []
    output.backward(tt.Tensor(upstream_of(output)))
    return output.data, [t.grad.data for t in tensors if t.requires_grad]


def assert_same(one, other, rtol=1e-12, atol=1e-12):
    (output, gradients), (expected, expected_gradients) = one, other
    assert output.dtype == expected.dtype
    np.testing.assert_allclose(output, expected, rtol=rtol, atol=atol)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=rtol, atol=atol)


DIFFERENTIABLE = [s for s in SAMPLES if s.operation.differentiable and s.label != "to_int"]
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
every_differentiable_sample = pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=str)


# ---------------------------------------------------------------- the table itself


def all_operations():
    """Find every Function that the modules under tinytrain/ops define, helpers left out."""
    found = set()
    for module in pkgutil.iter_modules(tinytrain.ops.__path__, "tinytrain.ops."):
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, Function) and hasattr(value, "forward"):
                found.add(value)
    return found


def test_every_operation_has_a_sample():
    missing = all_operations() - {sample.operation for sample in SAMPLES}
    assert not missing, f"no sample in op_samples*.py for {sorted(c.__name__ for c in missing)}"


def test_the_search_finds_operations_in_every_module():
    modules = {m.name for m in pkgutil.iter_modules(tinytrain.ops.__path__)}
    homes = {operation.__module__.rpartition(".")[2] for operation in all_operations()}
    assert modules - homes == {"promotion", "special"}  # helpers without operations


def test_samples_have_unique_names():
    names = [str(sample) for sample in SAMPLES]
    assert len(set(names)) == len(names)


def test_samples_run_their_operations(monkeypatch):
    seen = set()
    original = Function.__call__

    def spying(self, *inputs):
        seen.add(type(self))
        return original(self, *inputs)

    monkeypatch.setattr(Function, "__call__", spying)
    for sample in SAMPLES:
        seen.clear()
        output = sample.function(tt, *tensors_of(sample))
        assert sample.operation in seen, str(sample)
        assert output.requires_grad == (sample in DIFFERENTIABLE), str(sample)


# ---------------------------------------------------------------- gradients


@every_differentiable_sample
def test_gradcheck(sample):
    far = max(np.abs(a).max(initial=1) for a in sample.arrays if a.dtype.kind == "f")
    eps = 1e-6 * min(float(far), 100.0)  # large inputs need large steps
    gradcheck(lambda *t: sample.function(tt, *t), tensors_of(sample), eps=eps, atol=1e-6, rtol=1e-5)


FIRST = {sample.operation: sample for sample in reversed(DIFFERENTIABLE)}


def off_by_one_percent(results):
    """Change the first gradient of a backward a little."""
    if not isinstance(results, tuple):
        return results * 1.01
    first = next(i for i, result in enumerate(results) if result is not None)
    return tuple(r * 1.01 if i == first else r for i, r in enumerate(results))


@pytest.mark.parametrize("sample", FIRST.values(), ids=lambda s: s.operation.__name__)
def test_gradcheck_objects_to_a_fault_of_one_percent(sample, monkeypatch):
    right = sample.operation.backward
    monkeypatch.setattr(
        sample.operation, "backward", lambda self, g: off_by_one_percent(right(self, g))
    )
    with pytest.raises(GradcheckError, match="analytic"):
        gradcheck(lambda *t: sample.function(tt, *t), tensors_of(sample))


# ---------------------------------------------------------------- dtypes


@every_sample
def test_float32_stays_float32(sample):
    exact = run(sample)
    narrow = tuple(a.astype(np.float32) if a.dtype.kind == "f" else a for a in sample.arrays)
    output, gradients = run(sample, narrow)
    assert output.dtype == (np.float32 if exact[0].dtype.kind == "f" else exact[0].dtype)
    assert all(gradient.dtype == np.float32 for gradient in gradients)
    if output.dtype.kind != "f" or "large" in sample.label or "far" in sample.label:
        return  # rounding the input to float32 changes the result
    np.testing.assert_allclose(output, exact[0], rtol=1e-4, atol=1e-5)
    for gradient, wanted in zip(gradients, exact[1], strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- memory


def strided(array):
    """The same values, every second element of a larger array in column order."""
    if array.ndim == 0:
        return array
    return np.asfortranarray(np.repeat(array, 2, axis=-1))[..., ::2]


def backwards(array):
    """The same values, walked from the end of their memory."""
    return array if array.ndim == 0 else array[::-1].copy()[::-1]


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def broadcast_view(array):
    """The first row, as often as there are rows, without a copy."""
    return np.broadcast_to(array[:1], array.shape) if array.ndim and len(array) else array


@every_sample
def test_layout_changes_nothing(sample):
    expected = run(sample)
    for layout in (strided, backwards, read_only):
        assert_same(run(sample, [layout(a) for a in sample.arrays]), expected)
    views = [broadcast_view(a) for a in sample.arrays]
    assert_same(run(sample, views), run(sample, [v.copy() for v in views]))


@every_differentiable_sample
def test_nobody_writes_into_arrays_of_others(sample, monkeypatch):
    """Every array that a backward gets or gives is frozen: writing into it would raise."""
    expected = run(sample)
    original = Function.input_gradients

    def freezing(self, gradient):
        gradient.flags.writeable = False
        results = original(self, gradient)
        for result in results:
            if result is not None:
                result.flags.writeable = False
        return results

    monkeypatch.setattr(Function, "input_gradients", freezing)
    assert_same(run(sample, [read_only(a) for a in sample.arrays]), expected)


def test_gradients_own_their_memory():
    for sample in DIFFERENTIABLE:
        tensors = tensors_of(sample)
        output = sample.function(tt, *tensors)
        upstream = np.ones(output.shape, dtype=output.dtype)
        output.backward(tt.Tensor(upstream))
        arrays = [upstream, output.data, *(t.data for t in tensors)]
        for gradient in (t.grad.data for t in tensors if t.requires_grad):
            assert gradient.flags.writeable, str(sample)
            assert not any(np.shares_memory(gradient, other) for other in arrays), str(sample)
            arrays.append(gradient)


SEVERAL = [s for s in DIFFERENTIABLE if sum(a.dtype.kind == "f" for a in s.arrays) > 1]


@pytest.mark.parametrize("sample", SEVERAL, ids=str)
def test_needless_gradients_are_left_out(sample):
    """With one input at a time, the gradient is the same as with all."""
    output, everything = run(sample)
    places = [i for i, a in enumerate(sample.arrays) if a.dtype.kind == "f"]
    for place, wanted in zip(places, everything, strict=True):
        tensors = [tt.Tensor(a, requires_grad=i == place) for i, a in enumerate(sample.arrays)]
        alone = sample.function(tt, *tensors)
        np.testing.assert_array_equal(alone.data, output)
        alone.backward(tt.Tensor(upstream_of(alone)))
        np.testing.assert_allclose(tensors[place].grad.data, wanted, rtol=1e-12, atol=1e-12)
        assert all(t.grad is None for i, t in enumerate(tensors) if i != place)


def test_no_graph_is_recorded_under_no_grad():
    for sample in DIFFERENTIABLE:
        with tt.no_grad():
            output = sample.function(tt, *tensors_of(sample))
        assert output.is_leaf, str(sample)
        assert not output.requires_grad, str(sample)
        np.testing.assert_array_equal(output.data, run(sample)[0], str(sample))
