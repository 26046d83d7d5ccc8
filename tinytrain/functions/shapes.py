"""Other shapes and orders."""

from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops.reduce import Axes
from tinytrain.tensor import Tensor


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the elements in another shape; one size may be -1.

    From any shape to one of as many elements.

    Raises
    ------
    ValueError
        The shape is for another number of elements, or has more than one -1.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> reshape(arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    return checked(input).reshape(shape)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two axes.

    From (..., M, ..., N, ...) to (..., N, ..., M, ...).

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> transpose(ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return checked(input).transpose(dim0, dim1)


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Reorder the axes: axis i of the result is axis dims[i].

    From (L, M, N) to (M, N, L), for example.

    Raises
    ------
    ValueError
        Not every axis is named once.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> permute(ones(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return checked(input).permute(dims)


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to other places; the others keep their order.

    From (L, M, N) to (M, N, L), for example.

    Raises
    ------
    ValueError
        There are not as many places as axes, or one stands twice.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> movedim(ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    return checked(input).movedim(source, destination)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcast axes of size 1 to larger sizes, and add axes in front.

    From (1, N) to (M, N) or (L, M, N), for example.

    Raises
    ------
    ValueError
        A size other than 1 would change, or axes would vanish.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> broadcast_to(arange(2), (3, 2)).tolist()
    [[0, 1], [0, 1], [0, 1]]
    """
    return checked(input).broadcast_to(shape)


def squeeze(input: Tensor, dim: Axes = None) -> Tensor:
    """Take away axes of size 1: all of them, or those named.

    From (M, 1, N) to (M, N), for example.

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> squeeze(ones(1, 3, 1)).shape, squeeze(ones(1, 3, 1), 0).shape
    ((3,), (3, 1))
    """
    return checked(input).squeeze(dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """Add an axis of size 1.

    From (M, N) to (M, 1, N) with dim 1, for example.

    Raises
    ------
    IndexError
        There is no such place.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> unsqueeze(ones(3), -1).shape
    (3, 1)
    """
    return checked(input).unsqueeze(dim)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge consecutive axes into one.

    From (N, C, H, W) to (N, C H W) with start_dim 1, for example.

    Raises
    ------
    ValueError
        The first axis comes after the last.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> flatten(ones(2, 3, 4), 1).shape
    (2, 12)
    """
    return checked(input).flatten(start_dim, end_dim)


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Reverse the order along axes.

    Any shape in, the same out.

    Raises
    ------
    ValueError
        An axis stands twice.
    IndexError
        There is no such axis.

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

    Any shape in, the same out.

    Raises
    ------
    ValueError
        There are not as many shifts as axes.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> roll(arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    return checked(input).roll(shifts, dims)


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Put copies side by side: so many along each of the last axes.

    From (M, N) to (a M, b N) for the counts a and b.

    Raises
    ------
    ValueError
        A count is negative.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> tile(arange(2), (2, 2)).tolist()
    [[0, 1, 0, 1], [0, 1, 0, 1]]
    """
    return checked(input).tile(dims)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Keep what is on and below a diagonal of the last two axes, and put 0 elsewhere.

    From (..., M, N) to the same.

    Raises
    ------
    ValueError
        There are fewer than two axes.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> tril(ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return checked(input).tril(diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Keep what is on and above a diagonal of the last two axes, and put 0 elsewhere.

    From (..., M, N) to the same.

    Raises
    ------
    ValueError
        There are fewer than two axes.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> triu(ones(2, 2)).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return checked(input).triu(diagonal)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Return a diagonal of two axes, as the last axis.

    From (N, N, ...) to (..., N), for example.

    Raises
    ------
    ValueError
        Both axes are the same.
    IndexError
        There is no such axis.

    Examples
    --------
    >>> from tinytrain.creation import arange
    >>> diagonal(arange(6).reshape(2, 3), 1).tolist()
    [1, 5]
    """
    return checked(input).diagonal(offset, dim1, dim2)
