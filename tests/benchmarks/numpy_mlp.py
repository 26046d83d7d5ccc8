"""A training step of an MLP without a framework: forward, loss, backward, clip, AdamW."""

from __future__ import annotations

import numpy as np
from numpy_parts import AdamW, Array, CrossEntropy, FlatParameters, Linear, ReLU, clip_gradient
from workloads import Batches, IdArray, MLPShape, TrainStep, initial_weights


class NumpyMLP:
    """Linear, ReLU, Linear, ReLU, Linear; the gradient comes back the same way."""

    def __init__(self, shape: MLPShape, parameters: FlatParameters) -> None:
        rows = shape.batch
        hidden_sizes = shape.sizes[1:-1]
        count = len(shape.sizes) - 1
        self.linears = [Linear(parameters, f"linears.{i}", rows) for i in range(count)]
        self.relus = [ReLU(parameters, rows, width) for width in hidden_sizes]
        self.hidden_gradients = [parameters.empty(rows, width) for width in hidden_sizes]
        self.cross_entropy = CrossEntropy(parameters, rows, shape.sizes[-1])

    def forward(self, inputs: Array, targets: IdArray) -> float:
        """Inputs (batch, 784), targets (batch,) -> the mean loss of the batch."""
        hidden = inputs
        for linear, relu in zip(self.linears, self.relus, strict=False):
            hidden = relu.forward(linear.forward(hidden))  # (batch, width of the layer)
        logits = self.linears[-1].forward(hidden)  # (batch, classes)
        return self.cross_entropy.forward(logits, targets)

    def backward(self) -> None:
        """Fill the flat gradient."""
        g = self.cross_entropy.backward()  # (batch, classes)
        for index in range(len(self.relus), 0, -1):
            self.linears[index].backward(g, out=self.hidden_gradients[index - 1])
            g = self.relus[index - 1].backward(self.hidden_gradients[index - 1])
        self.linears[0].backward(g, out=None)  # the data needs no gradient: a third of the work


def make_mlp_step(shape: MLPShape) -> TrainStep:
    """A function that makes one training step on the next batch and returns its loss."""
    parameters = FlatParameters(dict(initial_weights(shape)))
    model = NumpyMLP(shape, parameters)
    optimizer = AdamW(parameters)
    batches = Batches(shape)

    def step() -> float:
        inputs, targets = batches.take()
        loss = model.forward(np.asarray(inputs, parameters.dtype), targets)
        model.backward()  # overwrites the old gradient: nothing needs to be zeroed
        clip_gradient(parameters.gradient)
        optimizer.step()
        return loss

    return step
