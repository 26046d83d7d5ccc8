"""The models, data and starting weights that every variant of the benchmark shares.

A variant (NumPy by hand, PyTorch, tinytrain) gets the same weights, the same batches in the same
order and the same settings of AdamW, so that their losses can be compared before their times are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IdArray = NDArray[np.int64]
Weights = dict[str, FloatArray]
Parameter = tuple[str, tuple[int, ...], float, float]
"""Name, size, mean and standard deviation."""

TrainStep = Callable[[], float]
"""One training step on the next batch; returns the loss."""

LEARNING_RATE = 1e-3
BETAS = (0.9, 0.999)
EPSILON = 1e-8
WEIGHT_DECAY = 1e-2
MAX_NORM = 1.0
NORM_EPSILON = 1e-5  # of LayerNorm

BATCHES = 4


@dataclass(frozen=True)
class MLPShape:
    """Linear layers with ReLU between them, and softmax cross-entropy on top."""

    sizes: tuple[int, ...] = (784, 256, 128, 10)
    batch: int = 32


@dataclass(frozen=True)
class GPTShape:
    """A decoder-only transformer: pre-norm, learned positions, tanh-GELU, untied head."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 128
    vocabulary: int = 96
    batch: int = 16

    @property
    def rows(self) -> int:
        """The tokens of one batch."""
        return self.batch * self.context


Shape = MLPShape | GPTShape

WORKLOADS: dict[str, Shape] = {
    "mlp-32": MLPShape(batch=32),
    "mlp-128": MLPShape(batch=128),
    "gpt": GPTShape(),
}


def initial_weights(shape: Shape, seed: int = 0) -> Weights:
    """Starting weights by name; a linear weight is (outputs, inputs), as in PyTorch.

    Biases and gains are drawn as well, where training would start from 0 and 1: a variant that
    forgets one of them must not agree with the others by luck.
    """
    generator = np.random.default_rng(seed)
    return {
        name: (mean + deviation * generator.standard_normal(size)).astype(np.float32)
        for name, size, mean, deviation in _parameters(shape)
    }


def _parameters(shape: Shape) -> list[Parameter]:
    """Every parameter of the model, in the order of use."""
    if isinstance(shape, MLPShape):
        layers = zip(shape.sizes, shape.sizes[1:], strict=False)
        return [
            parameter
            for index, (inputs, outputs) in enumerate(layers)
            for parameter in _linear(f"linears.{index}", inputs, outputs)
        ]
    width = shape.width
    parameters: list[Parameter] = [
        ("token_embedding.weight", (shape.vocabulary, width), 0.0, 0.5),
        ("position_embedding.weight", (shape.context, width), 0.0, 0.5),
    ]
    for index in range(shape.layers):
        block = f"blocks.{index}"
        parameters += _norm(f"{block}.attention_norm", width)
        parameters += _linear(f"{block}.query_key_value", width, 3 * width)
        parameters += _linear(f"{block}.projection", width, width)
        parameters += _norm(f"{block}.feed_forward_norm", width)
        parameters += _linear(f"{block}.expand", width, 4 * width)
        parameters += _linear(f"{block}.contract", 4 * width, width)
    parameters += _norm("final_norm", width)
    return [*parameters, _linear("head", width, shape.vocabulary)[0]]


def _linear(name: str, inputs: int, outputs: int) -> list[Parameter]:
    return [
        (f"{name}.weight", (outputs, inputs), 0.0, 1 / math.sqrt(inputs)),
        (f"{name}.bias", (outputs,), 0.0, 0.1),
    ]


def _norm(name: str, width: int) -> list[Parameter]:
    return [(f"{name}.weight", (width,), 1.0, 0.1), (f"{name}.bias", (width,), 0.0, 0.1)]


class Batches:
    """An endless sequence of batches, the same for every variant: four, over and over.

    MLP: inputs (batch, 784) float32, targets (batch,) int64. GPT: both (batch, context) int64.
    The MLP's inputs have the mean 0, or many of its ReLUs would soon be dead.
    """

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        generator = np.random.default_rng(seed)
        self.taken = 0
        self.batches: list[tuple[FloatArray | IdArray, IdArray]] = []
        for _ in range(BATCHES):
            if isinstance(shape, MLPShape):
                size = (shape.batch, shape.sizes[0])
                inputs = generator.standard_normal(size, dtype=np.float32)
                targets = generator.integers(0, shape.sizes[-1], shape.batch)
            else:
                ids = generator.integers(0, shape.vocabulary, (2, shape.batch, shape.context))
                inputs, targets = ids
            self.batches.append((inputs, targets))

    def take(self) -> tuple[FloatArray | IdArray, IdArray]:
        """The next batch: (inputs, targets)."""
        batch = self.batches[self.taken % BATCHES]
        self.taken += 1
        return batch
