"""Taking, replacing and adding elements at positions and under masks.

Positions count from 0 and lie below the size of the axis; any other is an IndexError, on every
device.
"""

from typing import Any

from tinytrain.functions.checks import checked
from tinytrain.tensor import Operand, Scalar, Tensor


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Take the slices of an axis that a vector of integers names.

    From (N, ...) and positions (K,) to (K, ...), for dim 0.

    Raises
    ------
    ValueError
        The positions are no vector.
    IndexError
        A position is outside the axis, or there is no such axis.
    TypeError
        The positions are no integers.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> index_select(tensor([[1, 2], [3, 4]]), 1, tensor([1, 1, 0])).tolist()
    [[2, 2, 1], [4, 4, 3]]
    """
    return checked(input).index_select(dim, checked(index))


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Take one element per position along an axis: z[i, j] = x[index[i, j], j] for dim 0.

    The result has the shape of the positions.

    Raises
    ------
    ValueError
        The positions have another number of axes, or a longer one besides `dim`.
    IndexError
        A position is outside the axis, or there is no such axis.
    TypeError
        The positions are no integers.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> gather(tensor([[1, 2], [3, 4]]), 1, tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    return checked(input).gather(dim, checked(index))


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Take one element per position along an axis; the other axes are broadcast.

    Without an axis, the positions count the elements in one row. Negative ones count from the end,
    here alone.

    From (N, M) and positions (K, M) to (K, M), for dim 0.

    Raises
    ------
    ValueError
        The numbers of axes differ, or the other axes cannot be broadcast.
    IndexError
        A position is outside the axis, or there is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> x = tensor([[3, 1], [2, 4]])
    >>> take_along_dim(x, x.argsort(1), 1).tolist()
    [[1, 3], [2, 4]]
    """
    return checked(input).take_along_dim(checked(indices), dim)


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """Replace elements at positions: z[index[i, j], j] = src[i, j] for dim 0, or one number.

    Which of several elements for one place wins is not defined; the mock GPU raises then.
    With `reduce="add"` elements are added instead, as by `scatter_add`.

    The result has the input's shape; positions and `src` may be smaller.

    Raises
    ------
    ValueError
        The positions do not fit the shapes, or `reduce` is neither None nor "add".
    IndexError
        A position is outside the axis, or there is no such axis.
    TypeError
        Not just one of `src` and `value` is given, or `src` is of another dtype.

    Examples
    --------
    >>> from tinytrain.creation import tensor, zeros
    >>> scatter(zeros(2, 2), 1, tensor([[1], [0]]), 5.0).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    return checked(input).scatter(dim, checked(index), src, value=value, reduce=reduce)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Add elements at positions: z[index[i, j], j] += src[i, j] for dim 0; repeated ones add.

    The result has the input's shape; positions and `src` may be smaller.

    Raises
    ------
    ValueError
        The positions do not fit the shapes.
    IndexError
        A position is outside the axis, or there is no such axis.
    TypeError
        `src` is of another dtype.

    Examples
    --------
    >>> from tinytrain.creation import tensor, zeros
    >>> scatter_add(zeros(2), 0, tensor([1, 1]), tensor([2.0, 3.0])).tolist()
    [0.0, 5.0]
    """
    return checked(input).scatter_add(dim, checked(index), checked(src))


def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Scalar = 1
) -> Tensor:
    """Add `alpha` times the slices of `source` to the slices that a vector names.

    From (N, ...), positions (K,) and a source (K, ...) to (N, ...), for dim 0.

    Raises
    ------
    ValueError
        The source has another shape.
    IndexError
        A position is outside the axis, or there is no such axis.
    TypeError
        The source is of another dtype.

    Examples
    --------
    >>> from tinytrain.creation import tensor, zeros
    >>> index_add(zeros(2), 0, tensor([1, 1]), tensor([2.0, 3.0]), alpha=2).tolist()
    [0.0, 10.0]
    """
    return checked(input).index_add(dim, checked(index), checked(source), alpha=alpha)


def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """Replace the elements where a boolean mask is True, by a number or a tensor of one.

    The shapes of input and mask are broadcast.

    Raises
    ------
    ValueError
        They cannot be, or the value has axes.
    TypeError
        The mask is not boolean.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> masked_fill(tensor([1.0, 2.0]), tensor([True, False]), 0.0).tolist()
    [0.0, 2.0]
    """
    return checked(input).masked_fill(checked(mask), value)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """Return the elements where a boolean mask is True, in one row. A GPU has to wait.

    From shapes that are broadcast to (K,), for K places where the mask is True.

    Raises
    ------
    ValueError
        The shapes cannot be broadcast.
    TypeError
        The mask is not boolean.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> masked_select(tensor([1.0, 2.0]), tensor([True, False])).tolist()
    [1.0]
    """
    return checked(input).masked_select(checked(mask))
