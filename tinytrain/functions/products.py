"""Products of vectors, matrices and arrays of more axes."""

import math
from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops import matmul as product
from tinytrain.ops.reduce import normalize_axis
from tinytrain.tensor import Tensor, apply


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices, batched over the axes before the last two.

    From (..., I, J) and (..., J, K) to (..., I, K). A vector (J,) may stand on either side; the
    result has no axis for it.

    Raises
    ------
    ValueError
        The sizes that meet differ, an operand has no axes, or the others cannot be broadcast.
    TypeError
        The dtypes differ, or an operand is a number.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> matmul(ones(4, 2, 3), ones(3, 5)).shape
    (4, 2, 5)
    """
    return apply(product.Matmul(), input, other)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Multiply two matrices.

    From (I, J) and (J, K) to (I, K).

    Raises
    ------
    ValueError
        They are no such matrices.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> mm(tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    return checked(input).mm(checked(mat2))


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Multiply two batches of equally many matrices.

    From (B, I, J) and (B, J, K) to (B, I, K).

    Raises
    ------
    ValueError
        They are no such batches.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> bmm(ones(4, 2, 3), ones(4, 3, 5)).shape
    (4, 2, 5)
    """
    return checked(input).bmm(checked(mat2))


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Multiply a matrix by a vector.

    From (I, J) and (J,) to (I,).

    Raises
    ------
    ValueError
        They are no such matrix and vector.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> mv(tensor([[1.0, 2.0]]), tensor([3.0, 4.0])).tolist()
    [11.0]
    """
    return checked(input).mv(checked(vec))


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Return the scalar product of two vectors.

    From (N,) and (N,) to ().

    Raises
    ------
    ValueError
        They are no two vectors of one length.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> dot(ones(3), ones(3)).item()
    3.0
    """
    return checked(input).dot(checked(tensor))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Return the matrix of all products, z[i, j] = x[i] y[j].

    From (M,) and (N,) to (M, N).

    Raises
    ------
    ValueError
        They are no two vectors.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> outer(tensor([1, 2]), tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    return checked(input).outer(checked(vec2))


def tensordot(a: Tensor, b: Tensor, dims: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Multiply and add up over pairs of axes; the other axes of `a`, then of `b` remain.

    `dims` is the number of the last axes of `a` that meet the first ones of `b`, or two lists of
    axes that meet.

    From (A, S) and (S, B) to (A, B), where each letter is any number of axes.

    Raises
    ------
    ValueError
        Axes that meet differ in size or number, or one stands twice.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> tensordot(ones(2, 3, 4), ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    (2, 5)
    """
    left, right = _meeting_axes(checked(a), checked(b), dims)
    for i, j in zip(left, right, strict=True):  # an axis of size 1 is broadcast
        if a.shape[i] == 1:
            b = b.sum(j, keepdim=True)
        elif b.shape[j] == 1:
            a = a.sum(i, keepdim=True)
    sizes = [(a.shape[i], b.shape[j]) for i, j in zip(left, right, strict=True)]
    if any(m != n for m, n in sizes):
        raise ValueError(
            f"tensordot of shapes {a.shape} and {b.shape}: axes {left} and {right} differ in size"
        )
    kept_left = [axis for axis in range(a.ndim) if axis not in left]
    kept_right = [axis for axis in range(b.ndim) if axis not in right]
    meeting = math.prod(m for m, _ in sizes)
    shape = [a.shape[axis] for axis in kept_left] + [b.shape[axis] for axis in kept_right]
    rows = math.prod(a.shape[axis] for axis in kept_left)
    columns = math.prod(b.shape[axis] for axis in kept_right)
    matrix = a.permute(kept_left + left).reshape(rows, meeting)
    return (matrix @ b.permute(right + kept_right).reshape(meeting, columns)).reshape(shape)


def _meeting_axes(
    a: Tensor, b: Tensor, dims: int | tuple[Sequence[int], Sequence[int]]
) -> tuple[list[int], list[int]]:
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot over {dims} axes of shapes {a.shape} and {b.shape}")
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    left = [normalize_axis(axis, a.ndim) for axis in dims[0]]
    right = [normalize_axis(axis, b.ndim) for axis in dims[1]]
    if len(left) != len(right) or any(len({*axes}) < len(axes) for axes in (left, right)):
        raise ValueError(f"tensordot needs pairs of axes, each once, got {dims}")
    return left, right
