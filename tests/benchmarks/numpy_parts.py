"""What a hand-written NumPy training step is made of: layers, loss, clipping, AdamW.

There is no tape: a part keeps in `forward` what its `backward` will read, and the model calls the
parts backwards itself. Every array is allocated once, before the first step, and written with
`out=` from then on. A `backward` writes the parameters' gradients into their place in the flat
gradient vector and returns the gradient of its input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from workloads import BETAS, EPSILON, LEARNING_RATE, MAX_NORM, WEIGHT_DECAY, IdArray

Array = NDArray[np.floating[Any]]

BLOCK = 65536
"""Elements that elementwise passes take at a time: 256 KB of float32, which stays in the cache."""


class FlatParameters:
    """All parameters in one vector, all gradients in another; each name is a view of its part.

    So clipping is one dot product and AdamW one pass, however many layers the model has.
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self.data: Array = np.concatenate([weight.ravel() for weight in weights.values()])
        self.gradient: Array = np.zeros_like(self.data)
        self.weights: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        start = 0
        for name, weight in weights.items():
            place = slice(start, start + weight.size)
            self.weights[name] = self.data[place].reshape(weight.shape)
            self.gradients[name] = self.gradient[place].reshape(weight.shape)
            start = place.stop
        self.dtype = self.data.dtype

    def empty(self, *shape: int) -> Array:
        """A new array of the parameters' dtype, not filled."""
        return np.empty(shape, self.dtype)

    def ones(self, *shape: int) -> Array:
        """A new array of ones: `ones @ a` sums over rows faster than `a.sum(0)`."""
        return np.ones(shape, self.dtype)


class Linear:
    """y = x Wᵀ + b;   dL/dW = gᵀ x,   dL/db = the sum of g's rows,   dL/dx = g W."""

    def __init__(self, parameters: FlatParameters, name: str, rows: int) -> None:
        self.weight = parameters.weights[f"{name}.weight"]  # (outputs, inputs)
        self.weight_gradient = parameters.gradients[f"{name}.weight"]
        self.bias = parameters.weights.get(f"{name}.bias")  # (outputs,) or None
        self.bias_gradient = parameters.gradients.get(f"{name}.bias")
        self.output = parameters.empty(rows, self.weight.shape[0])
        self.ones = parameters.ones(rows)
        self.input: Array

    def forward(self, x: Array) -> Array:
        """(rows, inputs) -> (rows, outputs)."""
        self.input = x
        np.matmul(x, self.weight.T, out=self.output)
        if self.bias is not None:
            self.output += self.bias
        return self.output

    def backward(self, g: Array, out: Array | None) -> None:
        """g (rows, outputs) -> out (rows, inputs); None where nobody needs the input's."""
        np.matmul(g.T, self.input, out=self.weight_gradient)
        if self.bias_gradient is not None:
            np.matmul(self.ones, g, out=self.bias_gradient)
        if out is not None:
            np.matmul(g, self.weight, out=out)


class ReLU:
    """y = max(x, 0);   dL/dx = g where x > 0, else 0. Both in place."""

    def __init__(self, parameters: FlatParameters, rows: int, width: int) -> None:
        self.positive = np.empty((rows, width), bool)

    def forward(self, x: Array) -> Array:
        """Overwrite x, of any shape, and return it."""
        np.greater(x, 0, out=self.positive)
        return np.maximum(x, 0, out=x)

    def backward(self, g: Array) -> Array:
        """Overwrite g and return it."""
        g *= self.positive
        return g


class CrossEntropy:
    """loss = mean of log Σ exp(x) - x[target] over N rows;   dL/dx = (softmax(x) - onehot) / N."""

    def __init__(self, parameters: FlatParameters, rows: int, classes: int) -> None:
        self.exponentials = parameters.empty(rows, classes)
        self.sums = parameters.empty(rows)
        self.ones = parameters.ones(classes)
        self.every_row = np.arange(rows)
        self.targets: IdArray

    def forward(self, logits: Array, targets: IdArray) -> float:
        """Logits (rows, classes), targets (rows,) -> the loss. Logits are overwritten."""
        self.targets = targets
        logits -= logits.max(axis=1, keepdims=True)  # exp cannot overflow, the loss stays the same
        np.exp(logits, out=self.exponentials)
        np.matmul(self.exponentials, self.ones, out=self.sums)
        losses = np.log(self.sums) - logits[self.every_row, targets]
        return float(losses.mean())

    def backward(self) -> Array:
        """The gradient of the logits (rows, classes)."""
        rows = len(self.sums)
        self.sums *= rows
        self.exponentials /= self.sums[:, None]
        self.exponentials[self.every_row, self.targets] -= 1 / rows
        return self.exponentials


def clip_gradient(gradient: Array) -> float:
    """Scale the flat gradient to the norm 1 where it is longer; return the norm it had."""
    norm = math.sqrt(np.dot(gradient, gradient))
    scale = MAX_NORM / (norm + 1e-6)
    if scale < 1:
        gradient *= scale
    return norm


class AdamW:
    """m = β₁m + (1-β₁)g,  v = β₂v + (1-β₂)g²,  p = (1-ηλ)p - η m̂ / (√v̂ + ε).

    m̂ = m / (1-β₁ᵗ) and v̂ = v / (1-β₂ᵗ) (Loshchilov & Hutter 2019, algorithm 2). What is kept is
    M = m / (1-β₁) and V = v / (1-β₂): the two multiplications fall into the step's scalars,

        η m̂ / (√v̂ + ε) = step_size M / (√V + epsilon),

    and eleven passes over the vector remain. They run block by block, so that a block is read from
    memory once and met in the cache ten times.
    """

    def __init__(self, parameters: FlatParameters) -> None:
        self.parameters = parameters
        self.first: Array = np.zeros_like(parameters.data)  # M
        self.second: Array = np.zeros_like(parameters.data)  # V
        self.scratch = parameters.empty(BLOCK)
        self.steps = 0

    def step(self) -> None:
        """Update all parameters from the flat gradient."""
        self.steps += 1
        beta1, beta2 = BETAS
        mean_scale = (1 - beta1) / (1 - beta1**self.steps)  # m̂ = mean_scale M
        root_scale = math.sqrt((1 - beta2) / (1 - beta2**self.steps))  # √v̂ = root_scale √V
        step_size = LEARNING_RATE * mean_scale / root_scale
        epsilon = EPSILON / root_scale
        for start in range(0, self.first.size, BLOCK):
            self._update(slice(start, start + BLOCK), step_size, epsilon)

    def _update(self, block: slice, step_size: float, epsilon: float) -> None:
        data, gradient = self.parameters.data[block], self.parameters.gradient[block]
        first, second = self.first[block], self.second[block]
        scratch = self.scratch[: data.size]
        first *= BETAS[0]
        first += gradient
        np.multiply(gradient, gradient, out=scratch)
        second *= BETAS[1]
        second += scratch
        np.sqrt(second, out=scratch)
        scratch += epsilon
        np.divide(first, scratch, out=scratch)
        scratch *= step_size
        data *= 1 - LEARNING_RATE * WEIGHT_DECAY
        data -= scratch
