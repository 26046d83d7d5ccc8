"""Cutting the loader's endless epochs into windows: the micro-batches of one optimizer step."""

from collections.abc import Iterator, Mapping
from typing import Any

LAST_WINDOW_POLICIES = ("step", "carry", "drop")


class WindowStream:
    """Windows of micro-batches, epoch after epoch.

    Parameters
    ----------
    loader : iterable
        Iterated anew for each epoch. To continue in mid-epoch it needs ``state_dict`` and
        ``load_state_dict``, as `tinytrain.data.DataLoader` has.
    size : int
        Micro-batches per window.
    last_window : {"step", "carry", "drop"}
        What becomes of an epoch's last window when fewer micro-batches are left: it is a window of
        its own, smaller but weighed right; it is filled up from the next epoch; or it is left out.

    Attributes
    ----------
    epoch : int
        How many epochs have been finished.

    Examples
    --------
    >>> stream = WindowStream(["a", "b", "c"], size=2)
    >>> windows = iter(stream)
    >>> next(windows), next(windows), next(windows)
    (['a', 'b'], ['c'], ['a', 'b'])
    """

    def __init__(self, loader: Any, size: int, last_window: str = "step") -> None:
        if size < 1:
            raise ValueError(f"a window needs at least one micro-batch, got {size}")
        if last_window not in LAST_WINDOW_POLICIES:
            raise ValueError(
                f"last_window must be one of {', '.join(LAST_WINDOW_POLICIES)}, not {last_window!r}"
            )
        if iter(loader) is loader:
            raise TypeError("the loader must be iterable again for every epoch, not an iterator")
        self.loader, self.size, self.last_window = loader, size, last_window
        self.epoch = 0

    def __iter__(self) -> Iterator[list[Any]]:
        window: list[Any] = []
        empty_epochs = 0
        while True:
            taken = 0
            for batch in self.loader:
                taken += 1
                window.append(batch)
                if len(window) == self.size:
                    yield window
                    window = []
            self.epoch += 1
            # One epoch may be empty: a resumed one of which nothing was left.
            empty_epochs = 0 if taken else empty_epochs + 1
            if empty_epochs == 2:
                raise ValueError("the loader gives no batches: is the data set smaller than one?")
            if window and self.last_window == "step":
                yield window
            if self.last_window != "carry":
                window = []

    def windows_per_epoch(self) -> float:
        """Return how many windows an epoch gives; with "carry" this may be a fraction."""
        batches = len(self.loader)
        if self.last_window == "step":
            return -(-batches // self.size)
        return batches / self.size if self.last_window == "carry" else batches // self.size

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the window handed out last."""
        if not hasattr(self.loader, "state_dict"):
            raise TypeError(f"a {type(self.loader).__name__} has no state_dict to save")
        return {"epoch": self.epoch, "loader": self.loader.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a position; call it before iterating."""
        self.epoch = int(state["epoch"])
        self.loader.load_state_dict(state["loader"])
