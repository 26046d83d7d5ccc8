"""Counting, on the mock GPU, what the training steps of a run ask of it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tinytrain.backend import creation_library, get_device


class StepCosts:
    """The ledgers of a run's training steps; on other devices than the mock GPU it does nothing.

    Examples
    --------
    >>> import tinytrain as tt
    >>> costs = StepCosts()
    >>> _ = tt.set_device("mock")
    >>> with costs.count():
    ...     _ = tt.ones(2) + 1
    >>> costs.report().splitlines()[0]
    'what a GPU would have been asked to do, per training step (1 step counted)'
    >>> _ = tt.set_device("cpu")
    """

    def __init__(self) -> None:
        self.steps: list[Any] = []  # of tinytrain.testing.mock.Ledger
        self._mock: Any = None

    def count(self) -> AbstractContextManager[Any]:
        """Count what the block, one training step, asks of the GPU."""
        if get_device() != "mock":
            return nullcontext()
        self._mock = creation_library()
        ledger = self._mock.Ledger()
        self.steps.append(ledger)
        return self._mock.record(ledger)  # type: ignore[no-any-return]

    def report(self) -> str | None:
        """Return the table that tells learners what a step would cost; None if none was counted."""
        return self._mock.step_report(self.steps) if self.steps else None
