"""Gradient accumulation that is exact: add up sums, divide once.

The loss of a batch is a mean over its items: tokens with a target, rows, pixels. Cut into
micro-batches of unequal numbers of items, the mean of their means is another number, and its
gradient another gradient. The sum of their sums is not: sum S_m / sum n_m is the loss of the whole
batch, whichever way it was cut.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from tinytrain import backend
from tinytrain.creation import to_device
from tinytrain.nn.module import Module
from tinytrain.nn.pooled_statistics import PoolingLayer
from tinytrain.optim.flat import gradient_arrays
from tinytrain.tensor import Tensor

LossFunction: TypeAlias = Callable[[Any, Any], tuple[Tensor, float]]
"""Takes the model and a batch; returns the *sum* of the items' losses and the number of items.

Where items have weights, it is the weighted sum and the sum of the weights. Both numbers may be
tensors or arrays of one element, which then are read, and so waited for on a GPU.
"""


def accumulate_gradients(
    model: Module,
    loss_function: LossFunction,
    micro_batches: Iterable[Any],
    after_micro_batch: Callable[[float], None] | None = None,
) -> tuple[Tensor | None, float]:
    """Add the gradients of the summed losses of all micro-batches to the parameters' `grad`.

    The running statistics of batch and instance normalisations move once, by the statistics of all
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
    items : int or float
        Their number, an int where all numbers were; or the sum of their weights.

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
    after_micro_batch: Callable[[float], None] | None = None,
) -> tuple[Tensor | None, float]:
    """Do what `accumulate_gradients` does, but for the pooling of batch statistics.

    `after_micro_batch` is called with the number of items each time that gradients were added.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Linear(2, 1, bias=False)
    >>> def loss_function(model, batch):
    ...     return model(batch).sum(), len(batch)
    >>> sum_gradients(model, loss_function, [tt.ones(3, 2), tt.ones(1, 2)])[1]
    4
    >>> model.weight.grad.tolist()
    [[4.0, 4.0]]
    """
    pooling = pooling_layers(model)

    def forward_and_backward(batch: Any) -> tuple[Tensor, float]:
        for layer in pooling:
            layer.start_pass()
        loss_sum, items = checked_loss(loss_function(model, to_device(batch)))
        if items:
            check_differentiable(loss_sum)
            loss_sum.backward()
        return loss_sum, items

    return sum_losses(map(forward_and_backward, micro_batches), after_micro_batch)


def sum_losses(
    losses: Iterable[tuple[Tensor, float]],
    after_micro_batch: Callable[[float], None] | None = None,
) -> tuple[Tensor | None, float]:
    """Add up losses and numbers of items of micro-batches; those without items contribute nothing.

    Examples
    --------
    >>> import tinytrain as tt
    >>> sum_losses([(tt.tensor(3.0), 2), (tt.tensor(0.0), 0), (tt.tensor(4.0), 1)])
    (tensor(7., dtype=float32, device=cpu), 3)
    """
    total: Tensor | None = None
    total_items: float = 0
    for loss_sum, items in losses:
        if not items:
            continue
        detached = loss_sum.detach()
        total = detached if total is None else total + detached
        total_items += items
        if after_micro_batch is not None:
            after_micro_batch(items)
    return total, total_items


def check_differentiable(loss_sum: Tensor) -> None:
    """Raise a RuntimeError where a loss has no gradient to give."""
    if not loss_sum.requires_grad:
        raise RuntimeError(
            "the loss requires no gradient, so nothing can be trained: all parameters that it "
            "depends on are frozen (requires_grad_(False)), or it was cut off from them by "
            "detach() or no_grad"
        )


def divide_gradients(parameters: Iterable[Tensor], items: float) -> None:
    """Divide all gradients, in place, by the number of items of the whole window.

    Raises
    ------
    ValueError
        The number is not positive and finite.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = tt.ones(2, requires_grad=True)
    >>> (weight * 6.0).sum().backward()
    >>> divide_gradients([weight], 3)
    >>> weight.grad.tolist()
    [2.0, 2.0]
    """
    if not 0 < items < math.inf:
        raise ValueError(f"gradients can be divided by a positive number of items, not {items}")
    for array in gradient_arrays(list(parameters)):
        array *= 1 / items


def checked_loss(result: Any) -> tuple[Tensor, float]:
    """Hold what a loss function returned against the contract (sum, number of items)."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            "a loss function returns (sum of the items' losses, number of items), got "
            f"{type(result).__name__}; for cross_entropy use reduction='sum'"
        )
    loss_sum, items = result
    if not isinstance(loss_sum, Tensor) or loss_sum.numel() != 1:
        raise TypeError(f"the summed loss must be a tensor of one element, got {loss_sum!r:.80}")
    return loss_sum, _checked_items(items)


def _checked_items(items: Any) -> float:
    """Return a number of items, or a sum of weights, as Python's int or float."""
    number = items
    if isinstance(number, Tensor):
        number = number.data
    if backend.is_array(number) and number.size == 1:
        number = backend.to_host(number).reshape(())[()]
    if isinstance(number, np.number):
        number = number.item()  # host: a NumPy number
    if type(number) not in (int, float) or not 0 <= number < math.inf:
        raise ValueError(
            "the number of items must be a number from 0 (the sum of their weights, where items "
            f"have any), finite, got {items!r:.80}"
        )
    return number  # type: ignore[no-any-return]


def pooling_layers(model: Module) -> list[PoolingLayer]:
    """List the layers of a model whose running statistics can be pooled."""
    return [layer for layer in model.modules() if isinstance(layer, PoolingLayer)]


@contextmanager
def pooled_statistics(model: Module) -> Iterator[None]:
    """Let normalisations collect statistics in the block, and apply them once at its end.

    If the block raises, the running statistics stay as they were. What a block around this one has
    collected stays too.
    """
    around = [(layer, layer.pooled) for layer in pooling_layers(model)]
    for layer, _ in around:
        layer.start_pooling()
    try:
        yield
    except BaseException:
        for layer, _ in around:
            layer.start_pooling()  # drops what was collected
        raise
    finally:
        for layer, pooled in around:
            layer.finish_pooling()
            layer.pooled = pooled
