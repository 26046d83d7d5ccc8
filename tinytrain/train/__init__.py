"""Training: batch arithmetic, exact accumulation, the loop, logs and checkpoints."""

from tinytrain.train.accumulation import accumulate_gradients, divide_gradients
from tinytrain.train.batch_plan import BatchPlan
from tinytrain.train.batch_schedule import AccumulationSchedule
from tinytrain.train.callback import Callback
from tinytrain.train.callbacks import (
    BestCheckpoint,
    CsvLog,
    EarlyStopping,
    ExponentialMovingAverage,
    PrintSamples,
    ProgressBar,
    TensorBoardLog,
)
from tinytrain.train.checkpoint import (
    CheckpointError,
    load_checkpoint,
    read_manifest,
    save_checkpoint,
)
from tinytrain.train.command_line import TrainingParser, add_device_flag, start
from tinytrain.train.log import JsonLinesLog, read_log
from tinytrain.train.micro_batch_size import find_micro_batch_size
from tinytrain.train.noise_scale import GradientNoiseScale, measure_noise
from tinytrain.train.plan_remarks import judge_plan
from tinytrain.train.split_batch import split_batch
from tinytrain.train.trainer import Trainer
from tinytrain.train.training_result import TrainingResult
from tinytrain.train.verify import AccumulationReport, verify_accumulation

__all__ = [
    "AccumulationReport",
    "AccumulationSchedule",
    "BatchPlan",
    "BestCheckpoint",
    "Callback",
    "CheckpointError",
    "CsvLog",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "GradientNoiseScale",
    "JsonLinesLog",
    "PrintSamples",
    "ProgressBar",
    "TensorBoardLog",
    "Trainer",
    "TrainingParser",
    "TrainingResult",
    "accumulate_gradients",
    "add_device_flag",
    "divide_gradients",
    "find_micro_batch_size",
    "judge_plan",
    "load_checkpoint",
    "measure_noise",
    "read_log",
    "read_manifest",
    "save_checkpoint",
    "split_batch",
    "start",
    "verify_accumulation",
]
