"""What the loader benchmark does: the data, the work per sample, and how an epoch is added up."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRANSFORM_SECONDS = 1e-3


@dataclass(frozen=True)
class LoaderWorkload:
    """One use of a loader; a step of the benchmark is one epoch of it, or all of its life.

    Attributes
    ----------
    samples, width, batch
        float32 samples of so many numbers, in batches of so many.
    workers
        Processes.
    transform
        Whether every sample takes `TRANSFORM_SECONDS` more. It sleeps: two workers then need no
        more than the one or two cores that are there.
    start_method
        With it a step is a new loader, its workers' start, an epoch, and their end. Otherwise the
        loader and its workers are there, and a step is an epoch.
    """

    samples: int
    width: int
    batch: int
    workers: int = 0
    transform: bool = False
    start_method: str | None = None


WORKLOADS = {
    "arrays": LoaderWorkload(samples=60_000, width=784, batch=64),
    "transform": LoaderWorkload(samples=512, width=784, batch=32, workers=2, transform=True),
    "start-fork": LoaderWorkload(64, 16, 16, workers=2, start_method="fork"),
    "start-forkserver": LoaderWorkload(64, 16, 16, workers=2, start_method="forkserver"),
    "start-spawn": LoaderWorkload(64, 16, 16, workers=2, start_method="spawn"),
}


def make_arrays(workload: LoaderWorkload) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Inputs (samples, width) and classes (samples,)."""
    source = np.random.default_rng(0)
    inputs = source.random((workload.samples, workload.width), dtype=np.float32)
    return inputs, source.integers(0, 10, workload.samples)


class SlowSamples:
    """A map-style data set whose every sample takes a while."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        self.inputs, self.targets = inputs, targets

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        time.sleep(TRANSFORM_SECONDS)
        return self.inputs[index], self.targets[index]

    def __len__(self) -> int:
        return len(self.inputs)


def add_up(batches: Iterable[Any]) -> float:
    """Go through an epoch and return a sum over its samples that no order changes."""
    total, samples = 0.0, 0
    for inputs, targets in batches:
        total += float(targets.sum())
        samples += len(inputs)
    return total + samples


class LoaderStep:
    """A step over a loader: an epoch, or a whole life of it.

    Parameters
    ----------
    make_loader
        Makes the loader.
    workload
        Says whether a new one is made for each step.
    """

    def __init__(self, make_loader: Any, workload: LoaderWorkload) -> None:
        self.has_processes = workload.workers > 0
        self._make_loader = make_loader
        self._loader = None if workload.start_method else make_loader()

    def __call__(self) -> float:
        if self._loader is not None:
            return add_up(self._loader)
        loader = self._make_loader()
        total = add_up(loader)
        del loader
        return total
