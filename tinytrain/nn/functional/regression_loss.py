"""Losses of the distance between predictions and targets."""

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.ops.arithmetic import Sub
from tinytrain.ops.huber import Huber
from tinytrain.ops.loss import check_reduction
from tinytrain.ops.promotion import is_float
from tinytrain.tensor import Tensor, apply


def check_pair(name: str, input: Tensor, target: Tensor) -> None:
    """Raise unless input and target of a loss have one shape (...) and one float dtype.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_pair("l1_loss", tt.ones(2), tt.ones(2, 1))
    Traceback (most recent call last):
        ...
    ValueError: l1_loss of shapes (2,) and (2, 1): make them equal
    """
    if input.shape != target.shape:
        raise ValueError(f"{name} of shapes {input.shape} and {target.shape}: make them equal")
    if input.dtype != target.dtype or not is_float(input.dtype):
        raise TypeError(
            f"{name} of {input.dtype} and {target.dtype}: bring both to one floating-point "
            "dtype with .to(...)"
        )


def reduce_losses(losses: Tensor, reduction: str) -> Tensor:
    """Return losses of shape (...) as they are, or their sum or mean ().

    Raises
    ------
    ValueError
        There is no such reduction.

    Examples
    --------
    >>> import tinytrain as tt
    >>> reduce_losses(tt.tensor([1.0, 3.0]), "mean").item()
    2.0
    """
    check_reduction(reduction)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def weighted(name: str, losses: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply losses of shape (...) by weights of the same shape, if there are any.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weighted("mse_loss", tt.ones(2), tt.tensor([2.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    if weight is None:
        return losses
    if weight.shape != losses.shape:
        raise ValueError(
            f"{name}: weight has shape {weight.shape}, the losses have {losses.shape}: "
            "one weight per element is needed"
        )
    return losses * weight


def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Return the squared differences, (x - y)^2, averaged, summed or one by one.

    Parameters
    ----------
    input, target : Tensor (...)
        Of one shape and one floating-point dtype.
    reduction : {"mean", "sum", "none"}
    weight : Tensor (...), optional
        How much each element counts; the mean then divides by the sum of the weights.

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
    checked(input, "mse_loss", "input")
    checked(target, "mse_loss", "target")
    checked_optional(weight, "mse_loss", "weight")
    check_pair("mse_loss", input, target)
    difference = apply(Sub(), input, target)
    return _weighted_mean("mse_loss", difference * difference, reduction, weight)


def l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Return the distances, |x - y|, averaged, summed or one by one. Their slope at 0 is 0.

    Parameters
    ----------
    input, target : Tensor (...)
        Of one shape and one floating-point dtype.
    reduction : {"mean", "sum", "none"}
    weight : Tensor (...), optional
        How much each element counts; the mean then divides by the sum of the weights.

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes differ.

    Examples
    --------
    >>> import tinytrain as tt
    >>> l1_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
    tensor(1., dtype=float32, device=cpu)
    """
    checked(input, "l1_loss", "input")
    checked(target, "l1_loss", "target")
    checked_optional(weight, "l1_loss", "weight")
    check_pair("l1_loss", input, target)
    return _weighted_mean("l1_loss", apply(Sub(), input, target).abs(), reduction, weight)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Return (x - y)^2 / (2 beta) where |x - y| < beta, else |x - y| - beta / 2.

    Parameters
    ----------
    input, target : Tensor (...)
        Of one shape and one floating-point dtype.
    reduction : {"mean", "sum", "none"}
    beta : float
        From 0, where it is `l1_loss`.

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes differ, or beta is negative.

    References
    ----------
    R. Girshick, "Fast R-CNN", arXiv 1504.08083, section 2.3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> smooth_l1_loss(tt.tensor([0.5, 4.0]), tt.zeros(2), reduction="none").tolist()
    [0.125, 3.5]
    """
    checked(input, "smooth_l1_loss", "input")
    checked(target, "smooth_l1_loss", "target")
    if beta < 0:
        raise ValueError(f"smooth_l1_loss needs a beta of 0 or more, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    check_pair("smooth_l1_loss", input, target)
    return reduce_losses(apply(Huber(beta), input, target) / beta, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return (x - y)^2 / 2 where |x - y| <= delta, else delta (|x - y| - delta / 2).

    Parameters
    ----------
    input, target : Tensor (...)
        Of one shape and one floating-point dtype.
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the parabola turns into a straight line; positive.
    weight : Tensor (...), optional
        How much each element counts. The mean divides by the number of elements all the same.

    Returns
    -------
    Tensor ()
        With reduction "none" of the input's shape.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes differ, or delta is not positive.

    References
    ----------
    P. J. Huber, Annals of Mathematical Statistics 35 (1964), section 4.

    Examples
    --------
    >>> import tinytrain as tt
    >>> huber_loss(tt.tensor([0.5, 4.0]), tt.zeros(2), reduction="none", delta=2.0).tolist()
    [0.125, 6.0]
    """
    checked(input, "huber_loss", "input")
    checked(target, "huber_loss", "target")
    checked_optional(weight, "huber_loss", "weight")
    if delta <= 0:
        raise ValueError(f"huber_loss needs a positive delta, got {delta}")
    check_pair("huber_loss", input, target)
    losses = apply(Huber(delta), input, target)
    return reduce_losses(weighted("huber_loss", losses, weight), reduction)


def _weighted_mean(name: str, losses: Tensor, reduction: str, weight: Tensor | None) -> Tensor:
    if weight is None or reduction != "mean":
        return reduce_losses(weighted(name, losses, weight), reduction)
    return weighted(name, losses, weight).sum() / weight.sum()
