"""A training step of a small GPT without a framework: forward, loss, backward, clip, AdamW.

Shapes: B sequences of T tokens make N = B T rows of width D; H heads are D / H = S wide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy_attention import CausalAttention
from numpy_parts import (
    BLOCK,
    AdamW,
    Array,
    CrossEntropy,
    FlatParameters,
    Linear,
    clip_gradient,
)
from workloads import NORM_EPSILON, Batches, GPTShape, IdArray, TrainStep, initial_weights


class Embedding:
    """x = token table[id] + position table;   a table row's gradient is the sum of its uses."""

    def __init__(self, shape: GPTShape, parameters: FlatParameters) -> None:
        self.token_table = parameters.weights["token_embedding.weight"]  # (vocabulary, D)
        self.token_gradient = parameters.gradients["token_embedding.weight"]
        self.position_table = parameters.weights["position_embedding.weight"]  # (T, D)
        self.position_gradient = parameters.gradients["position_embedding.weight"]
        self.output = parameters.empty(shape.rows, shape.width)
        self.one_hot = parameters.empty(shape.rows, shape.vocabulary)
        self.every_row = np.arange(shape.rows)
        self.ones = parameters.ones(shape.batch)
        self.ids: IdArray

    def forward(self, ids: IdArray) -> Array:
        """Ids (B, T) -> (N, D)."""
        self.ids = ids.ravel()
        np.take(self.token_table, self.ids, axis=0, out=self.output, mode="clip")
        by_sequence = self.output.reshape(*ids.shape, -1)  # (B, T, D), a view
        by_sequence += self.position_table
        return self.output

    def backward(self, g: Array) -> None:
        """g (N, D). onehotᵀ g adds the rows of equal ids; `np.add.at` takes six times as long."""
        self.one_hot.fill(0)
        self.one_hot[self.every_row, self.ids] = 1
        np.matmul(self.one_hot.T, g, out=self.token_gradient)
        sequences = g.reshape(len(self.ones), -1)  # (B, T D)
        np.matmul(self.ones, sequences, out=self.position_gradient.reshape(-1))


class LayerNorm:
    """x̂ = (x - mean) / √(var + ε),  y = γ x̂ + β, row by row.

    With h = γ g:   dL/dx = (h - mean(h) - x̂ mean(h x̂)) / √(var + ε);
    summed over the rows:   dL/dγ = Σ g x̂,   dL/dβ = Σ g.
    """

    def __init__(self, shape: GPTShape, parameters: FlatParameters, name: str) -> None:
        self.gain = parameters.weights[f"{name}.weight"]  # γ, (D,)
        self.gain_gradient = parameters.gradients[f"{name}.weight"]
        self.bias = parameters.weights[f"{name}.bias"]  # β, (D,)
        self.bias_gradient = parameters.gradients[f"{name}.bias"]
        self.normalised = parameters.empty(shape.rows, shape.width)  # x̂
        self.output = parameters.empty(shape.rows, shape.width)
        self.inverse_deviation = parameters.empty(shape.rows)  # 1 / √(var + ε)
        self.ones = parameters.ones(shape.rows)
        self.averaging = parameters.ones(shape.width) / shape.width  # a @ averaging = row means

    def forward(self, x: Array) -> Array:
        """(N, D) -> (N, D); x is left alone."""
        normalised, inverse = self.normalised, self.inverse_deviation
        mean = x @ self.averaging  # (N,)
        np.subtract(x, mean[:, None], out=normalised)
        np.vecdot(normalised, normalised, out=inverse)  # D var
        inverse /= x.shape[1]
        inverse += NORM_EPSILON
        np.sqrt(inverse, out=inverse)
        np.reciprocal(inverse, out=inverse)
        normalised *= inverse[:, None]
        np.multiply(normalised, self.gain, out=self.output)
        self.output += self.bias
        return self.output

    def backward(self, g: Array, scratch: Array) -> Array:
        """Overwrite g (N, D) with dL/dx and return it; scratch is (N, D)."""
        np.multiply(g, self.normalised, out=scratch)
        np.matmul(self.ones, scratch, out=self.gain_gradient)
        np.matmul(self.ones, g, out=self.bias_gradient)
        g *= self.gain  # h
        mean = g @ self.averaging  # (N,)
        mean_product = np.vecdot(g, self.normalised)  # (N,), D mean(h x̂)
        mean_product /= g.shape[1]
        np.multiply(self.normalised, mean_product[:, None], out=scratch)
        g -= scratch
        g -= mean[:, None]
        g *= self.inverse_deviation[:, None]
        return g


