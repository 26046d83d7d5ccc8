"""Finding out how many rows fit into memory at a time, by trying."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tinytrain import backend
from tinytrain.backend import free_cached_memory
from tinytrain.checks import whole_number
from tinytrain.creation import zeros
from tinytrain.memory import OutOfMemoryError, is_out_of_memory, memory_limit
from tinytrain.memory.ledger import tell_ledgers
from tinytrain.nn.module import Module
from tinytrain.optim.clip import gradient_norm
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.accumulation import LossFunction, accumulate_gradients
from tinytrain.train.micro_batches import untrainable_row
from tinytrain.train.modes import modes_kept, start_training
from tinytrain.train.rollback import Rollback
from tinytrain.train.split_batch import count_rows, split_batch


def find_micro_batch_size(
    model: Module,
    optimizer: Optimizer,
    loss_function: LossFunction,
    batch: Any,
    *,
    start: int = 2,
    limit: str | int | None = None,
    split: Callable[[Any, int], Sequence[Any]] = split_batch,
) -> int:
    """Return the largest number of rows with which training fits into memory.

    The number is doubled as long as it fits, and then found exactly by bisection. Each is tried as
    a window of two micro-batches in the midst of training: with the gradients of all parameters and
    the optimizer's state in memory (which is made, as zeros, as the first step would). No parameter
    is updated; random generators, running statistics and other buffers are put back; gradients are
    cleared.

    Parameters
    ----------
    model : Module
        Tried as in training.
    optimizer : Optimizer
    loss_function : callable
        ``(model, batch) -> (sum of losses, number of items)``.
    batch : nested arrays
        As large as the largest that training will meet, in host memory; its first rows are tried.
    start : int
        The number of rows to try first. One row alone is tried only where more do not fit: batch
        normalisation cannot train on it.
    limit : str or int, optional
        The memory that may be used, such as ``"512MB"``; by default what there is on the GPU, or
        what an outer `tinytrain.memory_limit` allows. The host's memory is no good limit: there
        the system slows down, or ends the process, before Python sees an error.
    split : callable
        ``(batch, rows) -> pieces``, where `split_batch` cannot cut your batches.

    Returns
    -------
    int
        At least 1 and at most the batch's rows.

    Raises
    ------
    OutOfMemoryError
        Not even one row fits, or nothing above one row does, with which the model cannot be
        trained, as batch normalisation cannot.
    ValueError
        The batch cannot be cut, or a number makes no sense.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> model = tt.models.MLP([64, 64, 10])
    >>> optimizer = tt.optim.AdamW(model.parameters())
    >>> batch = np.zeros((512, 64), dtype=np.float32), np.zeros(512, dtype=np.int64)
    >>> loss_function = tt.models.classification_loss
    >>> find_micro_batch_size(model, optimizer, loss_function, batch, limit="1GB")
    512
    >>> find_micro_batch_size(model, optimizer, loss_function, batch, limit="200KB")
    138
    """
    start = whole_number("start", start)
    total = count_rows(batch)
    if not total:
        raise ValueError("the batch has no rows to try")
    search = _Search(model, optimizer, loss_function, batch, split)
    allowed: AbstractContextManager[Any] = nullcontext() if limit is None else memory_limit(limit)
    with modes_kept(model), allowed:
        start_training(model)
        return search.run(min(start, total), total)


class _Search:
    """Tries numbers of rows."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss_function: LossFunction,
        batch: Any,
        split: Callable[[Any, int], Sequence[Any]],
    ) -> None:
        self.model, self.optimizer, self.loss_function = model, optimizer, loss_function
        self.batch, self.split = batch, split
        self.before = Rollback(model)
        self.problem = ""

    def run(self, start: int, total: int) -> int:
        """Double or halve from `start`, then bisect between what fits and what does not."""
        fitting, too_many = 0, total + 1
        rows = start
        while too_many - fitting > 1:
            try:
                fits = self.fits(rows)
            except ValueError as error:
                if rows > 1 or not self.problem:
                    raise
                raise untrainable_row(self.problem, error) from error
            if fits:
                fitting = rows
            else:
                too_many = rows
            if not fitting:
                rows = too_many // 2
            elif too_many > total:
                rows = min(2 * fitting, total)
            else:
                rows = (fitting + too_many) // 2
        if not fitting:
            raise OutOfMemoryError(
                f"not even a micro-batch of one row fits into memory: {self.problem}"
            )
        return fitting

    def fits(self, rows: int) -> bool:
        """Try one micro-batch; leave everything as it was."""
        piece = self.split(self.batch, rows)[0]
        try:
            self.optimizer.allocate_state()
            self._fill_gradients()
            sums = zeros(4, dtype="float64")  # of losses, items, norms: a trainer keeps a few
            tell_ledgers(sums.data)
            accumulate_gradients(self.model, self.loss_function, [piece, piece])
            gradient_norm(list(self.model.parameters()))
            return True
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.problem = str(error)
            return False
        finally:
            self.before.restore()
            free_cached_memory()

    def _fill_gradients(self) -> None:
        """Let every parameter have a gradient, as it has from the second micro-batch on."""
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.leaf_gradient.set(
                    backend.xp_of(parameter.data).zeros_like(parameter.data)
                )
                tell_ledgers(parameter.leaf_gradient.array)
