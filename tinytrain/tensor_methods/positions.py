"""Taking, replacing and adding elements at positions that a tensor of integers names.

Positions count from 0 and lie below the size of the axis; any other is an IndexError, on every
device. (`take_along_dim` alone counts negative ones from the end, as PyTorch does.)
"""

from typing import Any, Self

from tinytrain.backend import to_host
from tinytrain.ops import arithmetic, scatter, selection
from tinytrain.ops import index as indexing
from tinytrain.ops.reduce import normalize_axis
from tinytrain.tensor_methods.base import Scalar, TensorBase
from tinytrain.tensor_methods.shapes import ShapeMethods


class PositionMethods(ShapeMethods):
    """Methods with positions."""

    __slots__ = ()

    def index_select(self, dim: int, index: Self) -> Self:
        """Take the slices of an axis that a vector of integers names.

        From (N, ...) and positions (K,) to (K, ...), for dim 0; errors as for
        `tinytrain.index_select`.
        """
        if index.ndim > 1:
            raise ValueError(f"index_select takes a vector of positions, got shape {index.shape}")
        if not self.ndim:
            return self.reshape(1).index_select(dim, index).reshape(())
        axis = normalize_axis(dim, self.ndim)
        indexing.check_range(index.data, self.shape[axis], "index", index.extremes)
        return self[(*(slice(None),) * axis, index.reshape(-1))]

    def gather(self, dim: int, index: Self) -> Self:
        """Take one element per position along an axis: z[i, j] = x[index[i, j], j] for dim 0.

        The result has the shape of the positions; errors as for `tinytrain.gather`.
        """
        if not self.ndim or not index.ndim:
            shape = index.shape if self.ndim <= index.ndim else ()
            return self.reshape(-1).gather(dim, index.reshape(-1)).reshape(shape)
        axis = normalize_axis(dim, self.ndim)
        if index.numel() == 0:
            return self._apply(indexing.Index(slice(0, 0)), self.reshape(-1)).reshape(index.shape)
        source = self._cut_to(index, "gather", except_axis=axis)
        return self._apply(indexing.TakeAlong(axis, index.extremes), source, index)

    def take_along_dim(self, indices: Self, dim: int | None = None) -> Self:
        """Take one element per position along an axis; the other axes are broadcast.

        Without an axis, the positions count the elements in one row. Negative ones count from the
        end, here alone.

        From (N, M) and positions (K, M) to (K, M), for dim 0; errors as for
        `tinytrain.take_along_dim`.
        """
        if dim is None:
            return self.reshape(-1).take_along_dim(indices.reshape(-1), 0)
        if self.ndim != indices.ndim:
            raise ValueError(
                f"take_along_dim needs as many axes in both, got {self.shape} and {indices.shape}"
            )
        axis = normalize_axis(dim, self.ndim)
        both = zip(self.shape, indices.shape, strict=True)
        shape = [max(a, b) if a and b else 0 for a, b in both]
        mine, theirs = list(shape), list(shape)
        mine[axis], theirs[axis] = self.shape[axis], indices.shape[axis]
        positions = indices._count_from_the_front(self.shape[axis])
        return self.expand(mine).gather(axis, positions.expand(theirs))

    def scatter(
        self,
        dim: int,
        index: Self,
        src: Any = None,
        *,
        value: Any = None,
        reduce: str | None = None,
    ) -> Self:
        """Replace elements at positions, by those of `src` or by one number.

        Which of several elements for one place wins is not defined; the mock GPU raises then.
        With `reduce="add"` elements are added instead, as by `scatter_add`.

        The result has the input's shape; positions and `src` may be smaller; errors as for
        `tinytrain.scatter`.
        """
        if (src is None) == (value is None):
            raise TypeError("scatter takes either src or value")
        given = src if value is None else value
        if reduce is not None:
            return self._scatter_reduced(dim, index, given, reduce)
        if not isinstance(given, TensorBase):
            return self._scatter_number(dim, index, given)
        operation = scatter.Scatter(dim, index.extremes)
        return self._scattered(operation, dim, index, given)  # type: ignore[arg-type]  # a Tensor

    def scatter_add(self, dim: int, index: Self, src: Self) -> Self:
        """Add the elements of `src` at positions; repeated positions add.

        The result has the input's shape; positions and `src` may be smaller; errors as for
        `tinytrain.scatter_add`.
        """
        return self._scattered(scatter.ScatterAdd(dim, index.extremes), dim, index, src)

    def index_add(self, dim: int, index: Self, source: Self, *, alpha: Scalar = 1) -> Self:
        """Add `alpha` times the slices of `source` to the slices that a vector names.

        From (N, ...), positions (K,) and a source (K, ...) to (N, ...), for dim 0; errors as for
        `tinytrain.index_add`.
        """
        if not self.ndim:
            row = self.reshape(1).index_add(dim, index.reshape(-1), source.reshape(-1), alpha=alpha)
            return row.reshape(())
        operation = scatter.IndexAdd(dim, alpha, index.extremes)
        return self._apply(operation, self, index.reshape(-1) if not index.ndim else index, source)

    def masked_select(self, mask: Self) -> Self:
        """Return the elements where a boolean mask is True, in one row. A GPU has to wait.

        From shapes that are broadcast to (K,), for K places where the mask is True; errors as for
        `tinytrain.masked_select`.
        """
        if mask.dtype != bool:
            raise TypeError(f"masked_select expects a boolean mask, got {mask.dtype}")
        ndim = max(self.ndim, mask.ndim)
        padded = ((1,) * (ndim - x.ndim) + x.shape for x in (self, mask))
        shape = [max(a, b) if a and b else 0 for a, b in zip(*padded, strict=True)]
        return self.expand(shape)[mask.expand(shape)]

    def _count_from_the_front(self, size: int) -> Self:
        """Add the size to negative positions; any below -size stays wrong, and is noticed later."""
        found = self.extremes
        if found is None and self.numel():
            found = indexing.extremes_of(to_host(self.data))
        if not found or found[0] >= 0:
            return self
        negative = self._apply(selection.Comparison("<"), self, 0)
        shifted = self._apply(arithmetic.Add(), self, size)
        positions = self._apply(selection.Where(), negative, shifted, self)
        if found[0] >= -size and found[-1] < size:
            positions.extremes = (0, size - 1)
        return positions

    def _scattered(self, operation: Any, dim: int, index: Self, source: Self) -> Self:
        if not self.ndim or not index.ndim:
            row = self.reshape(-1)._scattered(operation, dim, index.reshape(-1), source.reshape(-1))
            return row.reshape(self.shape)
        axis = normalize_axis(dim, self.ndim)
        self._cut_to(index, operation.name, except_axis=axis)
        if index.numel() == 0:
            return self._apply(indexing.Index(Ellipsis), self)
        return self._apply(operation, self, index, source._cut_to(index, operation.name))

    def _scatter_reduced(self, dim: int, index: Self, given: Any, reduce: str) -> Self:
        if reduce != "add":
            raise ValueError(f"scatter: reduce must be None or 'add', not {reduce!r}")
        if not isinstance(given, TensorBase):
            nothing = self._apply(arithmetic.Mul(), self, 0).reshape(-1)
            one = self._apply(arithmetic.Add(), nothing.narrow(0, 0, 1), given)._cast(self.dtype)
            given = one.expand(index.numel()).reshape(index.shape)
        return self.scatter_add(dim, index, given)

    def _scatter_number(self, dim: int, index: Self, value: Scalar) -> Self:
        if not self.ndim or not index.ndim:
            row = self.reshape(-1)._scatter_number(dim, index.reshape(-1), value)
            return row.reshape(self.shape)
        axis = normalize_axis(dim, self.ndim)
        self._cut_to(index, "scatter", except_axis=axis)
        return self._apply(scatter.ScatterFill(axis, value, index.extremes), self, index)

    def _cut_to(self, index: Self, name: str, except_axis: int | None = None) -> Self:
        """Return the part of this tensor that positions of a smaller shape speak of."""
        axes = [axis for axis in range(self.ndim) if axis != except_axis]
        if self.ndim != index.ndim or any(index.shape[a] > self.shape[a] for a in axes):
            raise ValueError(
                f"{name}: positions of shape {index.shape} do not fit shape {self.shape}"
                + ("" if except_axis is None else f" along axis {except_axis}")
            )
        if all(index.shape[axis] == self.shape[axis] for axis in axes):
            return self
        parts = [slice(0, n) for n in index.shape]
        if except_axis is not None:
            parts[except_axis] = slice(None)
        return self[tuple(parts)]
