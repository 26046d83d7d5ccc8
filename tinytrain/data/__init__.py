"""Data on its way to the model: data sets, samplers, batches and the loader, all in NumPy."""

from tinytrain.data.batch_size_schedule import ScheduledBatchSampler
from tinytrain.data.blocks import BlockDataset, RandomBlockSampler, collate_blocks
from tinytrain.data.bucket import BucketBatchSampler
from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.cutting import split_sequences
from tinytrain.data.dataset import ArrayBatch, Dataset, Subset, TensorDataset, random_split
from tinytrain.data.length_report import LengthReport, repeat_mates
from tinytrain.data.length_warmup import LengthWarmupBatchSampler, Piece, PieceDataset
from tinytrain.data.loader import DataLoader
from tinytrain.data.online_packing import OnlinePacker
from tinytrain.data.packed import (
    IGNORE_INDEX,
    PackedBatch,
    PackedDataset,
    collate_packed,
)
from tinytrain.data.packed_stream import PackedStream
from tinytrain.data.packing import PackingPlan, plan_packing, plan_packing_simple
from tinytrain.data.packing_report import PackingReport
from tinytrain.data.padding import PaddedBatch, pad_collate, pad_sequences
from tinytrain.data.planned_batches import PlannedBatchSampler
from tinytrain.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tinytrain.data.scaler import StandardScaler
from tinytrain.data.token_budget import TokenBudgetBatchSampler
from tinytrain.data.window_sampler import DisjointWindowBatchSampler
from tinytrain.data.window_split import ChronologicalSplit, chronological_split
from tinytrain.data.windows import WindowDataset, covered_rows

__all__ = [
    "IGNORE_INDEX",
    "ArrayBatch",
    "BatchSampler",
    "BlockDataset",
    "BucketBatchSampler",
    "ChronologicalSplit",
    "DataLoader",
    "Dataset",
    "DisjointWindowBatchSampler",
    "LengthReport",
    "LengthWarmupBatchSampler",
    "OnlinePacker",
    "PackedBatch",
    "PackedDataset",
    "PackedStream",
    "PackingPlan",
    "PackingReport",
    "PaddedBatch",
    "Piece",
    "PieceDataset",
    "PlannedBatchSampler",
    "RandomBlockSampler",
    "RandomSampler",
    "Sampler",
    "ScheduledBatchSampler",
    "SequentialSampler",
    "StandardScaler",
    "Subset",
    "TensorDataset",
    "TokenBudgetBatchSampler",
    "WindowDataset",
    "chronological_split",
    "collate_blocks",
    "collate_packed",
    "covered_rows",
    "default_collate",
    "default_convert",
    "pad_collate",
    "pad_sequences",
    "plan_packing",
    "plan_packing_simple",
    "random_split",
    "repeat_mates",
    "split_sequences",
]
