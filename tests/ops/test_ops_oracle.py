"""Every operation against PyTorch: values, dtypes and gradients in float64.

On the CPU; test_ops_devices.py holds the other devices against it.
"""

import numpy as np
import pytest
from op_sample import tensors_of
from op_samples import SAMPLES

import tinytrain as tt

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

WITH_ORACLE = [sample for sample in SAMPLES if sample.oracle is not None]


def upstream(shape):
    return np.linspace(-1, 2, int(np.prod(shape))).reshape(shape)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # torch's, on empty and 0-d tensors
@pytest.mark.parametrize("sample", WITH_ORACLE, ids=str)
def test_equal_to_torch(sample):
    ours = tensors_of(sample, [a.copy() for a in sample.arrays])
    theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in sample.arrays]
    output, expected = sample.function(tt, *ours), sample.oracle(torch, *theirs)
    assert str(output.dtype) == str(expected.dtype).removeprefix("torch.")
    assert output.shape == tuple(expected.shape)
    assert output.requires_grad == expected.requires_grad
    np.testing.assert_allclose(output.data, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    if not output.requires_grad:
        return
    output.backward(tt.from_numpy(upstream(output.shape)))
    expected.backward(torch.tensor(upstream(output.shape)))
    for mine, other in zip(ours, theirs, strict=True):
        if mine.requires_grad:
            assert mine.grad.dtype == np.float64
            np.testing.assert_allclose(mine.grad.data, other.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_few_samples_lack_an_oracle():
    assert len(SAMPLES) - len(WITH_ORACLE) <= 3
