"""The loader benchmark's steps with PyTorch, the way its users write them."""

from __future__ import annotations

from typing import Any

import torch
from data_workloads import WORKLOADS, LoaderStep, SlowSamples, make_arrays
from torch.utils.data import DataLoader, TensorDataset


def make_step(name: str) -> LoaderStep:
    """The step of a workload."""
    workload = WORKLOADS[name]
    tensors = [torch.from_numpy(array) for array in make_arrays(workload)]
    dataset: Any = SlowSamples(*tensors) if workload.transform else TensorDataset(*tensors)

    def make_loader() -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size=workload.batch,
            shuffle=True,
            num_workers=workload.workers,
            persistent_workers=workload.workers > 0 and workload.start_method is None,
            multiprocessing_context=workload.start_method,
            generator=torch.Generator().manual_seed(0),
        )

    return LoaderStep(make_loader, workload)
