"""The loss of a choice among classes, as one operation."""

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.index import check_range
from tinytrain.ops.promotion import is_float, plain_number

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """Raise where a loss is asked for a reduction that does not exist.

    Examples
    --------
    >>> check_reduction("average")
    Traceback (most recent call last):
        ...
    ValueError: reduction must be one of mean, sum, none, not 'average'
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, not {reduction!r}")


class ClassLoss(Function):
    """What losses of class targets share: their settings.

    Parameters
    ----------
    ignore_index : int
        Rows with this target do not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        In 0 to 1.
    extremes : tuple of int, optional
        What `extremes_of` said of the targets, if it is known.
    """

    is_loss = True

    def __init__(
        self,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        extremes: tuple[int, ...] | None = None,
    ) -> None:
        check_reduction(reduction)
        check_smoothing(label_smoothing)
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = plain_number(label_smoothing)
        self.extremes = extremes


class CrossEntropy(ClassLoss):
    """The negative log-likelihood of class targets under softmax(logits).

    Per row, with p = softmax(logits), s the label smoothing and C classes:
    loss = -(1 - s) log p[target] - s / C sum_c log p[c];
    dL/dlogits = g (p - (1 - s) onehot(target) - s / C).
    Rows whose target is `ignore_index` have loss 0 and gradient 0, and do not count in the mean.
    Shapes: logits (N, C), targets (N,); the loss is 0-d, or (N,) with reduction "none".

    References
    ----------
    C. Szegedy et al., "Rethinking the Inception Architecture", arXiv 1512.00567, section 7, for
    label smoothing.
    """

    def forward(self, logits: Array, targets: Array) -> Array:
        """Compute each row's loss, and with it the slope that `backward` multiplies by."""
        xp_of(logits, targets)
        check_targets("cross_entropy", logits, targets)
        counted = targets != self.ignore_index
        check_range(targets, logits.shape[1], "target class", self.extremes, self.ignore_index)
        losses, slope = kernels_for(logits).cross_entropy(
            logits, targets, self.ignore_index, self.label_smoothing
        )
        self.save(slope, counted)
        if self.reduction == "none":
            return losses
        total = losses.sum()
        if self.reduction == "sum":
            return total
        self.divisor = counted.sum().astype(logits.dtype)
        with np.errstate(invalid="ignore"):  # the mean of no items is NaN, as in PyTorch
            return total / self.divisor

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Multiply each row's slope by its gradient, which is 0 for a row that does not count."""
        slope, counted = self.saved
        if self.reduction == "mean":
            with np.errstate(divide="ignore", invalid="ignore"):
                gradient = gradient / self.divisor
        per_row = xp_of(slope).where(counted, gradient, slope.dtype.type(0))  # (N,)
        return slope * per_row[:, None], None


def check_smoothing(label_smoothing: float) -> None:
    """Raise where a label smoothing is not in 0 to 1."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in 0 to 1, got {label_smoothing}")


def check_targets(name: str, logits: Array, targets: Array) -> None:
    """Raise where rows (N, C) and class targets (N,) do not fit."""
    if logits.ndim != 2 or targets.ndim != 1 or len(logits) != len(targets):
        raise ValueError(
            f"{name} expects logits (N, C) and targets (N,), got shapes "
            f"{logits.shape} and {targets.shape}"
        )
    if not is_float(logits.dtype):
        raise TypeError(f"{name} needs floating-point logits, got {logits.dtype}")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"{name} needs integer class targets, got {targets.dtype}")
