"""Staged batches: training is that of batches copied one by one, and the copies hide behind it."""

import time

import numpy as np
import pytest

import tinytrain as tt
from tests.gpu.runs import RUNS, on_host, step_over
from tinytrain.data.pinned import Staging

STEPS = 12


def trained(kind, stage):
    make, batches = RUNS[kind]
    model, optimizer, loss_function = make()
    for _, batch in zip(range(STEPS), batches(), strict=False):
        step_over(model, optimizer, loss_function, batch if stage is None else stage(batch))
    return {name: on_host(value).tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("kind", RUNS)
def test_training_on_staged_batches_is_bit_for_bit_the_same(kind, device):
    tt.set_device(device)
    assert trained(kind, Staging(True).begin_epoch()) == trained(kind, None)


def test_many_batches_in_flight_arrive_whole_and_stay(device):
    """Work is queued without a wait in between, batches vary in size, and all are kept."""
    tt.set_device(device)
    stage = Staging(True).begin_epoch()
    source = np.random.default_rng(0)
    weight = tt.ones(512, 512)
    kept, expected = [], []
    for _ in range(30):
        array = source.standard_normal((int(source.integers(1, 400)), 512), dtype=np.float32)
        tensor = tt.to_device(stage(array))
        for _ in range(5):
            busy = (tensor @ weight).relu()
        del busy
        kept.append(tensor)
        expected.append(array)
    for tensor, array in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.gpu
def test_the_host_does_not_wait_for_a_staged_copy():
    """Handing out a staged batch must take far less than the computation that is queued."""
    if problem := tt.backend.cuda_problem():
        pytest.skip(f"no usable GPU: {problem}")
    tt.set_device("cuda")
    try:
        stage = Staging(True).begin_epoch()
        array = np.ones((256, 1024), np.float32)
        matrix = tt.ones(8192, 8192)
        for _ in range(3):  # buffers are made, and kernels compiled
            tt.to_device(stage(array))
            matrix @ matrix
        tt.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            product = matrix @ matrix
        tt.to_device(stage(array))
        handed_out = time.perf_counter() - start
        tt.synchronize()
        assert handed_out < (time.perf_counter() - start) / 2
        del product
    finally:
        tt.set_device("cpu")
