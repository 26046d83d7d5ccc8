"""The callbacks that come with tinytrain; `tinytrain.train.callback` has their base class."""

from tinytrain.train.callbacks.best_checkpoint import BestCheckpoint
from tinytrain.train.callbacks.csv_log import CsvLog
from tinytrain.train.callbacks.early_stopping import EarlyStopping
from tinytrain.train.callbacks.moving_average import ExponentialMovingAverage
from tinytrain.train.callbacks.print_samples import PrintSamples
from tinytrain.train.callbacks.progress_bar import ProgressBar
from tinytrain.train.callbacks.tensor_board import TensorBoardLog

__all__ = [
    "BestCheckpoint",
    "CsvLog",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "PrintSamples",
    "ProgressBar",
    "TensorBoardLog",
]
