"""Every operation, from one table: gradients, dtypes, memory layouts, and who writes where."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from device_helpers import host
from op_sample import about, assert_same, narrowed, run, tensors_of, upstream_of
from op_samples import SAMPLES

import tinytrain as tt
import tinytrain.ops
from tinytrain.autograd import Function
from tinytrain.backend import xp_of
from tinytrain.testing import GradcheckError, gradcheck

on_every_device = pytest.mark.usefixtures("device")


DIFFERENTIABLE = [s for s in SAMPLES if s.operation.differentiable and s.label != "to_int"]
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
every_operation = pytest.mark.parametrize(
    "operation", sorted({s.operation for s in SAMPLES}, key=lambda o: o.__name__)
)
every_differentiable_sample = pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=str)


def samples_of(operation):
    return [sample for sample in SAMPLES if sample.operation is operation]


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
    assert modules - homes == {"promotion"}  # helpers without operations


def test_samples_have_unique_names():
    names = [str(sample) for sample in SAMPLES]
    assert len(set(names)) == len(names)


@on_every_device
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


FIRST = {sample.operation: sample for sample in reversed(DIFFERENTIABLE)}
first_sample_of_each = pytest.mark.parametrize(
    "sample", FIRST.values(), ids=lambda s: s.operation.__name__
)


@every_differentiable_sample
def test_gradcheck(sample):
    """On the CPU alone; test_ops_devices.py compares each of these gradients with the devices'."""
    far = max(np.abs(a).max(initial=1) for a in sample.arrays if a.dtype.kind == "f")
    eps = 1e-6 * min(float(far), 100.0)  # large inputs need large steps
    gradcheck(lambda *t: sample.function(tt, *t), tensors_of(sample), eps=eps, atol=1e-6, rtol=1e-5)


@on_every_device
@first_sample_of_each
def test_gradcheck_runs_on_the_device(sample):
    inputs = tensors_of(sample)
    assert gradcheck(lambda *t: sample.function(tt, *t), inputs, atol=1e-6, rtol=1e-5)


def off_by_one_percent(results):
    """Change the first gradient of a backward a little."""
    if not isinstance(results, tuple):
        return results * 1.01
    first = next(i for i, result in enumerate(results) if result is not None)
    return tuple(r * 1.01 if i == first else r for i, r in enumerate(results))


@on_every_device
@first_sample_of_each
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
    """On the CPU; test_ops_devices.py holds the other devices against it."""
    exact = run(sample)
    output, gradients = run(sample, narrowed(sample.arrays))
    assert output.dtype == (np.float32 if exact[0].dtype.kind == "f" else exact[0].dtype)
    assert all(gradient.dtype == np.float32 for gradient in gradients)
    if output.dtype.kind == "f" and not sample.is_sensitive:
        exact32 = [narrowed(arrays) for arrays in ([exact[0]], exact[1])]
        assert_same((output, gradients), (exact32[0][0], exact32[1]), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- memory


def strided(array):
    """The same values, every second element of a larger array in column order."""
    if array.ndim == 0:
        return array
    xp = xp_of(array)
    return xp.asfortranarray(xp.repeat(array, 2, axis=-1))[..., ::2]


def backwards(array):
    """The same values, walked from the end of their memory."""
    return array if array.ndim == 0 else array[::-1].copy()[::-1]


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def broadcast_view(array):
    """The first row, as often as there are rows, without a copy."""
    return xp_of(array).broadcast_to(array[:1], array.shape) if array.ndim and len(array) else array


@on_every_device
@every_operation
def test_layout_changes_nothing(operation):
    for sample in samples_of(operation):
        with about(sample):
            expected = run(sample)
            arrays = [tt.from_numpy(a).data for a in sample.arrays]
            for layout in (strided, backwards):
                assert_same(run(sample, [layout(a) for a in arrays]), expected)
            views = [broadcast_view(a) for a in arrays]
            assert_same(run(sample, views), run(sample, [v.copy() for v in views]))


@every_operation
def test_nobody_writes_into_arrays_of_others(operation, monkeypatch):
    """Every array that an operation gets or gives is frozen: writing into it would raise.

    On the CPU alone, since the arrays of a GPU cannot be frozen; `gradcheck`, which compares before
    and after, looks for the same there.
    """
    expected = {sample: run(sample) for sample in samples_of(operation)}
    original = Function.input_gradients

    def freezing(self, gradient):
        gradient.flags.writeable = False
        results = original(self, gradient)
        for result in results:
            if result is not None:
                result.flags.writeable = False
        return results

    monkeypatch.setattr(Function, "input_gradients", freezing)
    for sample, result in expected.items():
        with about(sample):
            assert_same(run(sample, [read_only(a) for a in sample.arrays]), result)


@on_every_device
def test_gradients_own_their_memory():
    for sample in DIFFERENTIABLE:
        tensors = tensors_of(sample)
        output = sample.function(tt, *tensors)
        upstream = upstream_of(output)
        output.backward(upstream)
        arrays = [upstream.data, output.data, *(t.data for t in tensors)]
        for gradient in (t.grad.data for t in tensors if t.requires_grad):
            gradient += 1  # raises where NumPy has marked a view as read-only
            same_device = [other for other in arrays if type(other) is type(gradient)]
            shares_memory = xp_of(gradient).shares_memory
            assert not any(shares_memory(gradient, a) for a in same_device), str(sample)
            arrays.append(gradient)


SEVERAL = [s for s in DIFFERENTIABLE if sum(a.dtype.kind == "f" for a in s.arrays) > 1]


@on_every_device
@pytest.mark.parametrize("sample", SEVERAL, ids=str)
def test_needless_gradients_are_left_out(sample):
    """With one input at a time, the gradient is the same as with all."""
    output, everything = run(sample)
    places = [i for i, a in enumerate(sample.arrays) if a.dtype.kind == "f"]
    for place, wanted in zip(places, everything, strict=True):
        tensors = [t.requires_grad_(i == place) for i, t in enumerate(tensors_of(sample))]
        alone = sample.function(tt, *tensors)
        np.testing.assert_array_equal(host(alone), output)
        alone.backward(upstream_of(alone))
        np.testing.assert_allclose(host(tensors[place].grad), wanted, rtol=1e-12, atol=1e-12)
        assert all(t.grad is None for i, t in enumerate(tensors) if i != place)


@on_every_device
def test_no_graph_is_recorded_under_no_grad():
    for sample in DIFFERENTIABLE:
        with tt.no_grad():
            output = sample.function(tt, *tensors_of(sample))
        assert output.is_leaf, str(sample)
        assert not output.requires_grad, str(sample)
        np.testing.assert_array_equal(host(output), run(sample)[0], str(sample))
