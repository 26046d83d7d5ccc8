"""Optimizers on flat buffers, gradient clipping, learning-rate schedules and scaling rules.

`lr_scheduler` has all schedules. Those that PyTorch does not have stand here too, under the short
names that training scripts use; PyTorch's are found only where its users look for them.
"""

from tinytrain.optim import lr_scheduler
from tinytrain.optim.adagrad import Adagrad
from tinytrain.optim.adam import Adam
from tinytrain.optim.adamw import AdamW
from tinytrain.optim.clip import clip_grad_norm_, clip_grad_value_, gradient_norm
from tinytrain.optim.lion import Lion
from tinytrain.optim.lr_scheduler import (
    ConstantSchedule,
    Schedule,
    WarmupCosine,
    WarmupInverseSquareRoot,
    WarmupLinear,
)
from tinytrain.optim.optimizer import Optimizer
from tinytrain.optim.rmsprop import RMSprop
from tinytrain.optim.scaling import AdamSettings, linear_scaling, square_root_scaling
from tinytrain.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamSettings",
    "AdamW",
    "ConstantSchedule",
    "Lion",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "WarmupCosine",
    "WarmupInverseSquareRoot",
    "WarmupLinear",
    "clip_grad_norm_",
    "clip_grad_value_",
    "gradient_norm",
    "linear_scaling",
    "lr_scheduler",
    "square_root_scaling",
]
