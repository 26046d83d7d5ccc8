"""Losses of the distance between predictions and targets, as layers."""

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class RegressionLoss(Module):
    """A loss whose one setting is the reduction: "mean", "sum" or "none"."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"reduction={self.reduction!r}"


class MSELoss(RegressionLoss):
    """The mean squared difference; see `functional.mse_loss`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> MSELoss()(tt.ones(2), tt.zeros(2)).item()
    1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(RegressionLoss):
    """The mean distance; see `functional.l1_loss`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> L1Loss()(tt.ones(2), tt.zeros(2)).item()
    1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(RegressionLoss):
    """The mean distance, rounded off near 0; see `functional.smooth_l1_loss`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    beta : float
        Below which distance the loss is quadratic.

    Examples
    --------
    >>> import tinytrain as tt
    >>> SmoothL1Loss()(tt.tensor([4.0]), tt.zeros(1)).item()
    3.5
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.smooth_l1_loss(
            input,
            target,
            reduction=self.reduction,
            beta=self.beta,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, beta={self.beta!r}"


class HuberLoss(RegressionLoss):
    """Quadratic near the target and linear far from it; see `functional.huber_loss`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    delta : float
        Up to which distance the loss is quadratic; positive.

    Examples
    --------
    >>> import tinytrain as tt
    >>> HuberLoss(delta=2.0)(tt.tensor([4.0]), tt.zeros(1)).item()
    6.0
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.huber_loss(
            input,
            target,
            reduction=self.reduction,
            delta=self.delta,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, delta={self.delta!r}"
