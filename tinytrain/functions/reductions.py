"""Sums, means, extremes, norms and order along axes."""

from typing import Any

from numpy.typing import DTypeLike

from tinytrain.functions.checks import checked
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Scalar, Tensor, ValuesAndIndices


def sum(
    input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Add up the elements, all or along axes, in `dtype`; integers in int64.

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

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> norm(tensor([3.0, 4.0])), norm(tensor([3.0, 4.0]), 1)
    (tensor(5., dtype=float32, device=cpu), tensor(7., dtype=float32, device=cpu))
    """
    return checked(input).norm(p, dim, keepdim, dtype)


def amax(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Return the largest elements along axes; ties share the gradient evenly.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> amax(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([3., 5.], dtype=float32, device=cpu)
    """
    return checked(input).amax(dim, keepdim)


def amin(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Return the smallest elements along axes; ties share the gradient evenly.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> amin(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([1., 2.], dtype=float32, device=cpu)
    """
    return checked(input).amin(dim, keepdim)


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Return the largest element; along one axis, values and positions; of two tensors, `maximum`.

    Along an axis the gradient goes to the first of several largest; over all it is shared.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> max(tensor([[1.0, 2.0], [3.0, 5.0]]))
    tensor(5., dtype=float32, device=cpu)
    >>> max(tensor([[1.0, 2.0], [3.0, 5.0]]), 1).indices
    tensor([1, 1], dtype=int64, device=cpu)
    """
    return checked(input).max(dim, keepdim)


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Return the smallest element; along one axis, values and positions; of two tensors, `minimum`.

    Along an axis the gradient goes to the first of several smallest; over all it is shared.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> min(tensor([[1.0, 2.0], [3.0, 5.0]]))
    tensor(1., dtype=float32, device=cpu)
    >>> min(tensor([[1.0, 2.0], [3.0, 5.0]]), 1).indices
    tensor([0, 0], dtype=int64, device=cpu)
    """
    return checked(input).min(dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the position of the largest element, in one row or along an axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> argmax(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([1, 1], dtype=int64, device=cpu)
    """
    return checked(input).argmax(dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the position of the smallest element, in one row or along an axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> argmin(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([0, 0], dtype=int64, device=cpu)
    """
    return checked(input).argmin(dim, keepdim)


def all(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Return whether all elements differ from 0, of all or along axes.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> all(tensor([[True, False], [True, True]]), 1)
    tensor([False,  True], dtype=bool, device=cpu)
    """
    return checked(input).all(dim, keepdim)


def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Return whether an element differs from 0, of all or along axes.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> any(tensor([[True, False], [True, True]]), 1)
    tensor([ True,  True], dtype=bool, device=cpu)
    """
    return checked(input).any(dim, keepdim)


def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """Return log(sum(e^x)) along axes, without overflow.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> logsumexp(tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932, dtype=float32, device=cpu)
    """
    return checked(input).logsumexp(dim, keepdim)


def cumsum(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums of the first 1, 2, ... elements along an axis, in `dtype`.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> cumsum(tensor([1, 2, 3]), 0)
    tensor([1, 3, 6], dtype=int64, device=cpu)
    """
    return checked(input).cumsum(dim, dtype)


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """Return the positions of the elements in order; equal ones always keep theirs.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> argsort(tensor([3, 1, 2]))
    tensor([1, 2, 0], dtype=int64, device=cpu)
    """
    return checked(input).argsort(dim, descending, stable)


def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> ValuesAndIndices:
    """Return the elements in order along an axis, and their positions before.

    Equal elements always keep their order (`stable` says nothing more), NaN is the largest.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> values, indices = sort(tensor([3, 1, 2]), descending=True)
    >>> values.tolist(), indices.tolist()
    ([3, 2, 1], [0, 2, 1])
    """
    return checked(input).sort(dim, descending, stable)


def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesAndIndices:
    """Return the k largest or smallest elements along an axis in order, and their positions.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> values, indices = topk(tensor([3, 1, 2]), 2)
    >>> values.tolist(), indices.tolist()
    ([3, 2], [0, 2])
    """
    return checked(input).topk(k, dim, largest, sorted)
