"""Putting back what a forward pass changes beside its result, where the pass has to be repeated."""

from collections.abc import Mapping

import numpy as np

from tinytrain.nn.module import Module
from tinytrain.train.accumulation import pooling_layers
from tinytrain.train.random_state import capture_random, generators_of, restore_random


class Rollback:
    """Remembers random generators and buffers, and puts them back.

    The generators are the default one, those that layers have, and the global ones of NumPy and
    Python. Gradients are cleared, and normalisations that pool their statistics start again. What
    layers keep elsewhere, or a loss function draws from generators of its own, is not known here.

    Parameters
    ----------
    model : Module

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.BatchNorm1d(2), tt.nn.Dropout())
    >>> before = Rollback(model)
    >>> first = model(tt.ones(4, 2)).tolist()
    >>> before.drew
    True
    >>> before.restore()
    >>> model[0].num_batches_tracked.item(), model(tt.ones(4, 2)).tolist() == first
    (0, True)
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        self._pooling = [layer for layer in pooling_layers(model) if layer.pooled is not None]
        untouched = {id(buffer) for layer in self._pooling for buffer in layer.buffers()}
        self._buffers = {
            name: buffer.data.copy()
            for name, buffer in model.named_buffers()
            if id(buffer) not in untouched
        }
        self._generators = generators_of(model)
        self._random = capture_random(self._generators)

    @property
    def drew(self) -> bool:
        """Whether random numbers were drawn since."""
        return not same_random(self._random, capture_random(self._generators))

    def restore(self) -> None:
        """Put everything back; may be called again after the next try."""
        self.model.zero_grad()
        restore_random(self._generators, self._random)
        buffers = dict(self.model.named_buffers())
        for name, value in self._buffers.items():
            buffers[name].data[...] = value
        for layer in self._pooling:
            layer.start_pooling()


def same_random(one: object, other: object) -> bool:
    """Return whether two states of random generators, as `capture_random` gives them, are equal."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_random(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_random, one, other))
    return bool(np.array_equal(one, other))  # type: ignore[arg-type]  # host: words of generators
