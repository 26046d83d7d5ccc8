"""Data on its way to the model: data sets, samplers, batches and the loader, all in NumPy."""

from tinytrain.data.array_dataset import ArrayBatch, TensorDataset
from tinytrain.data.balanced_sampler import BalancedBatchSampler
from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset
from tinytrain.data.distributed import DistributedSampler
from tinytrain.data.explanation import LoaderReport
from tinytrain.data.iterable import ShardedIterableDataset
from tinytrain.data.loader import DataLoader
from tinytrain.data.packed import (
    IGNORE_INDEX,
    PackedBatch,
    PackedDataset,
    collate_packed,
    split_sequences,
)
from tinytrain.data.packing import PackingPlan, plan_packing, plan_packing_simple
from tinytrain.data.padding import pad_collate
from tinytrain.data.sample_random import sample_rng
from tinytrain.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)
from tinytrain.data.stack_dataset import StackDataset
from tinytrain.data.subset import Subset, random_split
from tinytrain.data.weighted_sampler import WeightedRandomSampler
from tinytrain.data.workers import WorkerInfo, get_worker_info

__all__ = [
    "IGNORE_INDEX",
    "ArrayBatch",
    "BalancedBatchSampler",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "LoaderReport",
    "PackedBatch",
    "PackedDataset",
    "PackingPlan",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "ShardedIterableDataset",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "collate_packed",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "pad_collate",
    "plan_packing",
    "plan_packing_simple",
    "random_split",
    "sample_rng",
    "split_sequences",
]
