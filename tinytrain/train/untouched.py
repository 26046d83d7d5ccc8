"""Trying something on a model that is to stay as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor
from tinytrain.train.modes import modes_kept
from tinytrain.train.random_state import random_kept


@contextmanager
def untouched(model: Module) -> Iterator[None]:
    """Put gradients, buffers, layers' modes and random generators back at the end of the block.

    For blocks that run and differentiate the model, but do not change its parameters' values.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.BatchNorm1d(1)
    >>> with untouched(model):
    ...     model(tt.ones(2, 1)).sum().backward()
    >>> model.running_mean.tolist(), model.weight.grad
    ([0.0], None)
    """
    parameters = list(model.parameters())
    gradients = [None if p.grad is None else p.grad.data.copy() for p in parameters]
    buffers = [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    try:
        with modes_kept(model), random_kept(model):
            yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else Tensor(gradient)
        for buffer, values in buffers:
            buffer.data[...] = values
