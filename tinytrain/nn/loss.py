"""Losses as layers."""

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class CrossEntropyLoss(Module):
    """The negative log-likelihood of classes under softmax; see `functional.cross_entropy`.

    Logits (N, C), (C,) or (N, C, ...) and integer classes (N,), () or (N, ...) to a loss (), or,
    with reduction "none", of the classes' shape.

    Parameters
    ----------
    ignore_index : int
        Items of this class count in neither the loss nor its mean.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        In 0 to 1: how much of the target is spread evenly over all classes.

    Examples
    --------
    >>> import tinytrain as tt
    >>> CrossEntropyLoss(reduction="sum")(tt.zeros(2, 4), tt.tensor([0, 3]))  # 2 log 4
    tensor(2.7725887, dtype=float32, device=cpu)
    """

    def __init__(
        self, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare logits with classes."""
        return F.cross_entropy(
            input,
            target,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, "
            f"label_smoothing={self.label_smoothing}"
        )


class MSELoss(Module):
    """The mean squared difference; see `functional.mse_loss`.

    Predictions and targets of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> MSELoss()(tt.ones(2), tt.zeros(2)).item()
    1.0
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare predictions with targets of the same shape."""
        return F.mse_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Show the reduction."""
        return f"reduction={self.reduction!r}"