class GELU:
    """y = x h  with  h = (1 + tanh u) / 2,  u = c (x + 0.044715 x³),  c = √(2/π).

    dy/dx = h + 2 y (1 - h) du/dx. It is computed here, while the numbers are in the cache, and put
    in the place of x, which nobody reads any more.
    """

    slope = math.sqrt(2 / math.pi)
    cubic = 0.044715 * slope

    def __init__(self, shape: GPTShape, parameters: FlatParameters) -> None:
        self.output = parameters.empty(shape.rows, 4 * shape.width)
        self.scratch = parameters.empty(3, BLOCK)
        self.derivative: Array

    def forward(self, x: Array) -> Array:
        """(N, 4 D) -> (N, 4 D); x is overwritten with dy/dx."""
        self.derivative = x
        x_vector, y_vector = x.reshape(-1), self.output.reshape(-1)
        for start in range(0, x.size, BLOCK):
            block = slice(start, start + BLOCK)
            self._forward_block(x_vector[block], y_vector[block])
        return self.output

    def _forward_block(self, x: Array, y: Array) -> None:
        square, half, rest = self.scratch[:, : x.size]
        np.multiply(x, x, out=square)
        np.multiply(square, self.cubic, out=half)
        half += self.slope
        half *= x  # u
        np.tanh(half, out=half)
        half *= 0.5
        half += 0.5  # h
        np.multiply(x, half, out=y)
        square *= 6 * self.cubic
        square += 2 * self.slope  # 2 du/dx
        square *= y
        np.subtract(1, half, out=rest)
        square *= rest
        np.add(half, square, out=x)

    def backward(self, g: Array) -> Array:
        """Overwrite g (N, 4 D) and return it."""
        g *= self.derivative
        return g


class Block:
    """x += projection(attention(norm(x)));   x += contract(gelu(expand(norm(x)))), in place."""

    def __init__(self, shape: GPTShape, parameters: FlatParameters, name: str) -> None:
        rows = shape.rows
        self.attention_norm = LayerNorm(shape, parameters, f"{name}.attention_norm")
        self.query_key_value = Linear(parameters, f"{name}.query_key_value", rows)
        self.attention = CausalAttention(shape, parameters)
        self.projection = Linear(parameters, f"{name}.projection", rows)
        self.feed_forward_norm = LayerNorm(shape, parameters, f"{name}.feed_forward_norm")
        self.expand = Linear(parameters, f"{name}.expand", rows)
        self.gelu = GELU(shape, parameters)
        self.contract = Linear(parameters, f"{name}.contract", rows)

    def forward(self, x: Array) -> None:
        """Add both branches to x (N, D)."""
        attended = self.attention.forward(
            self.query_key_value.forward(self.attention_norm.forward(x))
        )
        x += self.projection.forward(attended)
        hidden = self.gelu.forward(self.expand.forward(self.feed_forward_norm.forward(x)))
        x += self.contract.forward(hidden)

    def backward(self, g: Array, narrow: Array, scratch: Array, wide: Array) -> None:
        """Add both branches' gradients to g (N, D); the rest is scratch: (N, D) twice, (N, 4 D)."""
        self.contract.backward(g, out=wide)
        self.expand.backward(self.gelu.backward(wide), out=narrow)
        g += self.feed_forward_norm.backward(narrow, scratch)
        self.projection.backward(g, out=narrow)
        self.query_key_value.backward(self.attention.backward(narrow), out=narrow)
        g += self.attention_norm.backward(narrow, scratch)


class NumpyGPT:
    """Embedding, blocks, norm, head; the gradient comes back the same way."""

    def __init__(self, shape: GPTShape, parameters: FlatParameters) -> None:
        rows, width = shape.rows, shape.width
        self.embedding = Embedding(shape, parameters)
        self.blocks = [Block(shape, parameters, f"blocks.{i}") for i in range(shape.layers)]
        self.final_norm = LayerNorm(shape, parameters, "final_norm")
        self.head = Linear(parameters, "head", rows)
        self.cross_entropy = CrossEntropy(parameters, rows, shape.vocabulary)
        self.g = parameters.empty(rows, width)
        self.narrow = parameters.empty(rows, width)
        self.scratch = parameters.empty(rows, width)
        self.wide = parameters.empty(rows, 4 * width)

    def forward(self, ids: IdArray, targets: IdArray) -> float:
        """Ids and targets (B, T) -> the mean loss of the tokens."""
        x = self.embedding.forward(ids)  # (N, D), the residual stream
        for block in self.blocks:
            block.forward(x)
        logits = self.head.forward(self.final_norm.forward(x))  # (N, vocabulary)
        return self.cross_entropy.forward(logits, targets.ravel())

    def backward(self) -> None:
        """Fill the flat gradient."""
        self.head.backward(self.cross_entropy.backward(), out=self.g)
        g = self.final_norm.backward(self.g, self.scratch)
        for block in reversed(self.blocks):
            block.backward(g, self.narrow, self.scratch, self.wide)
        self.embedding.backward(g)


def make_gpt_step(shape: GPTShape) -> TrainStep:
    """A function that makes one training step on the next batch and returns its loss."""
    parameters = FlatParameters(dict(initial_weights(shape)))
    model = NumpyGPT(shape, parameters)
    optimizer = AdamW(parameters)
    batches = Batches(shape)

    def step() -> float:
        ids, targets = batches.take()
        loss = model.forward(np.asarray(ids, np.int64), targets)
        model.backward()  # overwrites the old gradient: nothing needs to be zeroed
        clip_gradient(parameters.gradient)
        optimizer.step()
        return loss

    return step
