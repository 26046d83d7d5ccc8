"""Device memory is the same after every step: no graph, gradient or batch stays behind."""

import contextlib
import gc
import itertools
import tracemalloc
import types

import numpy as np
import pytest

import tinytrain as tt
from tests.gpu.runs import RUNS, step_over
from tinytrain import backend

WARM_UP, STEPS = 3, 6


@contextlib.contextmanager
def watched_memory(device):
    """Yield a function that tells the bytes in arrays: of CuPy's pool, else of all of NumPy's."""
    if device == "cuda":
        pool = backend.creation_library().get_default_memory_pool()
        yield pool.used_bytes
        return
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        yield lambda: sum(
            trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces
        )
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def no_garbage_collector():
    """What is in a reference cycle stays, and is seen."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def memory_after_steps(kind, device, keep=None):
    """The bytes in use after each step; the batch is the same, so that no shape is new."""
    make, batches = RUNS[kind]
    tt.set_device(device)
    sizes = []
    with watched_memory(device) as in_use, no_garbage_collector():
        model, optimizer, loss_function = make()
        batch = next(batches())
        for _ in range(WARM_UP + STEPS):
            loss = step_over(model, optimizer, loss_function, batch)
            if keep is not None:
                keep(loss, model)
            del loss
            sizes.append(in_use())
    return sizes[WARM_UP:]


@pytest.mark.parametrize("kind", RUNS)
def test_memory_is_flat_over_steps(kind, device):
    sizes = memory_after_steps(kind, device)
    assert sizes[0] > 0
    assert set(sizes) == {sizes[0]}


def test_a_leak_would_be_seen(device):
    kept = []

    def keep(loss, model):
        kept.append([p.data.copy() for p in model.parameters()])

    sizes = memory_after_steps("gpt", device, keep)
    growth = {later - earlier for earlier, later in itertools.pairwise(sizes)}
    assert min(growth) > 0, sizes


def test_on_a_gpu_the_pool_is_watched(monkeypatch):
    pool = types.SimpleNamespace(used_bytes=lambda: 512)
    library = types.SimpleNamespace(get_default_memory_pool=lambda: pool)
    monkeypatch.setattr(backend, "creation_library", lambda: library)
    with watched_memory("cuda") as in_use:
        assert in_use() == 512
