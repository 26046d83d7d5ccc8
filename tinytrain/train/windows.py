"""Cutting the loader's endless epochs into windows: the micro-batches of one optimizer step."""

from collections.abc import Iterator, Mapping
from typing import Any

from tinytrain.train.batch_plan import check_positive

LAST_WINDOW_POLICIES = ("step", "carry", "drop")


class WindowStream:
    """Windows of micro-batches, epoch after epoch.

    Parameters
    ----------
    loader : iterable
        Iterated anew for each epoch. To continue in mid-epoch it needs ``state_dict`` and
        ``load_state_dict``, as `tinytrain.data.DataLoader` has.
    size : int
        Micro-batches per window, at least 1.
    last_window : {"step", "carry", "drop"}
        What becomes of an epoch's last window when fewer micro-batches are left: it is a window of
        its own, smaller but weighed right; it is filled up from the next epoch; or it is left out.

    Attributes
    ----------
    epoch : int
        How many epochs have been finished: all their micro-batches were handed out.
    batches : int
        How many micro-batches of the present epoch have been handed out.

    Raises
    ------
    ValueError
        A setting makes no sense; or, while iterating, an epoch gives nothing to train on.
    TypeError
        The loader can be iterated only once.

    Examples
    --------
    >>> stream = WindowStream(["a", "b", "c"], size=2)
    >>> windows = iter(stream)
    >>> next(windows), next(windows), next(windows)
    (['a', 'b'], ['c'], ['a', 'b'])
    """

    def __init__(self, loader: Any, size: int, last_window: str = "step") -> None:
        check_positive("accumulation_steps", size)
        if last_window not in LAST_WINDOW_POLICIES:
            raise ValueError(
                f"last_window must be one of {', '.join(LAST_WINDOW_POLICIES)}, not {last_window!r}"
            )
        if isinstance(loader, Iterator):
            raise TypeError("the loader must be iterable again for every epoch, not an iterator")
        self.loader, self.size, self.last_window = loader, size, last_window
        self.epoch = self.batches = self._restored_batches = 0

    def __iter__(self) -> Iterator[list[Any]]:
        self.batches, self._restored_batches = self._restored_batches, 0
        window: list[Any] = []
        fruitless_epochs = 0
        while True:
            fruitful = False
            for batch in self.loader:
                self._count_batch()
                window.append(batch)
                full = len(window) == self.size
                fruitful = fruitful or full or self.last_window != "drop"
                if full:
                    yield window
                    window = []
            if self.batches:  # the loader's length was not known, or wrong
                self.epoch, self.batches = self.epoch + 1, 0
            # One epoch may give nothing: a resumed one of which nothing was left.
            fruitless_epochs = 0 if fruitful else fruitless_epochs + 1
            if fruitless_epochs == 2:
                raise ValueError(
                    f"an epoch gives no window of {self.size} micro-batches "
                    f"(last_window={self.last_window!r}): the loader has too few, or none"
                )
            if window and self.last_window == "step":
                yield window
            if self.last_window != "carry":
                window = []

    def _count_batch(self) -> None:
        self.batches += 1
        if hasattr(self.loader, "__len__") and self.batches == len(self.loader):
            self.epoch, self.batches = self.epoch + 1, 0

    def windows_in(self, epochs: int) -> int:
        """Return how many windows so many epochs give."""
        batches = len(self.loader)
        if self.last_window == "carry":
            return epochs * batches // self.size
        shorter = self.last_window == "step" and batches % self.size > 0
        return epochs * (batches // self.size + shorter)

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the window handed out last."""
        if not hasattr(self.loader, "state_dict"):
            raise TypeError(f"a {type(self.loader).__name__} has no state_dict to save")
        return {
            "size": self.size,
            "last_window": self.last_window,
            "epoch": self.epoch,
            "batches": self.batches,
            "loader": self.loader.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a position; call it before iterating. An error changes nothing."""
        saved, own = (state["size"], state["last_window"]), (self.size, self.last_window)
        if saved != own:
            raise ValueError(
                f"it was made with windows of {saved[0]} micro-batches (last_window={saved[1]!r}), "
                f"this run has {own[0]} ({own[1]!r})"
            )
        epoch, batches = int(state["epoch"]), int(state["batches"])
        self.loader.load_state_dict(state["loader"])
        self.epoch, self.batches, self._restored_batches = epoch, batches, batches
