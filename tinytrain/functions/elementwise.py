"""Functions of each element, and softmax."""

from numpy.typing import DTypeLike

from tinytrain.functions.checks import checked
from tinytrain.tensor import Operand, Tensor


def abs(input: Tensor) -> Tensor:
    """Return |x|. At 0 the gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> abs(tensor([-1.5, 2.0]))
    tensor([1.5, 2. ], dtype=float32, device=cpu)
    """
    return checked(input).abs()


def neg(input: Tensor) -> Tensor:
    """Return -x.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> neg(tensor([-1.5, 2.0]))
    tensor([ 1.5, -2. ], dtype=float32, device=cpu)
    """
    return checked(input).neg()


def sign(input: Tensor) -> Tensor:
    """Return -1, 0 or 1, by the sign of x. The gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sign(tensor([-1.5, 0.0, 2.0]))
    tensor([-1.,  0.,  1.], dtype=float32, device=cpu)
    """
    return checked(input).sign()


def exp(input: Tensor) -> Tensor:
    """Return e^x.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> exp(tensor([0.0, 1.0]))
    tensor([1.      , 2.718282], dtype=float32, device=cpu)
    """
    return checked(input).exp()


def expm1(input: Tensor) -> Tensor:
    """Return e^x - 1, exact near 0 too.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> expm1(tensor([0.0, 1e-10]))
    tensor([0.e+00, 1.e-10], dtype=float32, device=cpu)
    """
    return checked(input).expm1()


def log(input: Tensor) -> Tensor:
    """Return the natural logarithm ln x.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> log(tensor([1.0, 2.0]))
    tensor([0.       , 0.6931472], dtype=float32, device=cpu)
    """
    return checked(input).log()


def log1p(input: Tensor) -> Tensor:
    """Return ln(1 + x), exact near 0 too.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> log1p(tensor([0.0, 1e-10]))
    tensor([0.e+00, 1.e-10], dtype=float32, device=cpu)
    """
    return checked(input).log1p()


def sqrt(input: Tensor) -> Tensor:
    """Return the square root of x.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sqrt(tensor([4.0, 9.0]))
    tensor([2., 3.], dtype=float32, device=cpu)
    """
    return checked(input).sqrt()


def rsqrt(input: Tensor) -> Tensor:
    """Return 1 / sqrt(x).

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> rsqrt(tensor([4.0, 16.0]))
    tensor([0.5 , 0.25], dtype=float32, device=cpu)
    """
    return checked(input).rsqrt()


def square(input: Tensor) -> Tensor:
    """Return x^2.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> square(tensor([-2.0, 3.0]))
    tensor([4., 9.], dtype=float32, device=cpu)
    """
    return checked(input).square()


def reciprocal(input: Tensor) -> Tensor:
    """Return 1 / x; integers give float32.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> reciprocal(tensor([2, 4]))
    tensor([0.5 , 0.25], dtype=float32, device=cpu)
    """
    return checked(input).reciprocal()


def sin(input: Tensor) -> Tensor:
    """Return the sine of x, in radians.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sin(tensor([0.0, 1.0]))
    tensor([0.      , 0.841471], dtype=float32, device=cpu)
    """
    return checked(input).sin()


def cos(input: Tensor) -> Tensor:
    """Return the cosine of x, in radians.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> cos(tensor([0.0, 1.0]))
    tensor([1.       , 0.5403023], dtype=float32, device=cpu)
    """
    return checked(input).cos()


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x).

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> tanh(tensor([0.0, 1.0]))
    tensor([0.       , 0.7615942], dtype=float32, device=cpu)
    """
    return checked(input).tanh()


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + e^-x).

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sigmoid(tensor([0.0, 2.0]))
    tensor([0.5      , 0.8807971], dtype=float32, device=cpu)
    """
    return checked(input).sigmoid()


def erf(input: Tensor) -> Tensor:
    """Return the error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> erf(tensor([0.0, 1.0]))
    tensor([0.        , 0.84270084], dtype=float32, device=cpu)
    """
    return checked(input).erf()


def relu(input: Tensor) -> Tensor:
    """Return max(x, 0). At 0 the gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> relu(tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32, device=cpu)
    """
    return checked(input).relu()


def floor(input: Tensor) -> Tensor:
    """Return the largest whole number <= x. The gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> floor(tensor([-1.5, 1.5]))
    tensor([-2.,  1.], dtype=float32, device=cpu)
    """
    return checked(input).floor()


def ceil(input: Tensor) -> Tensor:
    """Return the smallest whole number >= x. The gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> ceil(tensor([-1.5, 1.5]))
    tensor([-1.,  2.], dtype=float32, device=cpu)
    """
    return checked(input).ceil()


def trunc(input: Tensor) -> Tensor:
    """Return x without what follows the point. The gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> trunc(tensor([-1.5, 1.5]))
    tensor([-1.,  1.], dtype=float32, device=cpu)
    """
    return checked(input).trunc()


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Return the nearest multiple of 10^-decimals, at a tie the even one. The gradient is 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> round(tensor([0.5, 1.5, 2.25])), round(tensor([2.25]), decimals=1)
    (tensor([0., 2., 2.], dtype=float32, device=cpu), tensor([2.2], dtype=float32, device=cpu))
    """
    return checked(input).round(decimals=decimals)


def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Return min(max(x, low), high); the ends are numbers, tensors or None.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> clamp(tensor([-1.0, 0.2, 3.0]), 0, 1)
    tensor([0. , 0.2, 1. ], dtype=float32, device=cpu)
    """
    return checked(input).clamp(min, max)


def softmax(input: Tensor, dim: int, dtype: DTypeLike | None = None) -> Tensor:
    """Return e^x / sum(e^x) along an axis, computed in `dtype`. A row of -inf gives 0.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> softmax(tensor([0.0, 0.0]), 0)
    tensor([0.5, 0.5], dtype=float32, device=cpu)
    """
    return checked(input).softmax(dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: DTypeLike | None = None) -> Tensor:
    """Return x - log(sum(e^x)) along an axis, computed in `dtype`.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> log_softmax(tensor([0.0, 0.0]), 0)
    tensor([-0.6931472, -0.6931472], dtype=float32, device=cpu)
    """
    return checked(input).log_softmax(dim, dtype)
