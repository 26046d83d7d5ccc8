"""Cutting the batches of an optimizer step until they fit into memory, with the same result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tinytrain.backend import free_cached_memory
from tinytrain.checks import whole_number
from tinytrain.memory import OutOfMemoryError, is_out_of_memory
from tinytrain.nn.module import Module
from tinytrain.optim.optimizer import Optimizer
from tinytrain.train.rollback import Rollback
from tinytrain.train.say import say
from tinytrain.train.split_batch import count_rows, split_batch

R = TypeVar("R")


class MicroBatches:
    """Cuts the batches of a window into micro-batches: of a given size, or of one that fits.

    The gradient of a window is the sum over its items divided once by their number, so it does not
    depend on the cut. With ``"auto"`` an out-of-memory error puts the window back to its start
    (gradients, random generators, running statistics) and tries again with the next smaller power
    of two: the run goes on as one that had this size from the window on.

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
        while True:
            problem = ""
            try:
                return compute(self._pieces(window))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error)
            # Here the error is gone, and with it the frames that held the arrays.
            before.restore()
            free_cached_memory()
            if self.on_restart is not None:
                self.on_restart()
            self._shrink(window, problem)

    def _pieces(self, window: list[Any]) -> list[Any]:
        size = self.size
        if size is None:
            return window
        pieces: list[Any] = []
        for batch in window:  # as equal as possible: one row alone is too few for some layers
            rows = count_rows(batch)
            even = -(-rows // -(-rows // size)) if rows > size else size
            pieces += self.split(batch, even)
        return pieces

    def _shrink(self, window: Sequence[Any], problem: str) -> None:
        """Go down to the next smaller power of two."""
        longest = max(count_rows(batch) for batch in window)
        present = longest if self.size is None else min(self.size, longest)
        if present == 1:
            raise OutOfMemoryError(f"not even a micro-batch of one row fits into memory: {problem}")
        self.size = 1 << ((present - 1).bit_length() - 1)
        self.tell(
            f"out of memory with micro-batches of {present} rows: going on with {self.size}, which "
            f"changes no gradient ({problem})"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the present size, for a checkpoint."""
        return {"size": self.size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved size, if it is found automatically; a given one stays."""
        if self.automatic:
            self.size = None if state["size"] is None else int(state["size"])
