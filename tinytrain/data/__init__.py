"""Data on its way to the model: data sets, samplers, batches and the loader, all in NumPy."""

from tinytrain.data.array_dataset import ArrayBatch, TensorDataset, takes_array_batch
from tinytrain.data.balanced_sampler import BalancedBatchSampler
from tinytrain.data.batch_size_schedule import ScheduledBatchSampler
from tinytrain.data.blocks import BlockDataset, RandomBlockSampler, collate_blocks
from tinytrain.data.bucket import BucketBatchSampler
from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.cutting import CutPlan, split_sequences
from tinytrain.data.dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset
from tinytrain.data.distributed import DistributedSampler
from tinytrain.data.explanation import LoaderReport
from tinytrain.data.iterable import ShardedIterableDataset
from tinytrain.data.length_report import LengthReport
from tinytrain.data.length_warmup import LengthWarmupBatchSampler, Piece, PieceDataset
from tinytrain.data.loader import DataLoader
from tinytrain.data.online_packing import OnlinePacker
from tinytrain.data.order_measures import repeat_mates
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
from tinytrain.data.sample_random import Fetch, current_fetch, sample_rng
from tinytrain.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)
from tinytrain.data.scaler import StandardScaler
from tinytrain.data.stack_dataset import StackDataset
from tinytrain.data.subset import Subset, random_split
from tinytrain.data.token_budget import TokenBudgetBatchSampler
from tinytrain.data.weighted_sampler import WeightedRandomSampler
from tinytrain.data.window_sampler import DisjointWindowBatchSampler, WindowReport
from tinytrain.data.window_split import ChronologicalSplit, chronological_split
from tinytrain.data.windows import WindowDataset, covered_rows
from tinytrain.data.workers import WorkerInfo, get_worker_info

__all__ = [
    "IGNORE_INDEX",
    "ArrayBatch",
    "BalancedBatchSampler",
    "BatchSampler",
    "BlockDataset",
    "BucketBatchSampler",
    "ChainDataset",
    "ChronologicalSplit",
    "ConcatDataset",
    "CutPlan",
    "DataLoader",
    "Dataset",
    "DisjointWindowBatchSampler",
    "DistributedSampler",
    "Fetch",
    "IterableDataset",
    "LengthReport",
    "LengthWarmupBatchSampler",
    "LoaderReport",
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
    "ShardedIterableDataset",
    "StackDataset",
    "StandardScaler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TokenBudgetBatchSampler",
    "WeightedRandomSampler",
    "WindowDataset",
    "WindowReport",
    "WorkerInfo",
    "chronological_split",
    "collate_blocks",
    "collate_packed",
    "covered_rows",
    "current_fetch",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "pad_collate",
    "pad_sequences",
    "plan_packing",
    "plan_packing_simple",
    "random_split",
    "repeat_mates",
    "sample_rng",
    "split_sequences",
    "takes_array_batch",
]
