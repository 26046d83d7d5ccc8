"""The loss of a choice among classes where their logarithms are at hand, in its general forms."""

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.index import check_range
from tinytrain.ops.loss import ClassLoss, check_targets


class NegativeLogLikelihood(ClassLoss):
    """The loss of class targets, given logarithms of probabilities and a weight per class.

    Per row, with l = log p, target y, weights w (all 1 for None), label smoothing s and C classes:
    loss = -(1 - s) w[y] l[y] - s / C sum_c w[c] l[c];
    dL/dl = -g ((1 - s) w[y] onehot(y) + s w / C).
    Rows whose target is `ignore_index` have loss 0 and gradient 0. The mean divides by the sum of
    w[y] over the other rows. Shapes: l (N, C), targets (N,), weights (C,) or None; the loss is 0-d,
    or (N,) with reduction "none".
    """

    def forward(self, logs: Array, targets: Array, weight: Array | None) -> Array:
        """Pick each row's logarithm at its target."""
        xp = xp_of(logs, targets, weight)
        self._check(logs, targets, weight)
        counted = targets != self.ignore_index
        check_range(targets, logs.shape[1], "target class", self.extremes, self.ignore_index)
        zero, smoothing = logs.dtype.type(0), self.label_smoothing
        chosen = xp.where(counted, targets, targets.dtype.type(0))[:, None]  # (N, 1)
        share = counted.astype(logs.dtype)  # each row's part in the divisor of the mean
        if weight is not None:
            share = xp.where(counted, xp.take(weight, chosen[:, 0]), zero)
        picked = xp.where(counted, xp.take_along_axis(logs, chosen, axis=1)[:, 0], zero)
        losses = -(1 - smoothing) * picked * share
        if smoothing:
            everything = logs if weight is None else logs * weight
            spread = kernels_for(logs).row_sums(everything) * (smoothing / logs.shape[1])
            losses = losses - xp.where(counted, spread, zero)
        self.save(counted, chosen, share, weight)
        self.classes = logs.shape[1]
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        self.divisor = share.sum()
        with np.errstate(invalid="ignore", divide="ignore"):  # no items: NaN, as in PyTorch
            return losses.sum() / self.divisor

    def backward(self, gradient: Array) -> tuple[Array, None, None]:
        """Put each row's gradient where its target is, and a share of it everywhere."""
        counted, chosen, share, weight = self.saved
        xp = xp_of(counted)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.reduction == "mean":
                gradient = gradient / self.divisor
            zero = share.dtype.type(0)
            at_target = xp.where(counted, -(1 - self.label_smoothing) * gradient * share, zero)
        classes = xp.arange(self.classes, dtype=chosen.dtype)
        slope = xp.where(chosen == classes, at_target[:, None], zero)
        if self.label_smoothing:
            everywhere = xp.where(counted, gradient * (self.label_smoothing / self.classes), zero)
            slope -= everywhere[:, None] if weight is None else everywhere[:, None] * weight
        return slope, None, None

    def _check(self, logs: Array, targets: Array, weight: Array | None) -> None:
        check_targets("nll_loss", logs, targets)
        check_class_weight("nll_loss", logs, weight)
        if any(self.needs[2:]):
            raise ValueError("nll_loss and cross_entropy give class weights no gradient: detach it")


class ExpectedNegativeLogLikelihood(Function):
    """loss = -sum_c t[c] l[c], with l = log p, and t[c] l[c] = 0 where t[c] = 0.

    dL/dl = -g t;  dL/dt = -g l. So a class that is ruled out, whose logarithm is -inf, costs
    nothing where the target has 0 for it too. Shapes: l and t (N, C), the losses (N,).
    """

    is_loss = True

    def forward(self, logs: Array, target: Array) -> Array:
        """Average the negative logarithms under the target's distribution."""
        xp = xp_of(logs, target)
        with np.errstate(invalid="ignore"):
            products = xp.where(target == 0, logs.dtype.type(0), logs * target)
        self.save(logs, target)
        return -kernels_for(logs).row_sums(products)

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Each factor is the other's slope."""
        logs, target = self.saved
        down = -gradient[:, None]
        return down * target, down * logs if self.needs[1] else None


def check_class_weight(name: str, logits: Array, weight: Array | None) -> None:
    """Raise where the weights of classes are not one per column, in the dtype of the logits."""
    if weight is None:
        return
    if weight.shape != (logits.shape[1],):
        raise ValueError(
            f"{name}: weight has shape {weight.shape}, expected one weight per class, "
            f"({logits.shape[1]},)"
        )
    if weight.dtype != logits.dtype:
        raise TypeError(
            f"{name}: input is {logits.dtype}, weight is {weight.dtype}; "
            "bring them to one dtype with .to(...)"
        )
