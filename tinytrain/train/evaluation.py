"""Measuring the loss on data that are not trained on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tinytrain import autograd
from tinytrain.creation import to_device
from tinytrain.nn.module import Module
from tinytrain.train.accumulation import LossFunction, checked_loss
from tinytrain.train.modes import modes_kept
from tinytrain.train.random_state import random_kept


def evaluate(model: Module, loss_function: LossFunction, loader: Iterable[Any]) -> float:
    """Return the item mean of the loss, sum S_m / sum n_m, in evaluation mode without gradients.

    Nothing that training depends on changes: neither the modes of the layers, nor gradients, nor
    running statistics, nor the default random generator and those of the layers.

    Parameters
    ----------
    model : Module
    loss_function : callable
        ``(model, batch) -> (sum of losses, number of items)``.
    loader : iterable
        Gives batches in host memory.

    Raises
    ------
    ValueError
        The loader has no supervised items.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> def error(model, x):
    ...     return model(x).sum(), len(x)
    >>> evaluate(tt.nn.ReLU(), error, [np.ones(3), np.zeros(1)])
    0.75
    """
    total = count = 0.0
    with autograd.no_grad(), evaluation_mode(model):
        for batch in loader:
            loss_sum, items = checked_loss(loss_function(model, to_device(batch)))
            total += loss_sum.cpu().item() if items else 0.0
            count += items
    if not count:
        raise ValueError("the evaluation data has no supervised items")
    return total / count


@contextmanager
def evaluation_mode(model: Module) -> Iterator[None]:
    """Switch to evaluation in the block, and put layers and random generators back after it."""
    with modes_kept(model), random_kept(model):
        model.eval()
        yield
