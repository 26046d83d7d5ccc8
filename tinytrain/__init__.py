"""Deep-learning training from scratch on NumPy.

`import tinytrain as tt`, then `tt.tensor`, `tt.nn`, `tt.optim`, `tt.data`, `tt.Trainer`.
"""

from tinytrain import data, models, nn, optim, train
from tinytrain.allocator import keep_freed_memory
from tinytrain.autograd import Function, enable_grad, is_grad_enabled, no_grad
from tinytrain.backend import get_device, set_device, synchronize
from tinytrain.creation import (
    arange,
    from_numpy,
    full,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    to_device,
    zeros,
    zeros_like,
)
from tinytrain.dtypes import bool, float32, float64, int32, int64
from tinytrain.functions import cat, matmul, maximum, minimum, split, stack, where
from tinytrain.generator import Generator, default_generator, manual_seed
from tinytrain.tensor import Tensor, apply
from tinytrain.train import BatchPlan, Trainer

__version__ = "0.1.0"

__all__ = [
    "BatchPlan",
    "Function",
    "Generator",
    "Tensor",
    "Trainer",
    "apply",
    "arange",
    "bool",
    "cat",
    "data",
    "default_generator",
    "enable_grad",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "get_device",
    "int32",
    "int64",
    "is_grad_enabled",
    "keep_freed_memory",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "randn",
    "set_device",
    "split",
    "stack",
    "synchronize",
    "tensor",
    "to_device",
    "train",
    "where",
    "zeros",
    "zeros_like",
]
