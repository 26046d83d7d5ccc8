"""Functions of several tensors, and functions that read better than a method."""

from collections.abc import Sequence

from tinytrain.ops import arithmetic, selection, shape
from tinytrain.ops import matmul as product
from tinytrain.tensor import Operand, Tensor, apply


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Put tensors one after the other along an axis they already have.

    Examples
    --------
    >>> from tinytrain.creation import ones, zeros
    >>> cat([zeros(1, 2), ones(2, 2)]).shape
    (3, 2)
    """
    return apply(shape.Cat(dim), *tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Put tensors of one shape side by side along a new axis.

    Examples
    --------
    >>> from tinytrain.creation import ones, zeros
    >>> stack([zeros(2), ones(2)]).shape
    (2, 2)
    """
    return apply(shape.Stack(dim), *tensors)


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
    return tensor.split(split_size_or_sections, dim)


def where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    """Take from `input` where the condition holds, and from `other` elsewhere.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.], dtype=float32, device=cpu)
    """
    return apply(selection.Where(), condition, input, other)


def maximum(input: Operand, other: Operand) -> Tensor:
    """Return the larger of two tensors, elementwise; a tie shares the gradient.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> maximum(tensor([1.0, 5.0]), tensor([3.0, 2.0]))
    tensor([3., 5.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Maximum(), input, other)


def minimum(input: Operand, other: Operand) -> Tensor:
    """Return the smaller of two tensors, elementwise; a tie shares the gradient.

    Examples
    --------
    >>> from tinytrain.creation import tensor
    >>> minimum(tensor([1.0, 5.0]), tensor([3.0, 2.0]))
    tensor([1., 2.], dtype=float32, device=cpu)
    """
    return apply(arithmetic.Minimum(), input, other)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices, batched over the axes before the last two.

    Examples
    --------
    >>> from tinytrain.creation import ones
    >>> matmul(ones(4, 2, 3), ones(3, 5)).shape
    (4, 2, 5)
    """
    return apply(product.Matmul(), input, other)
