"""The few hot loops, on raw arrays, written for speed: once for each kind of processor.

`tinytrain.kernels.cpu` and `tinytrain.kernels.cuda` offer the same functions with the same
parameters; `kernels_for` says which of them an array needs.
"""

from types import ModuleType

from tinytrain.backend import Array, device_of
from tinytrain.kernels import cpu

__all__ = ["kernels_for"]


def kernels_for(array: Array) -> ModuleType:
    """Return the module with the kernels for an array: `cpu` for NumPy's, `cuda` for any other.

    Examples
    --------
    >>> import numpy as np
    >>> kernels_for(np.zeros(3)).__name__
    'tinytrain.kernels.cpu'
    """
    if device_of(array) == "cpu":
        return cpu
    from tinytrain.kernels import cuda  # here: nobody without a GPU should have to load it

    return cuda
