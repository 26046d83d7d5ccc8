"""Every operation, from one table: gradients, dtypes, memory layouts, and who writes where."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from op_sample import about, tensors_of
from op_samples import SAMPLES

import tinytrain as tt
import tinytrain.ops
from tinytrain.autograd import Function
from tinytrain.ops.steps import Step
from tinytrain.testing import GradcheckError, check_op, gradcheck, graph_checks, op_checks

on_every_device = pytest.mark.usefixtures("device")


DIFFERENTIABLE = [s for s in SAMPLES if s.operation.differentiable and s.label != "to_int"]
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
every_operation = pytest.mark.parametrize(
    "operation", sorted({s.operation for s in SAMPLES}, key=lambda o: o.__name__)
)


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
    assert modules - homes == {"promotion", "windows"}  # helpers without operations


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


def test_operations_that_make_views_say_so(monkeypatch):
    """By `rearranges`, and of the first input: views are noted by it, see `view_families`."""
    original = Function.__call__

    def looking(self, *inputs):
        output = original(self, *inputs)
        for i, array in enumerate(inputs):
            if isinstance(array, np.ndarray) and np.may_share_memory(output, array):
                assert self.rearranges, self.name
                assert i == 0, self.name
        return output

    monkeypatch.setattr(Function, "__call__", looking)
    for sample in SAMPLES:
        sample.function(tt, *tensors_of(sample))


# ---------------------------------------------------------------- gradients


FIRST = {sample.operation: sample for sample in reversed(DIFFERENTIABLE)}
first_sample_of_each = pytest.mark.parametrize(
    "sample", FIRST.values(), ids=lambda s: s.operation.__name__
)


WITH_ELEMENTS = [s for s in DIFFERENTIABLE if any(a.size for a in s.arrays if a.dtype.kind == "f")]
"""Of empty inputs the checks of memory and graphs below look at the gradients' shapes."""


@pytest.mark.parametrize("sample", WITH_ELEMENTS, ids=str)
def test_gradcheck(sample):
    """On the CPU alone; test_ops_devices.py compares each of these gradients with the devices'."""
    assert gradcheck(lambda *t: sample.function(tt, *t), tensors_of(sample))


@on_every_device
@first_sample_of_each
def test_gradcheck_runs_on_the_device(sample):
    inputs = tensors_of(sample)
    assert gradcheck(lambda *t: sample.function(tt, *t), inputs)


def off_by_one_percent(results, shift=0.0):
    """Change all gradients of a backward a little: one alone may be zero in a sample.

    Where all of them are, as a step function's, a shift is the fault.
    """
    if not isinstance(results, tuple):
        return results * 1.01 + shift
    return tuple(None if result is None else result * 1.01 + shift for result in results)


@on_every_device
@first_sample_of_each
def test_gradcheck_objects_to_a_fault_of_one_percent(sample, monkeypatch):
    right = sample.operation.backward
    shift = 0.01 if issubclass(sample.operation, Step) else 0.0
    monkeypatch.setattr(
        sample.operation, "backward", lambda self, g: off_by_one_percent(right(self, g), shift)
    )
    with pytest.raises(GradcheckError, match="analytic"):
        gradcheck(lambda *t: sample.function(tt, *t), tensors_of(sample))


# ---------------------------------------------------------------- dtypes


@every_sample
def test_float32_stays_float32(sample):
    """On the CPU; test_ops_devices.py holds the other devices against it."""
    rtol = None if sample.is_sensitive else 1e-4
    op_checks.check_float32(sample.call, sample.arrays, rtol=rtol)


# ---------------------------------------------------------------- memory, graphs, needs


CHECKS_OF_ALL = [
    op_checks.check_layouts,
    op_checks.check_no_graph,
    op_checks.check_owned_gradients,
]
CHECKS_OF_GRADIENTS = [
    graph_checks.check_used_twice,
    graph_checks.check_diamond,
    graph_checks.check_another_call,
    graph_checks.check_aliasing,
    graph_checks.check_backward_twice,
    graph_checks.check_memory,
    op_checks.check_needs,
]


@on_every_device
@pytest.mark.parametrize("check", CHECKS_OF_ALL, ids=lambda c: c.__name__)
@every_operation
def test_what_holds_for_every_operation(operation, check):
    for sample in samples_of(operation):
        with about(sample):
            check(sample.call, sample.arrays)


@on_every_device
@pytest.mark.parametrize("check", CHECKS_OF_GRADIENTS, ids=lambda c: c.__name__)
@every_operation
def test_what_holds_for_every_differentiable_operation(operation, check):
    for sample in samples_of(operation):
        if sample in DIFFERENTIABLE:
            with about(sample):
                check(sample.call, sample.arrays)


@every_operation
def test_nobody_writes_into_arrays_of_others(operation):
    """Every array that an operation gets or gives is frozen: writing into it would raise.

    On the CPU alone, since the arrays of a GPU cannot be frozen; `gradcheck`, which compares before
    and after, looks for the same there.
    """
    for sample in samples_of(operation):
        with about(sample):
            op_checks.check_frozen(sample.call, sample.arrays)


BROADCASTING = [
    s
    for s in DIFFERENTIABLE
    if s.operation.broadcasts
    and len({a.shape for a in s.arrays}) == 1
    and len(s.arrays) > 1
    and s.arrays[0].ndim
]


@on_every_device
@pytest.mark.parametrize("sample", BROADCASTING, ids=str)
def test_operands_are_broadcast(sample):
    op_checks.check_broadcasting(sample.call, sample.arrays)


def test_all_checks_by_one_call():
    """What a user would call."""
    for sample in FIRST.values():
        with about(sample):
            check_op(sample.call, *sample.arrays, may_wait=True)
