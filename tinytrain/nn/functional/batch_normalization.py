"""Normalisation per channel over the batch."""

from tinytrain.backend import Array
from tinytrain.functions.checks import checked, checked_optional
from tinytrain.in_place import writable
from tinytrain.nn.functional.normalization import scale_and_shift
from tinytrain.ops.normalization import BatchNorm
from tinytrain.tensor import Tensor, apply


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, per channel.

    In training the statistics are the batch's, and the running ones, where given, move towards
    them: running = (1 - momentum) running + momentum batch, with the unbiased variance. Otherwise
    the running ones normalise.

    Parameters
    ----------
    input : Tensor (N, C) or (N, C, ...)
        Floating point.
    running_mean, running_var : Tensor (C,), optional
        Of the input's dtype. Updated in place in training.
    weight, bias : Tensor (C,), optional
        Of the input's dtype.
    training : bool
    momentum : float
        The weight of the newest statistics.
    eps : float

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError
        Training with one value per channel; evaluation without running statistics; shapes that do
        not fit.
    TypeError
        Dtypes differ.

    References
    ----------
    S. Ioffe and C. Szegedy, arXiv 1502.03167, algorithms 1 and 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> batch_norm(tt.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]], dtype=float32, device=cpu)
    """
    checked(input, "batch_norm", "input")
    checked_optional(running_mean, "batch_norm", "running_mean")
    checked_optional(running_var, "batch_norm", "running_var")
    checked_optional(weight, "batch_norm", "weight")
    checked_optional(bias, "batch_norm", "bias")
    if input.shape == (0,):
        return input.clone()  # nothing to normalise, in no channels
    check_running("batch_norm", "running_mean", running_mean, input)
    check_running("batch_norm", "running_var", running_var, input)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm in evaluation needs running_mean and running_var")
        statistics = (running_mean.data, running_var.data)
        return apply(BatchNorm(eps, statistics), input, weight, bias)
    operation = BatchNorm(eps)
    output = apply(operation, input, weight, bias)
    if not operation.count:
        return output  # an empty batch says nothing about the statistics
    unbiased = operation.variance * (operation.count / (operation.count - 1))
    for running, batch in ((running_mean, operation.mean), (running_var, unbiased)):
        if running is not None:
            move_running(running, batch, momentum)
    return output


def batch_norm_simple(
    input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Compose `batch_norm` in training, for shape (N, C), from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> batch_norm_simple(tt.tensor([[1.0], [3.0]]), eps=0.0)
    tensor([[-1.],
            [ 1.]], dtype=float32, device=cpu)
    """
    checked(input, "batch_norm_simple", "input")
    checked_optional(weight, "batch_norm_simple", "weight")
    checked_optional(bias, "batch_norm_simple", "bias")
    centered = input - input.mean(0, keepdim=True)
    variance = (centered * centered).mean(0, keepdim=True)
    return scale_and_shift(centered / (variance + eps).sqrt(), weight, bias)


def check_running(function: str, name: str, running: Tensor | None, input: Tensor) -> None:
    """Hold running statistics (C,), where there are any, against an input (N, C, ...).

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_running("batch_norm", "running_mean", tt.zeros(2), tt.ones(4, 3))
    Traceback (most recent call last):
        ...
    ValueError: batch_norm: running_mean has shape (2,), the input has shape (4, 3): one value ...
    """
    if running is None:
        return
    if running.shape != input.shape[1:2]:
        raise ValueError(
            f"{function}: {name} has shape {running.shape}, the input has shape {input.shape}: "
            "one value per channel (axis 1) is needed"
        )
    if running.dtype != input.dtype:
        raise TypeError(
            f"{function}: input is {input.dtype}, {name} is {running.dtype}; "
            "bring them to one dtype with .to(...)"
        )


def move_running(running: Tensor, batch: Array, momentum: float) -> None:
    """Move running statistics (C,) towards a batch's, in place.

    Examples
    --------
    >>> import tinytrain as tt
    >>> mean = tt.zeros(1)
    >>> move_running(mean, tt.ones(1).data, momentum=0.25)
    >>> mean.tolist()
    [0.25]
    """
    values = writable(running.data)
    values *= 1 - momentum
    values += momentum * batch
