"""Training: batch arithmetic, exact accumulation, the loop, logs and checkpoints."""

from tinytrain.train.accumulation import accumulate_gradients, divide_gradients
from tinytrain.train.batch_plan import BatchPlan
from tinytrain.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tinytrain.train.command_line import TrainingParser, add_device_flag, start
from tinytrain.train.log import read_log
from tinytrain.train.trainer import Trainer, TrainingResult

__all__ = [
    "BatchPlan",
    "CheckpointError",
    "Trainer",
    "TrainingParser",
    "TrainingResult",
    "accumulate_gradients",
    "add_device_flag",
    "divide_gradients",
    "load_checkpoint",
    "read_log",
    "save_checkpoint",
    "start",
]
