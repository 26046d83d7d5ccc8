"""Activations, softmax and dropout."""

import math

from tinytrain.generator import Generator, default_generator
from tinytrain.ops.activation import GELU
from tinytrain.ops.elementwise import Dropout, ReLU, Sigmoid, Tanh
from tinytrain.ops.promotion import is_float
from tinytrain.ops.softmax import LogSoftmax, Softmax
from tinytrain.tensor import Tensor, apply


def relu(input: Tensor) -> Tensor:
    """Return max(x, 0), elementwise: any shape in, the same out. The slope at 0 is 0.

    Examples
    --------
    >>> import tinytrain as tt
    >>> relu(tt.tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32, device=cpu)
    """
    return apply(ReLU(), input)


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangents, elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> tanh(tt.tensor([-100.0, 0.0, 100.0]))
    tensor([-1.,  0.,  1.], dtype=float32, device=cpu)
    """
    return apply(Tanh(), input)


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + e^-x), elementwise: any shape in, the same out. Nothing overflows.

    Examples
    --------
    >>> import tinytrain as tt
    >>> sigmoid(tt.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ], dtype=float32, device=cpu)
    """
    return apply(Sigmoid(), input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x times the probability that a standard normal variable lies below x.

    Parameters
    ----------
    input : Tensor
        Any shape, floating point.
    approximate : {"none", "tanh"}
        The exact form, x/2 (1 + erf(x / sqrt 2)), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    TypeError
        The input is not of floating point.
    ValueError
        There is no such form.

    References
    ----------
    D. Hendrycks and K. Gimpel, arXiv 1606.08415, section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> gelu(tt.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.15865526,  0.        ,  1.9544997 ], dtype=float32, device=cpu)
    """
    return apply(GELU(approximate), input)


def gelu_simple(input: Tensor) -> Tensor:
    """Compose the tanh form of `gelu` from basic steps: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> gelu_simple(tt.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.158808 ,  0.       ,  1.9545977], dtype=float32, device=cpu)
    """
    inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
    return 0.5 * input * (1 + inner.tanh())


def softmax(input: Tensor, dim: int) -> Tensor:
    """Return p_i = e^{x_i} / sum_j e^{x_j} along an axis: any shape in, the same out.

    Where a row is -inf throughout, which is what a mask that hides everything leaves, PyTorch gives
    NaN; here the row gets probabilities 0 and a gradient of 0.

    Examples
    --------
    >>> import tinytrain as tt
    >>> softmax(tt.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5], dtype=float32, device=cpu)
    """
    return apply(Softmax(dim), input)


def softmax_simple(input: Tensor, dim: int) -> Tensor:
    """Compose `softmax` from basic steps; the maximum is a constant, for it cancels.

    Any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> softmax_simple(tt.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5], dtype=float32, device=cpu)
    """
    exponentials = (input - input.amax(dim, keepdim=True).detach()).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """Return x_i - log sum_j e^{x_j}, the logarithm of softmax: any shape in, the same out.

    Softmax is not computed first: its small probabilities would round to 0, and their logarithms
    be -inf.

    Examples
    --------
    >>> import tinytrain as tt
    >>> log_softmax(tt.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.], dtype=float32, device=cpu)
    """
    return apply(LogSoftmax(dim), input)


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> Tensor:
    """Zero each element with probability p, and divide the others by 1 - p.

    The division keeps the expected value; in evaluation nothing is left to do.

    Parameters
    ----------
    input : Tensor
        Any shape, floating point.
    p : float
        In 0 to 1.
    training : bool
        Without it the input is returned.
    generator : Generator, optional
        The source of the mask's key, which takes 128 bits of it at each call; the default one
        otherwise. The same bits give the same mask on every device.

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError
        p is no probability.
    TypeError
        The input is not of floating point.

    References
    ----------
    N. Srivastava et al., "Dropout", JMLR 15 (2014).

    Examples
    --------
    >>> import tinytrain as tt
    >>> sorted(set(dropout(tt.ones(100), p=0.5, generator=tt.Generator(0)).tolist()))
    [0.0, 2.0]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability must lie in 0 to 1, got {p}")
    if not isinstance(input, Tensor):
        raise TypeError(f"dropout got a bare {type(input).__name__}: wrap it with tt.tensor(...)")
    if not is_float(input.dtype):
        raise TypeError(f"dropout needs a floating-point tensor, got {input.dtype}")
    if not training or p == 0:
        return input
    words = (generator or default_generator()).raw32(4).tolist()  # host: a generator is there
    key = (words[1] << 32 | words[0], words[3] << 32 | words[2])
    return apply(Dropout(p, key), input)
