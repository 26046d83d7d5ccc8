"""Data on its way to the model: data sets, samplers, batches and the loader, all in NumPy."""

from tinytrain.data.collate import default_collate, default_convert
from tinytrain.data.dataset import ArrayBatch, Dataset, Subset, TensorDataset, random_split
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
from tinytrain.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = [
    "IGNORE_INDEX",
    "ArrayBatch",
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "PackedBatch",
    "PackedDataset",
    "PackingPlan",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "collate_packed",
    "default_collate",
    "default_convert",
    "pad_collate",
    "plan_packing",
    "plan_packing_simple",
    "random_split",
    "split_sequences",
]
