"""Learning-rate schedules: PyTorch's, and warm-ups that learn from step 0 on."""

from tinytrain.optim.lr_scheduler.base import LRScheduler
from tinytrain.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from tinytrain.optim.lr_scheduler.decay import ExponentialLR, MultiStepLR, StepLR
from tinytrain.optim.lr_scheduler.function import LambdaLR, MultiplicativeLR
from tinytrain.optim.lr_scheduler.linear import ConstantLR, LinearLR, PolynomialLR
from tinytrain.optim.lr_scheduler.one_cycle import OneCycleLR
from tinytrain.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinytrain.optim.lr_scheduler.schedule import ConstantSchedule, Schedule
from tinytrain.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR
from tinytrain.optim.lr_scheduler.warmup import (
    WarmupCosine,
    WarmupInverseSquareRoot,
    WarmupLinear,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "ConstantSchedule",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupCosine",
    "WarmupInverseSquareRoot",
    "WarmupLinear",
]
