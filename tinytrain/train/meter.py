"""Sums over the steps since the last log record."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain import backend
from tinytrain.tensor import Tensor


class Meter:
    """Sums over the steps since the last record; the loss stays on the device until it is read.

    Examples
    --------
    >>> import tinytrain as tt
    >>> meter = Meter()
    >>> meter.add(tt.tensor(6.0), items=4, seconds=0.5)
    >>> meter.add(tt.tensor(2.0), items=1, seconds=0.5)
    >>> meter.read()
    (1.6, 5.0)
    """

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.loss_sum: Tensor | None = None
        self.items: float = 0  # a float where items have weights
        self.seconds = 0.0

    def add(self, loss_sum: Tensor, items: float, seconds: float) -> None:
        """Take in one step: the sum of its items' losses, their number, and the time it took."""
        self.loss_sum = loss_sum if self.loss_sum is None else self.loss_sum + loss_sum
        self.items += items
        self.seconds += seconds

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint."""
        return {"loss_sum": self.loss_sum, "items": self.items, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with saved sums."""
        loss_sum = state["loss_sum"]
        if loss_sum is not None and not isinstance(loss_sum, Tensor):
            loss_sum = Tensor(backend.to_device(loss_sum))
        self.loss_sum = loss_sum
        self.items, self.seconds = state["items"], float(state["seconds"])

    def read(self) -> tuple[float, float]:
        """Return the loss per item and the items per second, and start over."""
        loss = math.nan if self.loss_sum is None else self.loss_sum.cpu().item() / self.items
        rate = self.items / self.seconds if self.seconds else math.nan
        self._restart()
        return loss, rate
