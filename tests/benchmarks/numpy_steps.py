"""The hand-written NumPy steps by workload: "the floor"."""

from __future__ import annotations

from numpy_gpt import make_gpt_step
from numpy_mlp import make_mlp_step
from workloads import WORKLOADS, GPTShape, TrainStep


def make_step(workload: str) -> TrainStep:
    """A function that makes one training step of the workload and returns its loss."""
    shape = WORKLOADS[workload]
    return make_gpt_step(shape) if isinstance(shape, GPTShape) else make_mlp_step(shape)
