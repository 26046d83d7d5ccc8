"""Other shapes for the same elements."""

import math
import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Self

import numpy as np

from tinytrain.ops import elementwise, rearrange, reduce, shape
from tinytrain.ops.reduce import Axes
from tinytrain.tensor_methods.indexing import IndexingMethods


class ShapeMethods(IndexingMethods):
    """Other shapes and other orders; views where the memory allows it."""

    __slots__ = ()

    def reshape(self, *sizes: Any) -> Self:
        """Return the elements in another shape; one size may be -1.

        From any shape to one of as many elements; errors as for `tinytrain.reshape`.
        """
        return self._apply(shape.Reshape(_sizes(sizes)), self)

    view = reshape

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """Merge consecutive axes into one.

        From (N, C, H, W) to (N, C H W) with start_dim 1, for example; errors as for
        `tinytrain.flatten`.
        """
        start = reduce.normalize_axis(start_dim, self.ndim)
        end = reduce.normalize_axis(end_dim, self.ndim)
        if start > end:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        merged = math.prod(self.shape[start : end + 1])
        return self.reshape(*self.shape[:start], merged, *self.shape[end + 1 :])

    def transpose(self, dim0: int, dim1: int) -> Self:
        """Exchange two axes.

        From (..., M, ..., N, ...) to (..., N, ..., M, ...); errors as for `tinytrain.transpose`.
        """
        order = list(range(self.ndim))
        first = reduce.normalize_axis(dim0, self.ndim)
        second = reduce.normalize_axis(dim1, self.ndim)
        order[first : first + 1], order[second : second + 1] = (
            order[second : second + 1],
            order[first : first + 1],
        )
        return self._apply(shape.Permute(order), self)

    def permute(self, *order: Any) -> Self:
        """Reorder the axes.

        From (L, M, N) to (M, N, L), for example; errors as for `tinytrain.permute`.
        """
        return self._apply(shape.Permute(_sizes(order)), self)

    def expand(self, *sizes: Any) -> Self:
        """Broadcast axes of size 1 to larger sizes; -1 keeps a size.

        From (1, N) to (M, N) or (L, M, N), for example.

        Raises
        ------
        ValueError
            A size other than 1 would change, or axes would vanish.
        """
        return self._apply(shape.Expand(_sizes(sizes)), self)

    def squeeze(self, dim: Axes = None) -> Self:
        """Take away axes of size 1: all of them, or those named.

        From (M, 1, N) to (M, N), for example; errors as for `tinytrain.squeeze`.
        """
        named = dim is None or isinstance(dim, int | np.integer) or len(dim)
        axes = reduce.normalize_axes(dim, self.ndim) if named else ()
        kept = [n for i, n in enumerate(self.shape) if n != 1 or i not in axes]
        return self.reshape(kept)

    def unsqueeze(self, dim: int) -> Self:
        """Add an axis of size 1.

        From (M, N) to (M, 1, N) with dim 1, for example; errors as for `tinytrain.unsqueeze`.
        """
        position = reduce.normalize_axis(dim, self.ndim + 1)
        return self.reshape([*self.shape[:position], 1, *self.shape[position:]])

    def broadcast_to(self, shape: Sequence[int]) -> Self:
        """Broadcast axes of size 1 to larger sizes, and add axes in front.

        From (1, N) to (M, N) or (L, M, N), for example; errors as for `tinytrain.broadcast_to`.
        """
        return self.expand(shape)

    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """Move axes to other places; the others keep their order.

        From (L, M, N) to (M, N, L), for example; errors as for `tinytrain.movedim`.
        """
        sources, places = (
            [reduce.normalize_axis(axis, self.ndim) for axis in _as_sequence(axes)]
            for axes in (source, destination)
        )
        if len(sources) != len(places) or any(len({*x}) < len(x) for x in (sources, places)):
            raise ValueError(
                f"movedim needs as many places as axes, each once: {source} to {destination}"
            )
        rest = iter(axis for axis in range(self.ndim) if axis not in sources)
        moved = dict(zip(places, sources, strict=True))
        order = [moved[i] if i in moved else next(rest) for i in range(self.ndim)]
        return self._apply(shape.Permute(order), self)

    def flip(self, *dims: Any) -> Self:
        """Reverse the order along axes.

        Any shape in, the same out; errors as for `tinytrain.flip`.
        """
        return self._apply(rearrange.Flip(_sizes(dims)), self)

    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Self:
        """Shift along axes (without any, along all in one row); what leaves comes in again.

        Any shape in, the same out; errors as for `tinytrain.roll`.
        """
        return self._apply(rearrange.Roll(_as_sequence(shifts), _as_sequence(dims)), self)

    def repeat(self, *repeats: Any) -> Self:
        """Put copies side by side: so many along each axis, new ones in front included.

        From (M, N) to (a M, b N) for the counts a and b.

        Raises
        ------
        ValueError
            There are fewer counts than axes, or negative ones.
        """
        counts = _sizes(repeats)
        if len(counts) < self.ndim or min(counts, default=0) < 0:
            raise ValueError(f"repeat of shape {self.shape} needs a count per axis, got {counts}")
        sizes = (1,) * (len(counts) - self.ndim) + self.shape
        apart = self.reshape([n for size in sizes for n in (1, size)])
        wide = apart.expand([n for pair in zip(counts, sizes, strict=True) for n in pair])
        product = [count * size for count, size in zip(counts, sizes, strict=True)]
        joined = wide.reshape(product)
        copied = any(count != 1 for count in counts)
        return joined if copied else self._apply(elementwise.Copy(), joined)

    def tile(self, *dims: Any) -> Self:
        """Put copies side by side, as `repeat`, but counts for the first axes may be left out.

        From (M, N) to (a M, b N) for the counts a and b; errors as for `tinytrain.tile`.
        """
        counts = _sizes(dims)
        return self.repeat((1,) * (self.ndim - len(counts)) + counts)

    def tril(self, diagonal: int = 0) -> Self:
        """Keep what is on and below a diagonal of the last two axes, and put 0 elsewhere.

        From (..., M, N) to the same; errors as for `tinytrain.tril`.
        """
        return self._apply(rearrange.Tril(diagonal), self)

    def triu(self, diagonal: int = 0) -> Self:
        """Keep what is on and above a diagonal of the last two axes, and put 0 elsewhere.

        From (..., M, N) to the same; errors as for `tinytrain.triu`.
        """
        return self._apply(rearrange.Triu(diagonal), self)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """Return a diagonal of two axes, as the last axis.

        From (N, N, ...) to (..., N), for example; errors as for `tinytrain.diagonal`.
        """
        return self._apply(rearrange.Diagonal(offset, dim1, dim2), self)

    def contiguous(self) -> Self:
        """Return it with its elements in row order; itself, where they are already."""
        return self if self.data.flags.c_contiguous else self._apply(elementwise.Copy(), self)

    def split(self, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Cut into pieces of a size (the last may be smaller), or of the sizes listed.

        From (M + N, ...) to (M, ...) and (N, ...), for dim 0; errors as for `tinytrain.split`.
        """
        axis = self._axis(dim)
        total = self.shape[axis]
        if isinstance(split_size_or_sections, int | np.integer):
            step = int(split_size_or_sections)
            if step <= 0 and (step or total):
                raise ValueError(f"split needs a positive size, got {step}")
            sizes = [min(step, total - start) for start in range(0, max(total, 1), step or 1)]
        else:
            sizes = list(split_size_or_sections)
        if sum(sizes) != total or min(sizes, default=0) < 0:
            raise ValueError(f"split sizes {sizes} do not add up to {total} (shape {self.shape})")
        starts = list(accumulate(sizes[:-1], initial=0))
        before = (slice(None),) * axis
        return tuple(
            self[(*before, slice(start, start + n))] for start, n in zip(starts, sizes, strict=True)
        )

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        """Cut into so many pieces of one size; the last may be smaller, or missing.

        From (N, ...) to pieces (M, ...) with M = ceil(N / chunks), for dim 0; errors as for
        `tinytrain.chunk`.
        """
        if chunks <= 0:
            raise ValueError(f"chunk needs a positive number of pieces, got {chunks}")
        total = self.shape[reduce.normalize_axis(dim, self.ndim)]
        return self.split(-(-total // chunks), dim) if total else self.split([0] * chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Self, ...]:
        """Return the slices along an axis, without it.

        From (N, ...) to N tensors (...), for dim 0; errors as for `tinytrain.unbind`.
        """
        axis = self._axis(dim)
        before = (slice(None),) * axis
        return tuple(self[(*before, i)] for i in range(self.shape[axis]))

    def narrow(self, dim: int, start: int, length: int) -> Self:
        """Return `length` slices along an axis, from `start` on.

        From (N, ...) to (length, ...), for dim 0; errors as for `tinytrain.narrow`.
        """
        axis = self._axis(dim)
        size, first = self.shape[axis], operator.index(start)
        first += size if first < 0 else 0
        if length < 0 or not 0 <= first <= size - length:
            raise IndexError(
                f"narrow: {length} from {start} on do not fit axis {axis} of shape {self.shape}"
            )
        return self[(*(slice(None),) * axis, slice(first, first + length))]

    def _axis(self, dim: int) -> int:
        """Return an axis of a tensor that must have one."""
        if not self.ndim:
            raise IndexError(f"dim {dim} of a 0-d tensor, which has no axes")
        return reduce.normalize_axis(dim, self.ndim)

    @property
    def T(self) -> Self:
        """The matrix transposed."""
        if self.ndim != 2:
            raise ValueError(f"T is for matrices; use permute(...) for shape {self.shape}")
        return self.transpose(0, 1)


def _sizes(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    """Accept sizes one by one or as one sequence."""
    if len(arguments) == 1 and not isinstance(arguments[0], int | np.integer):
        return tuple(arguments[0])
    return arguments


def _as_sequence(value: int | Sequence[int]) -> tuple[int, ...]:
    return (int(value),) if isinstance(value, int | np.integer) else tuple(value)
