"""Normalisation over the last axes."""

from collections.abc import Sequence

import numpy as np

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.ops.normalization import LayerNorm
from tinytrain.ops.promotion import check_float
from tinytrain.ops.rms_norm import RMSNorm
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
    checked(input, "layer_norm", "input")
    checked_optional(weight, "layer_norm", "weight")
    checked_optional(bias, "layer_norm", "bias")
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
    checked(input, "layer_norm_simple", "input")
    checked_optional(weight, "layer_norm_simple", "weight")
    checked_optional(bias, "layer_norm_simple", "bias")
    centered = input - input.mean(-1, keepdim=True)
    variance = (centered * centered).mean(-1, keepdim=True)
    return scale_and_shift(centered / (variance + eps).sqrt(), weight, bias)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Return x / sqrt(mean(x^2) + eps) * weight, over the last axes.

    Parameters
    ----------
    input : Tensor (..., *S)
        Floating point.
    normalized_shape : sequence of int
        S: the sizes of the axes to normalise over.
    weight : Tensor (*S), optional
        Of the input's dtype.
    eps : float, optional
        By default the distance from 1 to the next number of the dtype.

    Returns
    -------
    Tensor (..., *S)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    References
    ----------
    B. Zhang and R. Sennrich, arXiv 1910.07467, section 4.

    Examples
    --------
    >>> import tinytrain as tt
    >>> rms_norm(tt.tensor([[3.0, -3.0]]), (2,), eps=0.0)
    tensor([[ 1., -1.]], dtype=float32, device=cpu)
    """
    checked(input, "rms_norm", "input")
    checked_optional(weight, "rms_norm", "weight")
    if eps is None:
        check_float("rms_norm", input.data)
        eps = float(np.finfo(input.dtype).eps)
    return apply(RMSNorm(tuple(normalized_shape), eps), input, weight)


def rms_norm_simple(input: Tensor, weight: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Compose `rms_norm` of (..., D), over the last axis, from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> rms_norm_simple(tt.tensor([[3.0, -3.0]]), eps=0.0)
    tensor([[ 1., -1.]], dtype=float32, device=cpu)
    """
    checked(input, "rms_norm_simple", "input")
    checked_optional(weight, "rms_norm_simple", "weight")
    mean_square = (input * input).mean(-1, keepdim=True)
    return scale_and_shift(input / (mean_square + eps).sqrt(), weight, None)


def scale_and_shift(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return x weight + bias, where either may be missing: any shapes that broadcast.

    Examples
    --------
    >>> import tinytrain as tt
    >>> scale_and_shift(tt.ones(2), None, tt.ones(1)).tolist()
    [2.0, 2.0]
    """
    if weight is not None:
        input = input * weight
    return input if bias is None else input + bias
