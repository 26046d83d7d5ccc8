"""The largest and the smallest elements, and the order of all, along axes."""

from typing import Any

from tinytrain.functions.checks import checked
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Tensor, ValuesAndIndices


def amax(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Return the largest elements along axes; ties share the gradient evenly.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> amax(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([3., 5.], dtype=float32, device=cpu)
    """
    return checked(input).amax(dim, keepdim)


def amin(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Return the smallest elements along axes; ties share the gradient evenly.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

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

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

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

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

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

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> argmax(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([1, 1], dtype=int64, device=cpu)
    """
    return checked(input).argmax(dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the position of the smallest element, in one row or along an axis.

    Reduced axes are missing in the result, or have size 1 with `keepdim`.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> argmin(tensor([[1.0, 2.0], [3.0, 5.0]]), 0)
    tensor([0, 0], dtype=int64, device=cpu)
    """
    return checked(input).argmin(dim, keepdim)


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """Return the positions of the elements in order; equal ones always keep theirs.

    Any shape in, the same out.

    Raises
    ------
    IndexError
        There is no such axis.

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

    Any shape in, the same out.

    Raises
    ------
    IndexError
        There is no such axis.

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

    From (..., N) to (..., k), for the last axis.

    Raises
    ------
    ValueError
        k is negative, or larger than the axis.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> values, indices = topk(tensor([3, 1, 2]), 2)
    >>> values.tolist(), indices.tolist()
    ([3, 2], [0, 2])
    """
    return checked(input).topk(k, dim, largest, sorted)
