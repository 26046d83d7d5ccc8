"""The loader benchmark's floor: a bare loop over a permutation, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from data_workloads import WORKLOADS, LoaderStep, make_arrays


class BareLoop:
    """``x[permutation[i : i + batch]]``, with a new permutation for each epoch."""

    def __init__(self, inputs: Any, targets: Any, batch: int) -> None:
        self._arrays = inputs, targets
        self._batch = batch
        self._source = np.random.default_rng(0)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        inputs, targets = self._arrays
        permutation = self._source.permutation(len(inputs))
        for start in range(0, len(inputs), self._batch):
            rows = permutation[start : start + self._batch]
            yield inputs[rows], targets[rows]


def make_step(name: str) -> LoaderStep:
    """The step of a workload without workers and transforms."""
    workload = WORKLOADS[name]
    return LoaderStep(lambda: BareLoop(*make_arrays(workload), workload.batch), workload)
