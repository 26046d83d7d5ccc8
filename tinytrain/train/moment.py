"""The moment before a step: what has to be put back if the step cannot be finished."""

from typing import Any

from tinytrain.nn.module import Module
from tinytrain.train.random_state import RandomBookmark, generators_of, restore_random
from tinytrain.train.windows import WindowStream


class Moment:
    """Where random generators and the position in the data were before the present step.

    All else that a checkpoint holds changes only when a step is finished.

    Parameters
    ----------
    model : Module
    windows : WindowStream
    positions : bool
        Whether the position in the data can be asked for and put back.

    Attributes
    ----------
    epoch, batches : int
        Of the window stream, at the moment.

    Examples
    --------
    >>> import tinytrain as tt
    >>> windows = WindowStream(tt.data.DataLoader(range(6)), size=2)
    >>> moment = Moment(tt.nn.Dropout(), windows, positions=True)
    >>> moment.keep()
    >>> next(iter(windows))
    [array([0]), array([1])]
    >>> moment.go_back()
    >>> next(iter(windows))
    [array([0]), array([1])]
    """

    def __init__(self, model: Module, windows: WindowStream, positions: bool) -> None:
        self.windows, self.positions = windows, positions
        self._random = RandomBookmark(generators_of(model))
        self.keep()

    def keep(self) -> None:
        """Take the present moment, instead of an earlier one."""
        self._random.place()
        self.epoch, self.batches = self.windows.epoch, self.windows.batches
        self._position: dict[str, Any] = self.windows.state_dict() if self.positions else {}

    def go_back(self) -> None:
        """Put everything back where it was."""
        restore_random(self._random.generators, self._random.read())
        if self.positions:
            self.windows.load_state_dict(self._position)
