"""Training: batch arithmetic, exact accumulation, the loop, logs and checkpoints."""

from tinytrain.train.accumulation import (
    LossFunction,
    accumulate_gradients,
    divide_gradients,
    sum_gradients,
)
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
    verify_checkpoint,
)
from tinytrain.train.command_line import TrainingParser, add_device_flag, start
from tinytrain.train.evaluation import evaluate
from tinytrain.train.exact_batch_norm import sum_gradients_exactly
from tinytrain.train.finite import NotFiniteError
from tinytrain.train.log import JsonLinesLog, read_log
from tinytrain.train.micro_batch_size import find_micro_batch_size
from tinytrain.train.noise_scale import GradientNoise, GradientNoiseScale, measure_noise
from tinytrain.train.plan_remarks import Remark, judge_plan
from tinytrain.train.resumable import load_weights
from tinytrain.train.split_batch import split_batch
from tinytrain.train.trainer import Trainer
from tinytrain.train.training_result import TrainingResult
from tinytrain.train.verify import (
    AccumulationReport,
    Culprit,
    SplitDifference,
    verify_accumulation,
)

__all__ = [
    "AccumulationReport",
    "AccumulationSchedule",
    "BatchPlan",
    "BestCheckpoint",
    "Callback",
    "CheckpointError",
    "CsvLog",
    "Culprit",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "GradientNoise",
    "GradientNoiseScale",
    "JsonLinesLog",
    "LossFunction",
    "NotFiniteError",
    "PrintSamples",
    "ProgressBar",
    "Remark",
    "SplitDifference",
    "TensorBoardLog",
    "Trainer",
    "TrainingParser",
    "TrainingResult",
    "accumulate_gradients",
    "add_device_flag",
    "divide_gradients",
    "evaluate",
    "find_micro_batch_size",
    "judge_plan",
    "load_checkpoint",
    "load_weights",
    "measure_noise",
    "read_log",
    "read_manifest",
    "save_checkpoint",
    "split_batch",
    "start",
    "sum_gradients",
    "sum_gradients_exactly",
    "verify_accumulation",
    "verify_checkpoint",
]
