"""Normalisation of single items, over groups of channels or over each channel."""

import math

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.nn.functional.batch_normalization import batch_norm, check_running, move_running
from tinytrain.nn.functional.normalization import scale_and_shift
from tinytrain.ops.normalization import LayerNorm, check_affine
from tinytrain.tensor import Tensor, apply


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, over each item's groups of channels.

    Mean and (biased) variance are those of one group of one item: C / num_groups channels at all
    their positions.

    Parameters
    ----------
    input : Tensor (N, C) or (N, C, ...)
        Floating point.
    num_groups : int
        Divides C. With 1 it is `layer_norm` over (C, ...); with C, `instance_norm`; but weight and
        bias are per channel.
    weight, bias : Tensor (C,), optional
        Of the input's dtype.
    eps : float

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, or the input is a single value.

    References
    ----------
    Y. Wu and K. He, "Group Normalization", arXiv 1803.08494, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> group_norm(tt.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]], dtype=float32, device=cpu)
    """
    checked(input, "group_norm", "input")
    checked_optional(weight, "group_norm", "weight")
    checked_optional(bias, "group_norm", "bias")
    if input.ndim < 2:
        raise ValueError(f"group_norm expects shape (N, C) or (N, C, ...), got {input.shape}")
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(
            f"group_norm needs groups of equal size, got {channels} channels (shape "
            f"{input.shape}) for {num_groups} groups"
        )
    if input.numel() == num_groups:
        raise ValueError(f"group_norm needs more than one value per group, got {input.shape}")
    _check_channels("group_norm", input, weight, bias)
    return _affine_per_channel(_normalized(input, num_groups, eps), weight, bias)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, over each channel of each item.

    With `use_input_stats` the statistics are the channel's own, and the running ones, where given,
    move towards their average over the items: running = (1 - momentum) running + momentum average,
    with the unbiased variance. Otherwise the running ones normalise.

    Parameters
    ----------
    input : Tensor (N, C, ...)
        Floating point, with more than one position per channel.
    running_mean, running_var : Tensor (C,), optional
        Of the input's dtype. Updated in place where they are not used.
    weight, bias : Tensor (C,), optional
        Of the input's dtype.
    use_input_stats : bool
    momentum : float
        The weight of the newest statistics.
    eps : float

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, or statistics are missing.

    References
    ----------
    D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance Normalization", arXiv 1607.08022, section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> instance_norm(tt.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
            [-1.,  1.]]], dtype=float32, device=cpu)
    """
    checked(input, "instance_norm", "input")
    checked_optional(running_mean, "instance_norm", "running_mean")
    checked_optional(running_var, "instance_norm", "running_var")
    checked_optional(weight, "instance_norm", "weight")
    checked_optional(bias, "instance_norm", "bias")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    if input.ndim < 2 or math.prod(input.shape[2:]) == 1:
        raise ValueError(
            "instance_norm expects shape (N, C, ...) with more than one position per channel, got "
            f"{input.shape}"
        )
    check_running("instance_norm", "running_mean", running_mean, input)
    check_running("instance_norm", "running_var", running_var, input)
    _check_channels("instance_norm", input, weight, bias)
    if input.numel():
        values, axes = input.detach(), tuple(range(2, input.ndim))
        if running_mean is not None:
            move_running(running_mean, values.mean(axes).mean(0).data, momentum)
        if running_var is not None:
            move_running(running_var, values.var(axes).mean(0).data, momentum)
    return _affine_per_channel(_normalized(input, input.shape[1], eps), weight, bias)


def _check_channels(name: str, input: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
    arrays = (None if tensor is None else tensor.data for tensor in (weight, bias))
    check_affine(name, input.data, input.shape[1:2], *arrays)


def _normalized(input: Tensor, num_groups: int, eps: float) -> Tensor:
    """Normalise each group as a row of its own."""
    if not input.numel():
        return input
    width = math.prod(input.shape[1:]) // num_groups
    rows = input.reshape(input.shape[0] * num_groups, width)
    return apply(LayerNorm((width,), eps), rows, None, None).reshape(input.shape)


def _affine_per_channel(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    column = (-1, *[1] * (input.ndim - 2))
    return scale_and_shift(
        input,
        None if weight is None else weight.reshape(column),
        None if bias is None else bias.reshape(column),
    )
