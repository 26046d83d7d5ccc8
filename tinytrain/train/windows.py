"""Cutting the loader's endless epochs into windows: the micro-batches of one optimizer step."""

from collections.abc import Iterator, Mapping
from typing import Any

from tinytrain.train.batch_schedule import AccumulationSchedule

LAST_WINDOW_POLICIES = ("step", "carry", "drop")


class WindowStream:
    """Windows of micro-batches, epoch after epoch.

    Parameters
    ----------
    loader : iterable
        Iterated anew for each epoch. To continue in mid-epoch it needs ``state_dict`` and
        ``load_state_dict``, as `tinytrain.data.DataLoader` has.
    size : int or AccumulationSchedule
        Micro-batches per window, at least 1; a schedule goes by what `made_step` is told.
    last_window : {"step", "carry", "drop"}
        What becomes of an epoch's last window when fewer micro-batches are left: it is a window of
        its own, smaller but weighed right; it is filled up from the next epoch; or it is left out.

    Attributes
    ----------
    epoch : int
        How many epochs have been finished: all their micro-batches were handed out.
    batches : int
        How many micro-batches of the present epoch have been handed out.
    last_indices : list
        For each micro-batch of the window yielded last what the loader's `last_indices` said when
        it was handed out: which items of the data set it holds; None where the loader has none.

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

    def __init__(
        self, loader: Any, size: int | AccumulationSchedule, last_window: str = "step"
    ) -> None:
        self.schedule = size if isinstance(size, AccumulationSchedule) else None
        if not isinstance(size, AccumulationSchedule):
            size = AccumulationSchedule({0: size})
        self.sizes = size
        if last_window not in LAST_WINDOW_POLICIES:
            raise ValueError(
                f"last_window must be one of {', '.join(LAST_WINDOW_POLICIES)}, not {last_window!r}"
            )
        if isinstance(loader, Iterator):
            raise TypeError("the loader must be iterable again for every epoch, not an iterator")
        self.loader, self.last_window = loader, last_window
        self.epoch = self.batches = self._restored_batches = 0
        self.steps = 0
        self.items: float = 0  # a float where items have weights
        self.last_indices: list[Any] = []

    @property
    def size(self) -> int:
        """How many micro-batches the present window takes, unless it is an epoch's last."""
        return self.sizes.accumulation_steps(self.steps, self.items)

    def made_step(self, items: float) -> None:
        """Count an optimizer step over so many items: a schedule's next window depends on it."""
        self.steps, self.items = self.steps + 1, self.items + items

    def __iter__(self) -> Iterator[list[Any]]:
        self.batches, self._restored_batches = self._restored_batches, 0
        window: list[Any] = []
        indices: list[Any] = []
        fruitless_epochs = 0
        while True:
            fruitful = False
            for batch in self.loader:
                self._count_batch()
                window.append(batch)
                indices.append(getattr(self.loader, "last_indices", None))
                full = len(window) >= self.size
                fruitful = fruitful or full or self.last_window != "drop"
                if full:
                    self.last_indices = indices
                    yield window
                    window, indices = [], []
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
                self.last_indices = indices
                yield window
            if self.last_window != "carry":
                window, indices = [], []

    def go_on(self) -> None:
        """Let the next ``iter`` go on in the middle of the epoch where the last one was left off.

        Without it, and with a loader that has no ``state_dict``, it begins a new epoch.
        """
        if self.batches and hasattr(self.loader, "state_dict"):
            self.load_state_dict(self.state_dict())

    def _count_batch(self) -> None:
        self.batches += 1
        if self.batches == length_of(self.loader):
            self.epoch, self.batches = self.epoch + 1, 0

    def windows_in(self, epochs: int) -> int:
        """Return how many windows so many epochs give, from the start on.

        Raises
        ------
        TypeError
            That cannot be known beforehand.
        """
        batches = length_of(self.loader)
        if batches is None:
            raise TypeError(
                "how many steps an epoch has is not known beforehand, since the loader has no "
                "length: give max_steps"
            )
        if len(self.sizes.stages) > 1:
            return self._scheduled_windows(epochs, batches)
        if self.last_window == "carry":
            return epochs * batches // self.sizes.largest
        shorter = self.last_window == "step" and batches % self.sizes.largest > 0
        return epochs * (batches // self.sizes.largest + shorter)

    def _scheduled_windows(self, epochs: int, batches: int) -> int:
        """Count the windows of a schedule one by one."""
        if self.sizes.by == "items":
            raise TypeError(
                "how many steps an epoch has is not known beforehand where the accumulation goes "
                "by items: give max_steps"
            )
        windows = left = 0
        for _ in range(epochs):
            left = batches + (left if self.last_window == "carry" else 0)
            while left >= (size := self.sizes.accumulation_steps(windows, 0)):
                windows, left = windows + 1, left - size
            windows += self.last_window == "step" and left > 0
        return windows

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the window handed out last."""
        if not hasattr(self.loader, "state_dict"):
            raise TypeError(f"a {type(self.loader).__name__} has no state_dict to save")
        return {
            "size": self._settings(),
            "last_window": self.last_window,
            "epoch": self.epoch,
            "batches": self.batches,
            "steps": self.steps,
            "items": self.items,
            "loader": self.loader.state_dict(),
        }

    def _settings(self) -> Any:
        return self.size if self.schedule is None else self.schedule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a position; call it before iterating. An error changes nothing."""
        saved, own = (state["size"], state["last_window"]), (self._settings(), self.last_window)
        if saved != own:
            raise ValueError(
                f"it was made with windows of {saved[0]} micro-batches (last_window={saved[1]!r}), "
                f"this run has {own[0]} ({own[1]!r})"
            )
        epoch, batches = int(state["epoch"]), int(state["batches"])
        steps, items = int(state["steps"]), state["items"]  # a float where items have weights
        self.loader.load_state_dict(state["loader"])
        self.epoch, self.batches, self._restored_batches = epoch, batches, batches
        self.steps, self.items = steps, items


def length_of(loader: Any) -> int | None:
    """Return how many batches an epoch has; None where nobody knows, as of a stream."""
    try:
        return len(loader)
    except TypeError:
        return None
