"""Activations, elementwise."""

import math

from tinytrain.functions.checks import checked
from tinytrain.ops.activation import GELU
from tinytrain.ops.elementwise import ReLU, Sigmoid, Tanh
from tinytrain.ops.logistic import LogSigmoid, SiLU, Softplus
from tinytrain.ops.rectifier import ELU, Hardtanh, LeakyReLU
from tinytrain.tensor import Tensor, apply


def refuse_inplace(name: str, inplace: bool) -> None:
    """Raise where a function is to write into its input, of any shape: none does.

    Examples
    --------
    >>> refuse_inplace("relu", True)
    Traceback (most recent call last):
        ...
    ValueError: relu cannot work in place: leave out inplace=True and use what it returns
    """
    if inplace:
        raise ValueError(
            f"{name} cannot work in place: leave out inplace=True and use what it returns"
        )


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0), elementwise: any shape in, the same out. The slope at 0 is 0.

    Examples
    --------
    >>> import tinytrain as tt
    >>> relu(tt.tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32, device=cpu)
    """
    checked(input, "relu", "input")
    refuse_inplace("relu", inplace)
    return apply(ReLU(), input)


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangents, elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> tanh(tt.tensor([-100.0, 0.0, 100.0]))
    tensor([-1.,  0.,  1.], dtype=float32, device=cpu)
    """
    checked(input, "tanh", "input")
    return apply(Tanh(), input)


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + e^-x), elementwise: any shape in, the same out. Nothing overflows.

    Examples
    --------
    >>> import tinytrain as tt
    >>> sigmoid(tt.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ], dtype=float32, device=cpu)
    """
    checked(input, "sigmoid", "input")
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
    checked(input, "gelu", "input")
    return apply(GELU(approximate), input)


def gelu_simple(input: Tensor) -> Tensor:
    """Compose the tanh form of `gelu` from basic steps: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> gelu_simple(tt.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.158808 ,  0.       ,  1.9545977], dtype=float32, device=cpu)
    """
    checked(input, "gelu_simple", "input")
    inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
    return 0.5 * input * (1 + inner.tanh())


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x sigmoid(x), elementwise: any shape in, the same out. Also known as swish.

    Raises
    ------
    TypeError
        The input is not of floating point.

    References
    ----------
    S. Elfwing, E. Uchibe and K. Doya, arXiv 1702.03118, section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> silu(tt.tensor([-1.0, 0.0, 100.0]))
    tensor([ -0.2689414,   0.       , 100.       ], dtype=float32, device=cpu)
    """
    checked(input, "silu", "input")
    refuse_inplace("silu", inplace)
    return apply(SiLU(), input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else negative_slope x, elementwise: any shape in, the same out.

    Raises
    ------
    TypeError
        The input is not of floating point.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, ICML 2013, section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> leaky_relu(tt.tensor([-2.0, 2.0]), 0.5)
    tensor([-1.,  2.], dtype=float32, device=cpu)
    """
    checked(input, "leaky_relu", "input")
    refuse_inplace("leaky_relu", inplace)
    return apply(LeakyReLU(negative_slope), input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else alpha (e^x - 1), elementwise: any shape in, the same out.

    Raises
    ------
    TypeError
        The input is not of floating point.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, arXiv 1511.07289, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> elu(tt.tensor([-100.0, 0.0, 2.0]))
    tensor([-1.,  0.,  2.], dtype=float32, device=cpu)
    """
    checked(input, "elu", "input")
    refuse_inplace("elu", inplace)
    return apply(ELU(alpha), input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + e^{beta x}) / beta, elementwise: any shape in, the same out.

    Where beta x > threshold it is x. Nothing overflows, with whatever threshold.

    Raises
    ------
    TypeError
        The input is not of floating point.
    ValueError
        beta is 0.

    References
    ----------
    C. Dugas et al., NIPS 2000, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> softplus(tt.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], dtype=float32, device=cpu)
    """
    checked(input, "softplus", "input")
    return apply(Softplus(beta, threshold), input)


def logsigmoid(input: Tensor) -> Tensor:
    """Return log sigmoid(x), elementwise: any shape in, the same out. Nothing overflows.

    Raises
    ------
    TypeError
        The input is not of floating point.

    Examples
    --------
    >>> import tinytrain as tt
    >>> logsigmoid(tt.tensor([-1000.0, 1000.0]))
    tensor([-1000.,    -0.], dtype=float32, device=cpu)
    """
    checked(input, "logsigmoid", "input")
    return apply(LogSigmoid(), input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return min(max(x, min_val), max_val), elementwise: any shape in, the same out.

    The slope at both bounds is 0 (that of `Tensor.clamp` is 1). Of integers the result is an
    integer, and the bounds are cut to whole numbers.

    Raises
    ------
    TypeError
        The input is boolean, or unsigned and min_val negative.
    ValueError
        min_val is above max_val.

    Examples
    --------
    >>> import tinytrain as tt
    >>> hardtanh(tt.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ], dtype=float32, device=cpu)
    """
    checked(input, "hardtanh", "input")
    refuse_inplace("hardtanh", inplace)
    return apply(Hardtanh(min_val, max_val), input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(x, 0), 6), elementwise: any shape and number in, the same out.

    Raises
    ------
    TypeError
        The input is boolean.

    Examples
    --------
    >>> import tinytrain as tt
    >>> relu6(tt.tensor([-3.0, 0.5, 8.0]))
    tensor([0. , 0.5, 6. ], dtype=float32, device=cpu)
    """
    checked(input, "relu6", "input")
    refuse_inplace("relu6", inplace)
    return apply(Hardtanh(0.0, 6.0), input)
