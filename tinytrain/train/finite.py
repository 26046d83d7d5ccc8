"""Stopping a run whose loss or gradient is no number any more."""

import math

from tinytrain.functions import maximum
from tinytrain.tensor import Tensor

ADVICE = "A lower learning rate, clip_grad_norm or a look at the batch may help"


class NotFiniteError(FloatingPointError):
    """A loss or a gradient is NaN or infinite.

    Attributes
    ----------
    unchanged : bool
        Whether parameters and running statistics still are those before the step.

    Examples
    --------
    >>> try:
    ...     raise NotFiniteError("the loss is nan", unchanged=True)
    ... except FloatingPointError as error:
    ...     print(error, error.unchanged)
    the loss is nan True
    """

    def __init__(self, message: str, unchanged: bool) -> None:
        super().__init__(message)
        self.unchanged = unchanged


class FiniteWatch:
    """Looks at the loss and the gradient's norm of every step for NaN and infinity.

    On the CPU a bad step is refused at once. A GPU would have to be waited for, so there the
    largest norm is kept on the device, and read where the host waits anyway: no bad step goes
    unnoticed, but by then its update may have been made.

    Examples
    --------
    >>> import tinytrain as tt
    >>> watch = FiniteWatch()
    >>> watch.look(tt.tensor(1.0), tt.tensor(2.0), step=1, may_wait=False)
    >>> watch.look(tt.tensor(math.inf), tt.tensor(2.0), step=2, may_wait=False)
    Traceback (most recent call last):
        ...
    tinytrain.train.finite.NotFiniteError: step 2: the gradient's norm is inf and the summed loss
    2.0; no update was made. ...
    """

    def __init__(self) -> None:
        self._worst: Tensor | None = None  # of the steps that were not looked at yet
        self._since = 0

    def look(self, norm: Tensor, loss_sum: Tensor, step: int, may_wait: bool) -> None:
        """Look at one step, before its update is made.

        Parameters
        ----------
        norm, loss_sum : Tensor ()
        step : int
            The number of the step, from 1.
        may_wait : bool
            Whether this is a moment to wait for the GPU.

        Raises
        ------
        NotFiniteError
            The norm or the loss of this step, or of one that was not looked at, is not finite.
        """
        if norm.device != "cpu" and not may_wait:
            self._remember(norm, loss_sum, step)
            return
        self.look_back(step)
        found, loss = norm.cpu().item(), loss_sum.cpu().item()
        if not (math.isfinite(found) and math.isfinite(loss)):
            raise NotFiniteError(
                f"step {step}: the gradient's norm is {found} and the summed loss {loss}; "
                f"no update was made. {ADVICE}",
                unchanged=True,
            )

    def _remember(self, norm: Tensor, loss_sum: Tensor, step: int) -> None:
        """Keep what is not finite: a maximum keeps infinity, and NaN too; so does 0 times it."""
        worst = norm + loss_sum.detach() * 0.0
        if self._worst is None:
            self._worst, self._since = worst, step
        else:
            self._worst = maximum(self._worst, worst)

    def look_back(self, step: int) -> None:
        """Read what was remembered of the steps before a step, which waits for the GPU.

        Raises
        ------
        NotFiniteError
            Something in them was not finite.
        """
        worst, self._worst = self._worst, None
        if worst is not None and not math.isfinite(worst.cpu().item()):
            raise NotFiniteError(
                f"the gradient's norm or the loss was not finite in one of the steps {self._since} "
                f"to {step - 1}, which a GPU tells only when it is waited for; the parameters may "
                f"be spoiled since then: go on from the last checkpoint. {ADVICE}",
                unchanged=False,
            )
