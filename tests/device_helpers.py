"""What tests on several devices need."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import backend

ACCELERATORS = ["mock"]
"""The devices beside the CPU, for tests that compare with it."""
if backend.cuda_problem() is None:
    ACCELERATORS.append(pytest.param("cuda", marks=pytest.mark.gpu))


def host(value):
    """Return a tensor's or array's values as a NumPy array, wherever they live."""
    array = value.data if isinstance(value, tt.Tensor) else value
    return np.asarray(backend.to_host(array))


def share_memory(first, second):
    """Tell whether two arrays of one device lie in the same memory, wholly or in part."""
    return bool(backend.xp_of(first, second).shares_memory(first, second))
