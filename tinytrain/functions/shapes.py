"""Other shapes and orders, tensors put together and taken apart."""

from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops import shape as shape_operations
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Tensor, apply


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the elements in another shape; one size may be -1.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> reshape(arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    return checked(input).reshape(shape)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two axes.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> transpose(ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return checked(input).transpose(dim0, dim1)


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Reorder the axes: axis i of the result is axis dims[i].

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> permute(ones(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return checked(input).permute(dims)


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to other places; the others keep their order.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> movedim(ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    return checked(input).movedim(source, destination)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcast axes of size 1 to larger sizes, and add axes in front.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> broadcast_to(arange(2), (3, 2)).tolist()
    [[0, 1], [0, 1], [0, 1]]
    """
    return checked(input).broadcast_to(shape)


def squeeze(input: Tensor, dim: Axes = None) -> Tensor:
    """Take away axes of size 1: all of them, or those named.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> squeeze(ones(1, 3, 1)).shape, squeeze(ones(1, 3, 1), 0).shape
    ((3,), (3, 1))
    """
    return checked(input).squeeze(dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """Add an axis of size 1.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> unsqueeze(ones(3), -1).shape
    (3, 1)
    """
    return checked(input).unsqueeze(dim)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge consecutive axes into one.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> flatten(ones(2, 3, 4), 1).shape
    (2, 12)
    """
    return checked(input).flatten(start_dim, end_dim)


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Reverse the order along axes.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> flip(arange(3), (0,)).tolist()
    [2, 1, 0]
    """
    return checked(input).flip(dims)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Tensor:
    """Shift along axes; what leaves at one end comes in at the other.

    Without axes the elements are shifted as if they stood in one row.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> roll(arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    return checked(input).roll(shifts, dims)


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Put copies side by side: so many along each of the last axes.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> tile(arange(2), (2, 2)).tolist()
    [[0, 1, 0, 1], [0, 1, 0, 1]]
    """
    return checked(input).tile(dims)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Keep what is on and below a diagonal of the last two axes, and put 0 elsewhere.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> tril(ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return checked(input).tril(diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Keep what is on and above a diagonal of the last two axes, and put 0 elsewhere.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> triu(ones(2, 2)).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return checked(input).triu(diagonal)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Return a diagonal of two axes, as the last axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> diagonal(arange(6).reshape(2, 3), 1).tolist()
    [1, 5]
    """
    return checked(input).diagonal(offset, dim1, dim2)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Put tensors one after the other along an axis they already have.

    As in PyTorch, empty vectors, of shape (0,), may stand among tensors of more axes.

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

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [piece.tolist() for piece in split(arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return checked(tensor).split(split_size_or_sections, dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor along an axis into so many pieces; the last may be smaller, or missing.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [piece.tolist() for piece in chunk(arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return checked(input).chunk(chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Return the slices along an axis, without it.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> [row.tolist() for row in unbind(arange(4).reshape(2, 2))]
    [[0, 1], [2, 3]]
    """
    return checked(input).unbind(dim)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Return `length` slices along an axis, from `start` on.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> narrow(arange(5), 0, 1, 3).tolist()
    [1, 2, 3]
    """
    return checked(input).narrow(dim, start, length)
