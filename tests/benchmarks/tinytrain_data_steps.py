"""The loader benchmark's steps with tinytrain."""

from __future__ import annotations

from data_workloads import WORKLOADS, LoaderStep, SlowSamples, make_arrays

from tinytrain.data import DataLoader, TensorDataset


def make_step(name: str) -> LoaderStep:
    """The step of a workload."""
    workload = WORKLOADS[name]
    arrays = make_arrays(workload)

    def make_loader() -> DataLoader:
        return DataLoader(
            SlowSamples(*arrays) if workload.transform else TensorDataset(*arrays),
            batch_size=workload.batch,
            shuffle=True,
            num_workers=workload.workers,
            persistent_workers=workload.workers > 0 and workload.start_method is None,
            multiprocessing_context=workload.start_method,
            generator=0,
        )

    return LoaderStep(make_loader, workload)
