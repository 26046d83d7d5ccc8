"""Gradient accumulation that is exact: add up sums, divide once.

The loss of a batch is a mean over its items: tokens with a target, rows, pixels. Cut into
micro-batches of unequal numbers of items, the mean of their means is another number, and its
gradient another gradient. The sum of their sums is not: sum S_m / sum n_m is the loss of the whole
batch, whichever way it was cut.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from tinytrain.creation import to_device
from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.optim.flat import gradient_arrays
from tinytrain.tensor import Tensor

LossFunction: TypeAlias = Callable[[Any, Any], tuple[Tensor, int]]
"""Takes the model and a batch; returns the *sum* of the items' losses and the number of items."""


def accumulate_gradients(
    model: Module,
    loss_function: LossFunction,
    micro_batches: Iterable[Any],
    after_micro_batch: Callable[[int], None] | None = None,
) -> tuple[Tensor | None, int]:
    """Add the gradients of the summed losses of all micro-batches to the parameters' `grad`.

    The running statistics of batch normalisation move once, by the statistics of all
    micro-batches together; see `pooled_statistics`.

    Parameters
    ----------
    model : Module
    loss_function : callable
        ``(model, batch) -> (sum of losses, number of items)``.
    micro_batches : iterable
        Each is brought to the device. One without items contributes nothing.
    after_micro_batch : callable, optional
        Called with the number of items each time that a micro-batch's gradients were added.

    Returns
    -------
    loss_sum : Tensor () or None
        The sum over all items, on the device, cut off from the graph; None without any items.
    items : int
        Their number.

    Raises
    ------
    TypeError, ValueError
        The loss function does not return such a pair.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Linear(2, 1)
    >>> def loss_function(model, batch):
    ...     x, y = batch
    ...     return tt.nn.functional.mse_loss(model(x), y, reduction="sum"), len(x)
    >>> micro_batches = [(tt.ones(3, 2), tt.zeros(3, 1)), (tt.ones(1, 2), tt.zeros(1, 1))]
    >>> loss_sum, items = accumulate_gradients(model, loss_function, micro_batches)
    >>> items
    4
    >>> divide_gradients(model.parameters(), items)
    """
    with pooled_statistics(model):
        return sum_gradients(model, loss_function, micro_batches, after_micro_batch)


def sum_gradients(
    model: Module,
    loss_function: LossFunction,
    micro_batches: Iterable[Any],
    after_micro_batch: Callable[[int], None] | None = None,
) -> tuple[Tensor | None, int]:
    """Do what `accumulate_gradients` does, but for the pooling of batch statistics.

    `after_micro_batch` is called with the number of items each time that gradients were added.
    """
    total: Tensor | None = None
    total_items = 0
    for batch in micro_batches:
        loss_sum, items = checked_loss(loss_function(model, to_device(batch)))
        if items == 0:
            continue
        loss_sum.backward()
        detached = loss_sum.detach()
        total = detached if total is None else total + detached
        total_items += items
        if after_micro_batch is not None:
            after_micro_batch(items)
    return total, total_items


def divide_gradients(parameters: Iterable[Tensor], items: int) -> None:
    """Divide all gradients, in place, by the number of items of the whole window.

    Raises
    ------
    ValueError
        The number is not positive.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = tt.ones(2, requires_grad=True)
    >>> (weight * 6.0).sum().backward()
    >>> divide_gradients([weight], 3)
    >>> weight.grad.tolist()
    [2.0, 2.0]
    """
    if items < 1:
        raise ValueError(f"gradients can be divided by a positive number of items, not {items}")
    for array in gradient_arrays(list(parameters)):
        array *= 1 / items


def checked_loss(result: Any) -> tuple[Tensor, int]:
    """Hold what a loss function returned against the contract (sum, number of items)."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            "a loss function returns (sum of the items' losses, number of items), got "
            f"{type(result).__name__}; for cross_entropy use reduction='sum'"
        )
    loss_sum, items = result
    if not isinstance(loss_sum, Tensor) or loss_sum.numel() != 1:
        raise TypeError(f"the summed loss must be a tensor of one element, got {loss_sum!r:.80}")
    if not isinstance(items, int | np.integer) or isinstance(items, bool) or items < 0:
        raise ValueError(
            f"the number of items must be a whole number from 0, an int, got {items!r:.80}"
        )
    return loss_sum, int(items)


@contextmanager
def pooled_statistics(model: Module) -> Iterator[None]:
    """Let batch normalisation collect statistics in the block and apply them once at its end.

    If the block raises, the running statistics stay as they were.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, BatchNormBase)]
    for layer in layers:
        layer.start_pooling()
    try:
        yield
    except BaseException:
        for layer in layers:
            layer.start_pooling()  # drops what was collected
        raise
    finally:
        for layer in layers:
            layer.finish_pooling()
