"""Optimizers on flat buffers, gradient clipping and learning-rate schedules."""

from tinytrain.optim import schedule as lr_scheduler
from tinytrain.optim.adamw import AdamW
from tinytrain.optim.clip import clip_grad_norm_, gradient_norm
from tinytrain.optim.flat import FlatBuffer, gradient_arrays
from tinytrain.optim.optimizer import Optimizer
from tinytrain.optim.schedule import ConstantSchedule, Schedule, WarmupCosine
from tinytrain.optim.sgd import SGD

__all__ = [
    "SGD",
    "AdamW",
    "ConstantSchedule",
    "FlatBuffer",
    "Optimizer",
    "Schedule",
    "WarmupCosine",
    "clip_grad_norm_",
    "gradient_arrays",
    "gradient_norm",
    "lr_scheduler",
]
