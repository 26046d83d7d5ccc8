"""Losses of a choice among classes, and between probabilities, as layers."""

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


def keep_weight(layer: Module, name: str, weight: Tensor | None) -> None:
    """Make a weight, if there is one, a buffer of a loss: it moves and is saved with it.

    Examples
    --------
    >>> import tinytrain as tt
    >>> loss = CrossEntropyLoss(weight=tt.ones(2))
    >>> [name for name, _ in loss.named_buffers()]
    ['weight']
    """
    if weight is None:
        setattr(layer, name, None)
    else:
        layer.register_buffer(name, weight.detach())


class CrossEntropyLoss(Module):
    """The negative log-likelihood under softmax; see `functional.cross_entropy`.

    Logits (N, C), (C,) or (N, C, ...) and classes (N,), () or (N, ...), or probabilities of the
    logits' shape, to a loss (), or, with reduction "none", (N,), () or (N, ...).

    Parameters
    ----------
    weight : Tensor (C,), optional
        How much each class counts.
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

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.ignore_index, self.reduction, self.label_smoothing = (
            ignore_index,
            reduction,
            label_smoothing,
        )
        keep_weight(self, "weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
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


class NLLLoss(Module):
    """The negative log-likelihood of classes, given logarithms; see `functional.nll_loss`.

    Logarithms (N, C), (C,) or (N, C, ...) and classes (N,), () or (N, ...) to a loss (), or, with
    reduction "none", of the classes' shape.

    Parameters
    ----------
    weight : Tensor (C,), optional
        How much each class counts.
    ignore_index : int
        Items of this class count in neither the loss nor its mean.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> NLLLoss()(tt.tensor([[-1.0, -2.0]]), tt.tensor([1])).item()
    2.0
    """

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        self.ignore_index, self.reduction = ignore_index, reduction
        keep_weight(self, "weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"ignore_index={self.ignore_index!r}, reduction={self.reduction!r}"


class BCELoss(Module):
    """The loss of yes-or-no questions; see `functional.binary_cross_entropy`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    weight : Tensor, optional
        How much each element counts; broadcast to the input's shape.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> BCELoss()(tt.tensor([0.5]), tt.tensor([1.0]))  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        self.reduction = reduction
        keep_weight(self, "weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.binary_cross_entropy(
            input,
            target,
            self.weight,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"reduction={self.reduction!r}"


class BCEWithLogitsLoss(Module):
    """The loss of yes-or-no questions; see `functional.binary_cross_entropy_with_logits`.

    Input and target of one shape (...) to a loss (), or, with reduction "none", (...).

    Parameters
    ----------
    weight : Tensor, optional
        How much each element counts; broadcast to the input's shape.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor, optional
        How much a yes counts against a no; broadcast to the input's shape.

    Examples
    --------
    >>> import tinytrain as tt
    >>> BCEWithLogitsLoss()(tt.tensor([0.0]), tt.tensor([1.0]))  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        self.reduction = reduction
        keep_weight(self, "weight", weight)
        keep_weight(self, "pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"reduction={self.reduction!r}"


class KLDivLoss(Module):
    """The divergence of a distribution from a target; see `functional.kl_div`.

    Logarithms and target probabilities of one shape (...) to a loss (), or, with reduction "none",
    (...).

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
    log_target : bool
        Whether the target comes as logarithms too.

    Examples
    --------
    >>> import tinytrain as tt
    >>> KLDivLoss(reduction="batchmean")(tt.tensor([[0.5, 0.5]]).log(), tt.tensor([[1.0, 0.0]]))
    tensor(0.6931472, dtype=float32, device=cpu)
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare input with target."""
        return F.kl_div(
            input,
            target,
            reduction=self.reduction,
            log_target=self.log_target,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"reduction={self.reduction!r}, log_target={self.log_target!r}"
