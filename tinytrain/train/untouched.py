"""Trying something on a model that is to stay as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinytrain.data.random_states import random_states_kept
from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor
from tinytrain.train.modes import modes_kept


@contextmanager
def untouched(model: Module) -> Iterator[None]:
    """Put gradients, buffers, layers' modes and random generators back at the end of the block.

    For blocks that run and differentiate the model, but do not change its parameters' values. The
    generators are the default one, those of layers, and the global ones of NumPy and Python. What
    a batch normalisation of the whole window does (see `exact_batch_norm`) it does not in the
    block. What normalisations have collected (`pooled_statistics`) stays if the block collects in
    a block of its own.

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
    normalizers = [
        (layer, layer.window_normalizer)
        for layer in model.modules()
        if isinstance(layer, BatchNormBase)
    ]
    for layer, _ in normalizers:
        layer.window_normalizer = None
    try:
        with modes_kept(model), random_states_kept(*model.modules()):
            yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else Tensor(gradient)
        for buffer, values in buffers:
            buffer.data[...] = values
        for layer, normalizer in normalizers:
            layer.window_normalizer = normalizer
