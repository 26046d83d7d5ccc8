"""Losses."""

from tinytrain.ops.arithmetic import Sub
from tinytrain.ops.loss import CrossEntropy, check_reduction
from tinytrain.ops.promotion import is_float
from tinytrain.tensor import Tensor, apply


def cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the negative log-likelihood of the target classes under softmax(input).

    Per item: -(1 - s) log p[target] - s / C sum_c log p[c], with s the label smoothing.

    Parameters
    ----------
    input : Tensor (N, C), (C,) or (N, C, ...)
        Logits.
    target : Tensor (N,), () or (N, ...), integer
        Classes in 0 .. C - 1, or `ignore_index`.
    ignore_index : int
        Items with this target contribute neither to the loss nor to its mean.
    reduction : {"mean", "sum", "none"}
        The mean is over the items that count; with none of them it is NaN, as in PyTorch. For
        accumulation over micro-batches take "sum" and divide once.
    label_smoothing : float
        In 0 to 1.

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
    >>> cross_entropy(tt.zeros(2, 4), tt.tensor([0, 3]))  # log 4
    tensor(1.3862944, dtype=float32, device=cpu)
    """
    known = getattr(target, "extremes", None)
    operation = CrossEntropy(ignore_index, reduction, label_smoothing, known)
    if input.ndim == 2:
        return apply(operation, input, target)
    expected = (*input.shape[:1], *input.shape[2:]) if input.ndim > 1 else ()
    if input.ndim == 0 or target.shape != expected:
        raise ValueError(
            "cross_entropy expects input (N, C, ...) and target (N, ...), or input (C,) and target "
            f"(), got shapes {input.shape} and {target.shape}"
        )
    if input.ndim == 1:
        return apply(operation, input.unsqueeze(0), target.reshape(1)).reshape(())
    order = [0, *range(2, input.ndim), 1]
    rows = input.permute(order).reshape(-1, input.shape[1])
    loss = apply(operation, rows, target.reshape(-1))
    return loss.reshape(target.shape) if reduction == "none" else loss


def cross_entropy_simple(input: Tensor, target: Tensor) -> Tensor:
    """Compose the mean `cross_entropy` of logits (N, C) and classes (N,) from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> cross_entropy_simple(tt.zeros(2, 4), tt.tensor([0, 3]))  # log 4
    tensor(1.3862944, dtype=float32, device=cpu)
    """
    rows = list(range(len(target)))
    return -input.log_softmax(1)[rows, target].mean()


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Return the squared differences, (x - y)^2, averaged, summed or one by one.

    Parameters
    ----------
    input, target : Tensor (...)
        Of one shape and one floating-point dtype.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError
        The shapes differ: broadcasting here is nearly always a mistake.
    TypeError
        The dtypes differ, or are not of floating point.

    Examples
    --------
    >>> import tinytrain as tt
    >>> mse_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
    tensor(2., dtype=float32, device=cpu)
    """
    check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(f"mse_loss of shapes {input.shape} and {target.shape}: make them equal")
    if input.dtype != target.dtype or not is_float(input.dtype):
        raise TypeError(
            f"mse_loss of {input.dtype} and {target.dtype}: bring both to one floating-point "
            "dtype with .to(...)"
        )
    difference = apply(Sub(), input, target)
    squared = difference * difference
    if reduction == "none":
        return squared
    return squared.sum() if reduction == "sum" else squared.mean()
