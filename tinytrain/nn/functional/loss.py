"""Losses of a choice among classes."""

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.ops.likelihood import (
    ExpectedNegativeLogLikelihood,
    NegativeLogLikelihood,
    check_class_weight,
)
from tinytrain.ops.loss import CrossEntropy, check_reduction, check_smoothing
from tinytrain.ops.promotion import check_float
from tinytrain.tensor import Tensor, apply


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the negative log-likelihood of the target under softmax(input).

    Per item of class y: -(1 - s) w[y] log p[y] - s / C sum_c w[c] log p[c], with s the label
    smoothing and w the class weights; with target probabilities t: -sum_c t'[c] w[c] log p[c] with
    t' = (1 - s) t + s / C.

    Parameters
    ----------
    input : Tensor (N, C), (C,) or (N, C, ...)
        Logits.
    target : Tensor (N,), () or (N, ...), integer; or floating point, of the input's shape
        Classes in 0 .. C - 1, or `ignore_index`. Or each item's probabilities of the C classes,
        in the input's dtype; where one is 0, its logit may be -inf.
    weight : Tensor (C,), optional
        How much each class counts, in the input's dtype. It gets no gradient.
    ignore_index : int
        Items of this class contribute neither to the loss nor to its mean.
    reduction : {"mean", "sum", "none"}
        The mean of classes is over the items that count, each by its class weight; with none of
        them it is NaN, as in PyTorch. That of probabilities is over all items. For accumulation
        over micro-batches take "sum" and divide once.
    label_smoothing : float
        In 0 to 1.

    Returns
    -------
    Tensor ()
        With reduction "none" (N,), () or (N, ...).

    Raises
    ------
    IndexError
        A target is no class.
    ValueError, TypeError
        Shapes or dtypes do not fit.

    References
    ----------
    C. Szegedy et al., arXiv 1512.00567, section 7, for label smoothing.

    Examples
    --------
    >>> import tinytrain as tt
    >>> cross_entropy(tt.zeros(2, 4), tt.tensor([0, 3]))  # log 4
    tensor(1.3862944, dtype=float32, device=cpu)
    >>> cross_entropy(tt.zeros(1, 2), tt.tensor([[0.5, 0.5]]))  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """
    checked(input, "cross_entropy", "input")
    checked(target, "cross_entropy", "target")
    checked_optional(weight, "cross_entropy", "weight")
    if target.dtype.kind == "f" and target.shape == input.shape:
        if ignore_index != -100:
            raise ValueError(f"ignore_index={ignore_index} needs classes, not probabilities")
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    known = getattr(target, "extremes", None)
    settings = (ignore_index, reduction, label_smoothing, known)
    rows, classes = _as_rows("cross_entropy", input, target)
    if weight is None:
        loss = apply(CrossEntropy(*settings), rows, classes)
    else:
        loss = apply(NegativeLogLikelihood(*settings), rows.log_softmax(1), classes, weight)
    return loss if loss.shape == () or input.ndim == 2 else loss.reshape(target.shape)


def cross_entropy_simple(input: Tensor, target: Tensor) -> Tensor:
    """Compose the mean `cross_entropy` of logits (N, C) and classes (N,) from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> cross_entropy_simple(tt.zeros(2, 4), tt.tensor([0, 3]))  # log 4
    tensor(1.3862944, dtype=float32, device=cpu)
    """
    checked(input, "cross_entropy_simple", "input")
    checked(target, "cross_entropy_simple", "target")
    rows = list(range(len(target)))
    return -input.log_softmax(1)[rows, target].mean()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Return -w[y] l[y] for each item: the loss of its class y, given all logarithms l = log p.

    Parameters
    ----------
    input : Tensor (N, C), (C,) or (N, C, ...)
        Logarithms of probabilities, from `log_softmax` for example.
    target : Tensor (N,), () or (N, ...), integer
        Classes in 0 .. C - 1, or `ignore_index`.
    weight : Tensor (C,), optional
        How much each class counts, in the input's dtype. It gets no gradient.
    ignore_index : int
        Items of this class contribute neither to the loss nor to its mean.
    reduction : {"mean", "sum", "none"}
        The mean divides by the sum of the class weights of the items that count.

    Returns
    -------
    Tensor ()
        With reduction "none" of the target's shape.

    Raises
    ------
    IndexError
        A target is no class.
    ValueError, TypeError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> nll_loss(tt.tensor([[-1.0, -2.0]]), tt.tensor([1]))
    tensor(2., dtype=float32, device=cpu)
    """
    checked(input, "nll_loss", "input")
    checked(target, "nll_loss", "target")
    checked_optional(weight, "nll_loss", "weight")
    known = getattr(target, "extremes", None)
    operation = NegativeLogLikelihood(ignore_index, reduction, extremes=known)
    rows, classes = _as_rows("nll_loss", input, target)
    loss = apply(operation, rows, classes, weight)
    return loss if loss.shape == () or input.ndim == 2 else loss.reshape(target.shape)


def _as_rows(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Bring input and targets to the shapes (N, C) and (N,)."""
    if input.ndim == 2:
        return input, target
    expected = (*input.shape[:1], *input.shape[2:]) if input.ndim > 1 else ()
    if input.ndim == 0 or target.shape != expected:
        raise ValueError(
            f"{name} expects input (N, C, ...) and target (N, ...), or input (C,) and target "
            f"(), got shapes {input.shape} and {target.shape}"
        )
    return _channels_last(input), target.reshape(target.numel())


def _channels_last(input: Tensor) -> Tensor:
    """Turn (N, C, ...) or (C,) into a matrix (M, C)."""
    if input.ndim < 3:
        return input if input.ndim == 2 else input.unsqueeze(0)
    classes = input.shape[1]
    order = [0, *range(2, input.ndim), 1]
    return input.permute(order).reshape(input.numel() // max(classes, 1), classes)


def _cross_entropy_of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    check_reduction(reduction)
    check_smoothing(label_smoothing)
    check_float("cross_entropy", input.data)
    if input.dtype != target.dtype or input.ndim == 0:
        raise TypeError(
            "cross_entropy of probabilities needs logits (N, C), (C,) or (N, C, ...) and targets "
            f"of one dtype, got {input.dtype} {input.shape} and {target.dtype} {target.shape}"
        )
    logits, wanted = _channels_last(input), _channels_last(target)
    check_class_weight("cross_entropy", logits.data, None if weight is None else weight.data)
    if label_smoothing:
        wanted = wanted * (1 - label_smoothing) + label_smoothing / max(logits.shape[1], 1)
    if weight is not None:
        wanted = wanted * weight
    losses = apply(ExpectedNegativeLogLikelihood(), logits.log_softmax(1), wanted)
    if reduction == "none":
        return losses.reshape([*input.shape[:1], *input.shape[2:]] if input.ndim > 1 else [])
    return losses.sum() if reduction == "sum" else losses.mean()
