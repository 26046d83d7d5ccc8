"""Products and sums that are written as letters: `einsum`.

The equation names every axis. It is worked off two tensors at a time: their axes are sorted into
those that both have and the result keeps, those that are added up, and the rest, and then it is one
matrix product.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tinytrain.functions.checks import checked
from tinytrain.tensor import Tensor

Label = str  # a letter, or "...0", "...1", ...: the axes of an ellipsis, counted from the last


class Labelled(NamedTuple):
    """A tensor, and a name for each of its axes."""

    tensor: Tensor
    labels: list[Label]


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Multiply tensors and add up over axes, as an equation says: "ij,jk->ik" is a matrix product.

    A letter that stands twice in one operand means its diagonal. A letter that is missing behind
    the arrow is added up. "..." stands for any number of axes, which are broadcast. Without an
    arrow, the result has the ellipsis and the letters that occur once, in alphabetical order.

    A term without "..." has a letter for each axis of its operand, and (I, J) is "ij".

    Raises
    ------
    ValueError
        The equation cannot be read, or does not fit the shapes.

    Examples
    --------
    >>> from tinytrain.creation import ones, tensor
    >>> einsum("ij,j->i", tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 10.0])).tolist()
    [21.0, 43.0]
    >>> einsum("...qd,...kd->...qk", ones(2, 3, 4), ones(2, 5, 4)).shape
    (2, 3, 5)
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    inputs, output = _read(equation, [checked(operand).ndim for operand in operands])
    pieces = [_diagonals(Labelled(*pair)) for pair in zip(operands, inputs, strict=True)]
    _check_sizes(equation, pieces)
    result = pieces[0]
    for position, piece in enumerate(pieces[1:], start=2):
        later = {label for other in pieces[position:] for label in other.labels}
        result = _multiply(result, piece, later | {*output})
    result = _sum_all_but(result, {*output})
    return result.tensor.permute([result.labels.index(label) for label in output])


def _read(equation: str, axes: Sequence[int]) -> tuple[list[list[Label]], list[Label]]:
    """Return the names of the axes of each operand, and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(axes):
        raise ValueError(f"einsum {equation!r}: {len(terms)} terms for {len(axes)} tensors")
    inputs = [_names(equation, term, count) for term, count in zip(terms, axes, strict=True)]
    ellipsis = max((sum(n.startswith("...") for n in names) for names in inputs), default=0)
    if arrow:
        dots = ellipsis if "..." in right else 0  # without dots, the hidden axes are added up
        output = _names(equation, right, len(right.replace("...", "")) + dots)
    else:
        counts = Counter(letter for term in terms for letter in term.replace("...", ""))
        output = [*_ellipsis(ellipsis), *sorted(c for c in counts if counts[c] == 1)]
    unknown = {*output} - {name for names in inputs for name in names}
    if len({*output}) < len(output) or unknown:
        raise ValueError(
            f"einsum {equation!r}: every letter of the result stands there once and in an operand"
        )
    return inputs, output


def _names(equation: str, term: str, axes: int) -> list[Label]:
    before, dots, behind = term.partition("...")
    letters = before + behind
    if letters and not (letters.isalpha() and letters.isascii()):
        raise ValueError(f"einsum {equation!r}: {term!r} holds more than letters and one ellipsis")
    hidden = axes - len(letters)
    if hidden < 0 or (hidden and not dots):
        raise ValueError(
            f"einsum {equation!r}: {term!r} is for another tensor than one of {axes} axes"
        )
    return [*before, *_ellipsis(hidden if dots else 0), *behind]


def _ellipsis(count: int) -> list[Label]:
    return [f"...{i}" for i in reversed(range(count))]


def _diagonals(piece: Labelled) -> Labelled:
    """Take the diagonal of axes with one name."""
    tensor, labels = piece
    for label in [name for name, count in Counter(labels).items() if count > 1]:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if tensor.shape[first] != tensor.shape[second]:
                raise ValueError(
                    f"einsum: axis {label!r} stands for sizes {tensor.shape[first]} and "
                    f"{tensor.shape[second]} of one tensor"
                )
            tensor = tensor.diagonal(0, first, second)
            labels = [n for i, n in enumerate(labels) if i not in (first, second)] + [label]
    return Labelled(tensor, labels)


def _check_sizes(equation: str, pieces: Sequence[Labelled]) -> None:
    sizes: dict[Label, int] = {}
    for tensor, labels in pieces:
        for label, size in zip(labels, tensor.shape, strict=True):
            if 1 not in (size, sizes.get(label, 1)) and sizes[label] != size:
                raise ValueError(
                    f"einsum {equation!r}: axis {label!r} has sizes {sizes[label]} and {size}"
                )
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]


def _multiply(left: Labelled, right: Labelled, kept: set[Label]) -> Labelled:
    """Multiply two tensors, and add up over the axes whose names are not to be kept."""
    left, right = _without_ones(left, right), _without_ones(right, left)
    left = _sum_all_but(left, kept | {*right.labels})
    right = _sum_all_but(right, kept | {*left.labels})
    both = [label for label in left.labels if label in right.labels]
    batch = [label for label in both if label in kept]
    added = [label for label in both if label not in kept]
    rows = [label for label in left.labels if label not in both]
    columns = [label for label in right.labels if label not in both]
    product = _matrices(left, batch, rows, added) @ _matrices(right, batch, added, columns)
    sizes = _sizes(right) | _sizes(left)
    labels = batch + rows + columns
    return Labelled(product.reshape([sizes[label] for label in labels]), labels)


def _without_ones(piece: Labelled, other: Labelled) -> Labelled:
    """Take away axes of size 1 that the other tensor has too: there they are broadcast."""
    named = _sizes(piece)
    ones = [i for i, name in enumerate(piece.labels) if named[name] == 1 and name in other.labels]
    ones = [i for i in ones if _sizes(other)[piece.labels[i]] != 1]
    tensor = piece.tensor.squeeze(tuple(ones)) if ones else piece.tensor
    return Labelled(tensor, [name for i, name in enumerate(piece.labels) if i not in ones])


def _sum_all_but(piece: Labelled, kept: set[Label]) -> Labelled:
    axes = tuple(i for i, label in enumerate(piece.labels) if label not in kept)
    tensor = piece.tensor.sum(axes) if axes else piece.tensor
    return Labelled(tensor, [label for label in piece.labels if label in kept])


def _matrices(
    piece: Labelled, batch: list[Label], rows: list[Label], columns: list[Label]
) -> Tensor:
    """Return the tensor as a batch of matrices, with three groups of its axes merged."""
    sizes = _sizes(piece)
    ordered = piece.tensor.permute([piece.labels.index(n) for n in batch + rows + columns])
    return ordered.reshape([math.prod(sizes[n] for n in group) for group in (batch, rows, columns)])


def _sizes(piece: Labelled) -> dict[Label, int]:
    return dict(zip(piece.labels, piece.tensor.shape, strict=True))
