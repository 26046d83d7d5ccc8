"""Losses between probabilities: binary cross-entropy and the Kullback-Leibler divergence."""

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.nn.functional.regression_loss import check_pair, reduce_losses
from tinytrain.ops.probability_loss import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    KLDivergence,
)
from tinytrain.tensor import Tensor, apply


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Return -t log x - (1 - t) log(1 - x), the loss of yes-or-no questions.

    Logarithms below -100 count as -100, so that no loss is infinite. Where the probabilities come
    from a sigmoid, `binary_cross_entropy_with_logits` keeps more digits.

    Parameters
    ----------
    input, target : Tensor (...)
        Probabilities, of one shape and one floating-point dtype.
    weight : Tensor, optional
        How much each element counts; broadcast to the input's shape.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, or, on the CPU, values are not between 0 and 1. On a GPU,
        which would have to be waited for, such values give NaN.

    Examples
    --------
    >>> import tinytrain as tt
    >>> binary_cross_entropy(tt.tensor([0.5, 1.0]), tt.tensor([1.0, 1.0]), reduction="sum")  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """
    checked(input, "binary_cross_entropy", "input")
    checked(target, "binary_cross_entropy", "target")
    checked_optional(weight, "binary_cross_entropy", "weight")
    check_pair("binary_cross_entropy", input, target)
    losses = apply(BinaryCrossEntropy(), input, target)
    return reduce_losses(_weighted("binary_cross_entropy", losses, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return -p t log s - (1 - t) log(1 - s), with s = sigmoid(x) and p the positive weight.

    The logarithms are those of log-sigmoid: exact for extreme logits.

    Parameters
    ----------
    input, target : Tensor (...)
        Logits, and probabilities of yes; of one shape and one floating-point dtype.
    weight : Tensor, optional
        How much each element counts; broadcast to the input's shape.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor, optional
        How much a yes counts against a no; broadcast to the input's shape.

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> logits, target = tt.tensor([0.0, 1000.0]), tt.tensor([1.0, 0.0])
    >>> binary_cross_entropy_with_logits(logits, target, reduction="none")
    tensor([6.931472e-01, 1.000000e+03], dtype=float32, device=cpu)
    """
    checked(input, "binary_cross_entropy_with_logits", "input")
    checked(target, "binary_cross_entropy_with_logits", "target")
    checked_optional(weight, "binary_cross_entropy_with_logits", "weight")
    checked_optional(pos_weight, "binary_cross_entropy_with_logits", "pos_weight")
    name = "binary_cross_entropy_with_logits"
    check_pair(name, input, target)
    _check_weight(name, "pos_weight", input, pos_weight)
    losses = apply(BinaryCrossEntropyWithLogits(), input, target, pos_weight)
    return reduce_losses(_weighted(name, losses, weight), reduction)


def binary_cross_entropy_with_logits_simple(input: Tensor, target: Tensor) -> Tensor:
    """Compose the mean `binary_cross_entropy_with_logits`, of tensors (...), from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> binary_cross_entropy_with_logits_simple(tt.tensor([0.0]), tt.tensor([1.0]))  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """
    checked(input, "binary_cross_entropy_with_logits_simple", "input")
    checked(target, "binary_cross_entropy_with_logits_simple", "target")
    return (input.relu() - input * target + (1 + (-input.abs()).exp()).log()).mean()


def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """Return t (log t - x): the divergence of a distribution with logarithms x from a target t.

    An element whose target is 0 costs nothing.

    Parameters
    ----------
    input : Tensor (...)
        Logarithms of probabilities.
    target : Tensor (...)
        Probabilities, or with `log_target` their logarithms; of the input's shape and dtype.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean", the sum divided by the size of the first axis, is the divergence averaged over
        the rows. "mean" divides by the number of elements, as in PyTorch.
    log_target : bool

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    References
    ----------
    S. Kullback and R. A. Leibler, Annals of Mathematical Statistics 22 (1951), section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> p, q = tt.tensor([[0.5, 0.5]]), tt.tensor([[1.0, 0.0]])
    >>> kl_div(p.log(), q, reduction="batchmean")  # log 2
    tensor(0.6931472, dtype=float32, device=cpu)
    """
    checked(input, "kl_div", "input")
    checked(target, "kl_div", "target")
    check_pair("kl_div", input, target)
    losses = apply(KLDivergence(log_target), input, target)
    if reduction == "batchmean":
        return losses.sum() / (input.shape[0] if input.ndim else 1)
    return reduce_losses(losses, reduction)


def _check_weight(name: str, label: str, input: Tensor, weight: Tensor | None) -> None:
    if weight is None:
        return
    shape = weight.shape
    missing = input.ndim - len(shape)
    fits = missing >= 0 and all(
        size in (1, wanted) for size, wanted in zip(shape, input.shape[missing:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name}: {label} of shape {shape} cannot be broadcast to the input's {input.shape}"
        )
    if weight.dtype != input.dtype:
        raise TypeError(
            f"{name}: input is {input.dtype}, {label} is {weight.dtype}; "
            "bring them to one dtype with .to(...)"
        )


def _weighted(name: str, losses: Tensor, weight: Tensor | None) -> Tensor:
    _check_weight(name, "weight", losses, weight)
    return losses if weight is None else losses * weight
