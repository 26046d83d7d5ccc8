"""Initial values of parameters, drawn on the host, so that a seed gives the same on every device.

All functions fill a tensor in place and return it.
"""

import math

import numpy as np

from tinytrain import backend
from tinytrain.generator import Generator, default_generator
from tinytrain.in_place import writable
from tinytrain.ops.promotion import is_float
from tinytrain.tensor import Tensor


def _check_float(tensor: Tensor) -> None:
    if not is_float(tensor.dtype):
        raise TypeError(f"initial values need a floating-point tensor, got {tensor.dtype}")


def _fill(tensor: Tensor, values: "np.ndarray") -> Tensor:
    _check_float(tensor)
    converted = np.asarray(values).astype(tensor.dtype)  # host: random numbers are drawn there
    writable(tensor.data)[...] = backend.bring_beside(converted, tensor.data)
    return tensor


def uniform_(
    tensor: Tensor, low: float = 0.0, high: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the uniform distribution on [low, high), for a tensor of any shape.

    Examples
    --------
    >>> import tinytrain as tt
    >>> float(uniform_(tt.zeros(100), 2.0, 3.0).amin()) >= 2.0
    True
    """
    source = (generator or default_generator()).numpy
    return _fill(tensor, source.uniform(low, high, tensor.shape))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the normal distribution of a mean and a standard deviation, for any shape.

    Examples
    --------
    >>> import tinytrain as tt
    >>> normal_(tt.zeros(3), std=0.02).shape
    (3,)
    """
    source = (generator or default_generator()).numpy
    return _fill(tensor, source.normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Fill a tensor of any shape with one value.

    Examples
    --------
    >>> import tinytrain as tt
    >>> constant_(tt.zeros(2), 7.0)
    tensor([7., 7.], dtype=float32, device=cpu)
    """
    _check_float(tensor)
    writable(tensor.data)[...] = value
    return tensor


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, generator: Generator | None = None) -> Tensor:
    """Draw uniformly from ±sqrt(6 / ((1 + a^2) fan_in)), for a weight (fan_out, fan_in).

    Of a tensor with more axes, fan_in is the product of all sizes but the first. PyTorch's linear
    layer uses a = sqrt(5), which makes the bound 1 / sqrt(fan_in).

    References
    ----------
    K. He et al., "Delving Deep into Rectifiers", arXiv 1502.01852, section 2.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = kaiming_uniform_(tt.zeros(8, 4), a=math.sqrt(5))
    >>> float(abs(weight).amax()) <= 0.5
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"kaiming_uniform_ needs at least two axes, got shape {tensor.shape}")
    bound = math.sqrt(6 / ((1 + a * a) * math.prod(tensor.shape[1:])))
    return uniform_(tensor, -bound, bound, generator)
