"""Training mode and evaluation mode: who is in which, and back again."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinytrain.nn.module import Module


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Put each layer back into the mode that it had before the block.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Dropout(), tt.nn.Dropout().eval())
    >>> with modes_kept(model):
    ...     _ = model.eval()
    >>> [layer.training for layer in model]
    [True, False]
    """
    modes = [(layer, layer.training) for layer in model.modules()]
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


def start_training(model: Module) -> None:
    """Put a model into training mode that is in evaluation mode as a whole.

    Where only some layers are, they were put there on purpose, such as batch normalisations that
    keep the statistics of an earlier training: they stay.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Dropout(), tt.nn.Dropout())
    >>> start_training(model.eval())
    >>> _ = model[1].eval()
    >>> start_training(model)
    >>> [layer.training for layer in model]
    [True, False]
    """
    if not any(layer.training for layer in model.modules()):
        model.train()
