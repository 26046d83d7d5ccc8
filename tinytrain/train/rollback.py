"""Putting back what a forward pass changes beside its result, where the pass has to be repeated."""

from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.train.random_state import generators_of


class Rollback:
    """Remembers random generators and buffers, and puts them back.

    Gradients are cleared, and batch normalisations that pool their statistics start again. What
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
    >>> before.restore()
    >>> model[0].num_batches_tracked.item(), model(tt.ones(4, 2)).tolist() == first
    (0, True)
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        pooling = [layer for layer in _batch_norms(model) if layer.pooled is not None]
        untouched = {id(buffer) for layer in pooling for buffer in layer.buffers()}
        self._buffers = {
            name: buffer.data.copy()
            for name, buffer in model.named_buffers()
            if id(buffer) not in untouched
        }
        self._generators = [(one, one.get_state()) for one in generators_of(model)]

    def restore(self) -> None:
        """Put everything back; may be called again after the next try."""
        self.model.zero_grad()
        for generator, state in self._generators:
            generator.set_state(state)
        buffers = dict(self.model.named_buffers())
        for name, value in self._buffers.items():
            buffers[name].data[...] = value
        for layer in _batch_norms(self.model):
            if layer.pooled is not None:
                layer.start_pooling()


def _batch_norms(model: Module) -> list[BatchNormBase]:
    return [layer for layer in model.modules() if isinstance(layer, BatchNormBase)]
