"""Layer and batch normalisation."""

from collections.abc import Sequence

from tinytrain.ops.normalization import BatchNorm, LayerNorm
from tinytrain.tensor import Tensor, apply


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, over the last axes.

    Mean and (biased) variance are those of one row, taken in two passes, so that a large mean
    costs no digits of the variance.

    Parameters
    ----------
    input : Tensor (..., *S)
        Floating point.
    normalized_shape : sequence of int
        S: the sizes of the axes to normalise over.
    weight, bias : Tensor (*S), optional
        Of the input's dtype.
    eps : float

    Returns
    -------
    Tensor (..., *S)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, arXiv 1607.06450, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer_norm(tt.tensor([[1.0, 3.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.]], dtype=float32, device=cpu)
    """
    return apply(LayerNorm(tuple(normalized_shape), eps), input, weight, bias)


def layer_norm_simple(
    input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Compose `layer_norm` of (..., D), over the last axis, from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer_norm_simple(tt.tensor([[1.0, 3.0]]), eps=0.0)
    tensor([[-1.,  1.]], dtype=float32, device=cpu)
    """
    centered = input - input.mean(-1, keepdim=True)
    variance = (centered * centered).mean(-1, keepdim=True)
    return _affine(centered / (variance + eps).sqrt(), weight, bias)


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
    _check_running("running_mean", running_mean, input)
    _check_running("running_var", running_var, input)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm in evaluation needs running_mean and running_var")
        statistics = (running_mean.data, running_var.data)
        return apply(BatchNorm(eps, statistics), input, weight, bias)
    operation = BatchNorm(eps)
    output = apply(operation, input, weight, bias)
    unbiased = operation.variance * (operation.count / (operation.count - 1))
    for running, batch in ((running_mean, operation.mean), (running_var, unbiased)):
        if running is not None:
            running.data *= 1 - momentum
            running.data += momentum * batch
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
    centered = input - input.mean(0, keepdim=True)
    variance = (centered * centered).mean(0, keepdim=True)
    return _affine(centered / (variance + eps).sqrt(), weight, bias)


def _check_running(name: str, running: Tensor | None, input: Tensor) -> None:
    if running is None:
        return
    if running.shape != input.shape[1:2]:
        raise ValueError(
            f"batch_norm: {name} has shape {running.shape}, the input has shape {input.shape}: "
            "one value per channel (axis 1) is needed"
        )
    if running.dtype != input.dtype:
        raise TypeError(
            f"batch_norm: input is {input.dtype}, {name} is {running.dtype}; "
            "bring them to one dtype with .to(...)"
        )


def _affine(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        input = input * weight
    return input if bias is None else input + bias
