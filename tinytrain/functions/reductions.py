"""Sums, means, norms and the like along axes."""

from numpy.typing import DTypeLike

from tinytrain.functions.checks import checked
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Scalar, Tensor


def sum(
    input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Add up the elements, all or along axes, in `dtype`; integers in int64.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    IndexError
        There is no such axis.
    ValueError
        An axis stands twice.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> sum(tensor([[1.0, 2.0], [3.0, 5.0]])), sum(tensor([[1.0, 2.0], [3.0, 5.0]]), 1)
    (tensor(11., dtype=float32, device=cpu), tensor([3., 8.], dtype=float32, device=cpu))
    """
    return checked(input).sum(dim, keepdim, dtype=dtype)


def mean(
    input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Average the elements, all or along axes, in `dtype`.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    TypeError
        The elements are no floating-point numbers, and no such `dtype` is given.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> mean(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([2. , 3.5], dtype=float32, device=cpu)
    """
    return checked(input).mean(dim, keepdim, dtype=dtype)


def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Multiply the elements, all or along one axis, in `dtype`; integers in int64.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> prod(tensor([[1.0, 2.0], [3.0, 5.0]]), 1)
    tensor([ 2., 15.], dtype=float32, device=cpu)
    """
    return checked(input).prod(dim, keepdim, dtype=dtype)


def var(
    input: Tensor,
    dim: Axes | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Scalar | None = None,
) -> Tensor:
    """Return sum((x - mean)^2) / (n - correction), over all elements or along axes.

    The older `unbiased` stands for a correction of 1 or 0; 1 where neither is given.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    TypeError
        The elements are no floating-point numbers, or both `unbiased` and `correction` are given.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> x = tensor([[1.0, 2.0], [3.0, 5.0]])
    >>> var(x, 1), var(x, 1, correction=0)
    (tensor([0.5, 2. ], dtype=float32, device=cpu), tensor([0.25, 1.  ], dtype=float32, device=cpu))
    """
    return checked(input).var(dim, unbiased, keepdim, correction=correction)


def std(
    input: Tensor,
    dim: Axes | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Scalar | None = None,
) -> Tensor:
    """Return the root of `var`; where it is 0, the gradient is 0.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    TypeError, IndexError
        As for `var`.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> std(tensor([1.0, 2.0, 3.0]))
    tensor(1., dtype=float32, device=cpu)
    """
    return checked(input).std(dim, unbiased, keepdim, correction=correction)


def norm(
    input: Tensor,
    p: Scalar | str | None = "fro",
    dim: Axes = None,
    keepdim: bool = False,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Return (sum |x|^p)^(1/p), over all elements or along axes; "fro" is p = 2.

    p = inf gives the largest |x|, p = -inf the smallest, p = 0 the number that differ from 0.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        p is neither a number nor "fro".
    TypeError
        The elements are no floating-point numbers, and no such `dtype` is given.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> norm(tensor([3.0, 4.0])), norm(tensor([3.0, 4.0]), 1)
    (tensor(5., dtype=float32, device=cpu), tensor(7., dtype=float32, device=cpu))
    """
    return checked(input).norm(p, dim, keepdim, dtype)


def all(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Return whether all elements differ from 0, of all or along axes.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> all(tensor([[True, False], [True, True]]), 1)
    tensor([False,  True], dtype=bool, device=cpu)
    """
    return checked(input).all(dim, keepdim)


def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Return whether an element differs from 0, of all or along axes.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> any(tensor([[True, False], [True, True]]), 1)
    tensor([ True,  True], dtype=bool, device=cpu)
    """
    return checked(input).any(dim, keepdim)


def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """Return log(sum(e^x)) along axes, without overflow.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logsumexp(tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932, dtype=float32, device=cpu)
    """
    return checked(input).logsumexp(dim, keepdim)


def cumsum(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums of the first 1, 2, ... elements along an axis, in `dtype`.

    Any shape in, the same out.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> cumsum(tensor([1, 2, 3]), 0)
    tensor([1, 3, 6], dtype=int64, device=cpu)
    """
    return checked(input).cumsum(dim, dtype)
