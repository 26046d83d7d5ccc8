"""Cutting the batches of an optimizer step until they fit into memory, with the same result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tinytrain.backend import free_cached_memory
from tinytrain.checks import whole_number
from tinytrain.memory import OutOfMemoryError, is_out_of_memory
from tinytrain.nn.dropout import DropoutBase
from tinytrain.nn.module import Module
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor
from tinytrain.train.accumulation import LossFunction, checked_loss
from tinytrain.train.exact_batch_norm import active_batch_norms
from tinytrain.train.rollback import Rollback
from tinytrain.train.say import say
from tinytrain.train.split_batch import count_rows, split_batch

R = TypeVar("R")


def untrainable_row(problem: str, error: ValueError) -> OutOfMemoryError:
    """Make the error for a model which cannot be trained on the one row that would fit."""
    return OutOfMemoryError(
        f"micro-batches of two rows do not fit into memory ({problem}), and the model cannot be "
        f"trained with one row at a time: {error}"
    )


def _next_smaller(size: int | None, longest: int, problem: str) -> int:
    """Return the next power of two below a number of rows that does not fit."""
    present = longest if size is None else min(size, longest)
    if present == 1:
        raise OutOfMemoryError(f"not even a micro-batch of one row fits into memory: {problem}")
    return 1 << ((present - 1).bit_length() - 1)


class MicroBatches:
    """Cuts the batches of a window into micro-batches: of a given size, or of one that fits.

    The gradient of a window is the sum over its items divided once by their number, so it does not
    depend on the cut, unless a layer mixes rows or draws random numbers for them. With ``"auto"``
    an out-of-memory error puts the window back to its start (gradients, random generators, running
    statistics) and tries again with the next smaller power of two: the run goes on as one that had
    this size from the window on.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    micro_batch_size : int, "auto" or None
        Rows per micro-batch, at most: the pieces of a batch are as equal as possible. None takes
        every batch as the loader gives it.
    tell : callable
        Gets a line of text at each cut.
    on_restart : callable, optional
        Called before a window is tried again.
    split : callable
        ``(batch, rows) -> pieces``, where `split_batch` cannot cut your batches.
    exact_batch_norm : bool
        Whether batch normalisation goes by the whole window; for what is told at a cut.

    Attributes
    ----------
    size : int or None
        Rows per micro-batch at present; None where batches are not cut.

    Raises
    ------
    ValueError
        The size is none of these.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> model = tt.nn.Linear(2, 1)
    >>> optimizer = tt.optim.SGD(model.parameters(), lr=0.1)
    >>> micro_batches = MicroBatches(model, optimizer, 3)
    >>> window = [np.zeros((4, 2)), np.zeros((3, 2))]
    >>> micro_batches.run(lambda pieces: [len(piece) for piece in pieces], window)
    [2, 2, 3]
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        micro_batch_size: int | str | None,
        *,
        tell: Callable[[str], None] = say,
        on_restart: Callable[[], None] | None = None,
        split: Callable[[Any, int], Sequence[Any]] = split_batch,
        exact_batch_norm: bool = False,
    ) -> None:
        self.automatic = isinstance(micro_batch_size, str) and micro_batch_size == "auto"
        self.size: int | None = None
        if isinstance(micro_batch_size, str) and not self.automatic:
            raise ValueError(
                f"micro_batch_size is a number of rows, 'auto' or None, not {micro_batch_size!r}"
            )
        if micro_batch_size is not None and not self.automatic:
            self.size = whole_number("micro_batch_size", micro_batch_size)
        self.model, self.optimizer, self.split = model, optimizer, split
        self.tell, self.on_restart = tell, on_restart
        self.exact_batch_norm = exact_batch_norm

    def run(self, compute: Callable[[list[Any]], R], window: list[Any]) -> R:
        """Compute on the window's micro-batches, and return the result.

        Parameters
        ----------
        compute : callable
            Takes the list of micro-batches; adds their gradients to the parameters', which have
            none at the start.
        window : list
            The batches of one optimizer step.

        Raises
        ------
        OutOfMemoryError
            Not even one row at a time fits.
        ValueError
            The batches cannot be cut.
        """
        if not self.automatic:
            return compute(self._pieces(window))
        self.optimizer.allocate_state()  # else the first window would seem to have room
        before = Rollback(self.model)
        problem = ""
        while True:
            try:
                return compute(self._pieces(window))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error)
            except ValueError as error:
                if not problem or self.size != 1:
                    raise
                raise untrainable_row(problem, error) from error
            # Here the error is gone, and with it the frames that held the arrays.
            effect = self._effect(before.drew)
            before.restore()
            free_cached_memory()
            if self.on_restart is not None:
                self.on_restart()
            self._shrink(window, problem, effect)

    def _pieces(self, window: list[Any]) -> list[Any]:
        return self._cut(window, self.size)

    def _cut(self, window: list[Any], size: int | None) -> list[Any]:
        if size is None:
            return window
        pieces: list[Any] = []
        for batch in window:  # as equal as possible: one row alone is too few for some layers
            rows = count_rows(batch)
            even = -(-rows // -(-rows // size)) if rows > size else size
            pieces += self.split(batch, even)
        return pieces

    def _shrink(self, window: Sequence[Any], problem: str, effect: str) -> None:
        """Go down to the next smaller power of two."""
        longest = max(count_rows(batch) for batch in window)
        present = longest if self.size is None else min(self.size, longest)
        self.size = _next_smaller(self.size, longest, problem)
        self.tell(
            f"out of memory with micro-batches of {present} rows: going on with {self.size}, "
            f"{effect} ({problem})"
        )

    def _effect(self, drew: bool) -> str:
        """Say what another cut does to the gradient."""
        if not self.exact_batch_norm and active_batch_norms(self.model):
            return (
                "which changes the gradient as far as batch normalisation goes by the micro-batch "
                "(batch_norm='exact' does not)"
            )
        dropouts = (isinstance(layer, DropoutBase) for layer in self.model.modules())
        if drew or any(dropouts):  # the try may have ended before it came to a dropout
            return "which changes the gradient as another seed would, by the numbers drawn"
        return "which changes no gradient, unless a layer mixes rows"

    # ---------------------------------------------------------------- evaluation

    def in_pieces(self, loss_function: LossFunction) -> LossFunction:
        """Return a loss function for evaluation that cuts its batches as training does.

        They are cut to the size of training where there is one; with ``"auto"`` those that do not
        fit are cut further, which changes nothing for training. It adds up sums and numbers of
        items, so that the loss is the same. Use it without gradients.

        Raises
        ------
        OutOfMemoryError
            Not even one row at a time fits.
        """
        if not self.automatic and self.size is None:
            return loss_function
        size = self.size

        def sum_of_pieces(model: Any, batch: Any) -> tuple[Tensor, float]:
            nonlocal size
            while True:
                try:
                    return self._sum_of(loss_function, model, batch, size)
                except (MemoryError, RuntimeError) as error:
                    if not (self.automatic and is_out_of_memory(error)):
                        raise
                    problem = str(error)
                free_cached_memory()
                size = _next_smaller(size, count_rows(batch), problem)
                self.tell(f"out of memory in evaluation: going on with {size} rows at a time")

        return sum_of_pieces

    def _sum_of(
        self, loss_function: LossFunction, model: Any, batch: Any, size: int | None
    ) -> tuple[Tensor, float]:
        total: Tensor | None = None
        total_items: float = 0
        for piece in self._cut([batch], size):
            loss_sum, items = checked_loss(loss_function(model, piece))
            if items:
                total = loss_sum if total is None else total + loss_sum
            total_items += items
        return loss_sum if total is None else total, total_items

    def state_dict(self) -> dict[str, Any]:
        """Return the present size, for a checkpoint."""
        return {"size": self.size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved size, if it is found automatically; a given one stays."""
        if self.automatic:
            self.size = None if state["size"] is None else int(state["size"])
