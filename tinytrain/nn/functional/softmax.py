"""Softmax and its logarithm."""

from numpy.typing import DTypeLike

from tinytrain.functions.checks import checked
from tinytrain.ops.softmax import LogSoftmax, Softmax
from tinytrain.tensor import Tensor, apply


def softmax(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return p_i = e^{x_i} / sum_j e^{x_j} along an axis: any shape in, the same out.

    Where a row is -inf throughout, which is what a mask that hides everything leaves, PyTorch gives
    NaN; here the row gets probabilities 0 and a gradient of 0. With a dtype the input is converted
    first.

    Examples
    --------
    >>> import tinytrain as tt
    >>> softmax(tt.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5], dtype=float32, device=cpu)
    """
    checked(input, "softmax", "input")
    return apply(Softmax(dim), input if dtype is None else input.to(dtype))


def softmax_simple(input: Tensor, dim: int) -> Tensor:
    """Compose `softmax` from basic steps; the maximum is a constant, for it cancels.

    Any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> softmax_simple(tt.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5], dtype=float32, device=cpu)
    """
    checked(input, "softmax_simple", "input")
    exponentials = (input - input.amax(dim, keepdim=True).detach()).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def log_softmax(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return x_i - log sum_j e^{x_j}, the logarithm of softmax: any shape in, the same out.

    Softmax is not computed first: its small probabilities would round to 0, and their logarithms
    be -inf. With a dtype the input is converted first.

    Examples
    --------
    >>> import tinytrain as tt
    >>> log_softmax(tt.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.], dtype=float32, device=cpu)
    """
    checked(input, "log_softmax", "input")
    return apply(LogSoftmax(dim), input if dtype is None else input.to(dtype))
