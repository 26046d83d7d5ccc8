"""The CUDA kernels under the compiler's sanitizers: no step beyond an array, no data race."""

import subprocess

import numpy as np
import pytest

from tests.kernels.cuda_on_cpu import (
    BothOrders,
    CompiledKernels,
    Recorder,
    all_sources,
    compiler_problem,
    compiling,
    finish,
    replay_text,
    translation,
)
from tinytrain.kernels import cuda, cuda_attention
from tinytrain.testing import mock
from tinytrain.testing.mock import kernels as mock_kernels

pytestmark = pytest.mark.slow

SANITIZERS = ["address", "thread"]


def launch_every_kernel():
    """Start each kernel once or more, at sizes that no block divides."""
    random = np.random.default_rng(0)

    def normal(*shape):
        return mock.asarray(random.standard_normal(shape).astype(np.float32))

    for with_slope in (True, False):
        cuda.gelu_tanh(normal(13), with_slope)
        cuda.gelu_exact(normal(13), with_slope)
    cuda.softmax_rows(normal(3, 13))
    cuda.cross_entropy(normal(4, 13), mock.asarray(np.array([0, 12, -100, 13])), -100, 0.1)
    x, unit, inverse_std = cuda.layer_norm(normal(3, 13), normal(13), None, 0.1)
    cuda.layer_norm_backward(x, unit, inverse_std, None)
    state = [normal(13) for _ in range(4)]
    settings = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.9, "eps": 0.1, "weight_decay": 0.1}
    cuda.adamw(*state, step=20, **settings)
    cuda.scatter_add_rows(mock.asarray(np.array([4, 0, 4, 4, 2])), normal(5, 13), 5)
    cuda.keep_mask(normal(77), 0.5, (1, 2))
    qkv = (normal(2, 1, 5, 3), normal(2, 1, 7, 3), normal(2, 1, 7, 4))
    output = normal(2, 1, 5, 4)
    kept = cuda_attention.attend(qkv, normal(5, 7), True, 0.5, output)
    gradients = tuple(mock.zeros(x.shape, dtype="float32") for x in qkv)
    of_scores = normal(2, 1, 5, 7)
    cuda_attention.attend_backward(output, qkv, output, kept, 0.5, gradients, of_scores)


def record_every_kernel():
    """Write down the launches instead of making them."""
    recorder = Recorder()
    mock_kernels.set_runner(recorder)
    launch_every_kernel()
    return recorder


@pytest.fixture
def replay(on_mock, tmp_path):
    """Return a function that runs all recorded launches under a sanitizer."""
    recorder = record_every_kernel()
    recorder.write(tmp_path / "launches")

    def run(sanitizer, codes):
        option = f"-fsanitize={sanitizer}"
        problem = compiler_problem(tmp_path, option)
        if problem:
            pytest.skip(problem)
        program = tmp_path / "replay"
        finish(compiling(translation(codes) + replay_text(), program, option))
        return subprocess.run(
            [program, tmp_path / "launches"], capture_output=True, text=True, timeout=60
        )

    run.kernels = {kernel for kernel, _ in recorder.launches}
    return run


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_kernels_are_clean(replay, sanitizer):
    assert replay.kernels == set(mock_kernels.REFERENCES)  # each of them runs
    result = replay(sanitizer, all_sources("float"))
    assert result.returncode == 0, result.stderr


def broken(old, new):
    codes = all_sources("float")
    assert any(old in code for code in codes)
    return [code.replace(old, new) for code in codes]


def test_a_write_beyond_the_end_is_caught(replay):
    result = replay("address", broken("if (i < count) {", "if (i <= count) {"))
    assert result.returncode
    assert "heap-buffer-overflow" in result.stderr
    assert "WRITE of size 1" in result.stderr
    assert "keep_mask" in result.stderr


def test_a_missing_barrier_is_caught(replay):
    loop = "values[threadIdx.x] += values[threadIdx.x + half];\n        }\n"
    result = replay("thread", broken(loop + "        __syncthreads();\n", loop))
    assert result.returncode
    assert "data race" in result.stderr
    assert "block_sum" in result.stderr


# The sanitizers see the threads of one block. Of what blocks do to each other this is the sign:
# in another order they compute something else.


def test_the_order_of_the_blocks_changes_nothing(on_mock, compiled_kernels):
    runner = BothOrders(compiled_kernels)
    mock_kernels.set_runner(runner)
    launch_every_kernel()
    assert not runner.differing


def test_blocks_that_add_into_one_place_are_caught(on_mock, tmp_path):
    if problem := compiler_problem(tmp_path):
        pytest.skip(problem)
    owner = "if (start > 0 && sorted_ids[start - 1] == id) {\n        return;\n    }\n"
    loop = "for (long long i = start; i < ids && sorted_ids[i] == id; i++) {"
    alone = "for (long long i = start; i <= start; i++) {"

    def every_block_adds(codes):
        assert any(owner in code and loop in code for code in codes)
        codes = [code.replace(owner, "").replace(loop, alone) for code in codes]
        return [code.replace("total[id * width + c] = sum", "total[id * width + c] += sum")
                for code in codes]  # fmt: skip

    runner = BothOrders(CompiledKernels(tmp_path, every_block_adds))
    mock_kernels.set_runner(runner)
    launch_every_kernel()
    assert runner.differing == ["scatter_add_rows"]
