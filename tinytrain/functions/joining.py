"""Tensors put together and taken apart."""

from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops import shape as shape_operations
from tinytrain.tensor import Tensor, apply


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Put tensors one after the other along an axis they already have.

    As in PyTorch, empty vectors, of shape (0,), may stand among tensors of more axes.

    From (M, ...) and (N, ...) to (M + N, ...), for dim 0.

    Raises
    ------
    ValueError
        There are no tensors, or they differ in another axis than `dim`.
    IndexError
        There is no such axis.
    TypeError
        One of them is no tensor.

    Examples
    --------
    >>> from tinytrain.creation import ones, zeros
    >>> cat([zeros(1, 2), ones(2, 2)]).shape
    (3, 2)
    """
    if any(checked(tensor).shape == (0,) for tensor in tensors):
        tensors = [tensor for tensor in tensors if tensor.shape != (0,)] or tensors
    return apply(shape_operations.Cat(dim), *tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Put tensors of one shape side by side along a new axis.

    From K times (N, ...) to (K, N, ...), for dim 0.

    Raises
    ------
    ValueError
        There are no tensors, or their shapes differ.
    IndexError
        There is no such place.

    Examples
    --------
    >>> from tinytrain.creation import ones, zeros
    >>> stack([zeros(2), ones(2)]).shape
    (2, 2)
    """
    return apply(shape_operations.Stack(dim), *tensors)


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Cut a tensor along an axis into pieces of a size, or of the sizes listed.

    From (M + N, ...) to (M, ...) and (N, ...), for dim 0.

    Raises
    ------
    ValueError
        The size is not positive, or the sizes do not add up to that of the axis.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [piece.tolist() for piece in split(arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return checked(tensor).split(split_size_or_sections, dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor along an axis into so many pieces; the last may be smaller, or missing.

    From (N, ...) to pieces (M, ...) with M = ceil(N / chunks), for dim 0.

    Raises
    ------
    ValueError
        The number of pieces is not positive.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [piece.tolist() for piece in chunk(arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return checked(input).chunk(chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Return the slices along an axis, without it.

    From (N, ...) to N tensors (...), for dim 0.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [row.tolist() for row in unbind(arange(4).reshape(2, 2))]
    [[0, 1], [2, 3]]
    """
    return checked(input).unbind(dim)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Return `length` slices along an axis, from `start` on.

    From (N, ...) to (length, ...), for dim 0.

    Raises
    ------
    IndexError
        There is no such axis, or so many slices do not fit in it.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> narrow(arange(5), 0, 1, 3).tolist()
    [1, 2, 3]
    """
    return checked(input).narrow(dim, start, length)
