"""Sums, extremes and the like along axes."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from tinytrain.autograd import is_grad_enabled
from tinytrain.ops import accumulate, arithmetic, index, logic, norm, order, reduce, softmax
from tinytrain.ops.promotion import is_float
from tinytrain.ops.reduce import Axes
from tinytrain.tensor_methods.base import Scalar, TensorBase
from tinytrain.tensor_methods.shapes import ShapeMethods


class ValuesAndIndices(NamedTuple):
    """What `max`, `min`, `sort` and `topk` return: tensors of values and of their positions."""

    values: Any
    indices: Any


class ReductionMethods(ShapeMethods):
    """Sums, means, extremes, norms and order along axes.

    As in PyTorch, `axis` and `keepdims` are accepted as other names of `dim` and `keepdim`.
    """

    __slots__ = ()

    def sum(
        self,
        dim: Axes = None,
        keepdim: bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: Axes = None,
        keepdims: bool = False,
    ) -> Self:
        """Add up the elements along axes, in `dtype`.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.sum`.
        """
        self._refuse_integers("sum", dtype)
        operation = reduce.Sum(_axes(dim, axis), keepdim or keepdims)
        total = self._apply(operation, self._cast(dtype))
        return total if dtype is None else total._cast(dtype)

    def mean(
        self,
        dim: Axes = None,
        keepdim: bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: Axes = None,
        keepdims: bool = False,
    ) -> Self:
        """Average the elements along axes, in `dtype`.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.mean`.
        """
        return self._apply(reduce.Mean(_axes(dim, axis), keepdim or keepdims), self._cast(dtype))

    def prod(
        self,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: int | None = None,
        keepdims: bool = False,
    ) -> Self:
        """Multiply the elements, all or along one axis, in `dtype`.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.prod`.
        """
        self._refuse_integers("prod", dtype)
        operation = accumulate.Prod(_axes(dim, axis), keepdim or keepdims)
        product = self._apply(operation, self._cast(dtype))
        return product if dtype is None else product._cast(dtype)

    def var(
        self,
        dim: Axes | bool = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Scalar | None = None,
        axis: Axes = None,
        keepdims: bool = False,
    ) -> Self:
        """Return the variance along axes, divided by n - correction.

        The older `unbiased` stands for a correction of 1 or 0; 1 where neither is given.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.var`.
        """
        axes, correction = _axes_and_correction(dim, axis, unbiased, correction)
        return self._apply(reduce.Var(axes, correction, keepdim or keepdims), self)

    def std(
        self,
        dim: Axes | bool = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Scalar | None = None,
        axis: Axes = None,
        keepdims: bool = False,
    ) -> Self:
        """Return the standard deviation, the root of `var`.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.std`.
        """
        axes, correction = _axes_and_correction(dim, axis, unbiased, correction)
        return self._apply(reduce.Std(axes, correction, keepdim or keepdims), self)

    def _refuse_integers(self, name: str, dtype: DTypeLike | None) -> None:
        """Raise where a reduction in integers would cut off a gradient that is wanted."""
        if dtype is None or not self._requires_grad or not is_grad_enabled():
            return
        if not is_float(np.dtype(dtype)):
            raise RuntimeError(
                f"{name} in {np.dtype(dtype)} of a tensor that requires a gradient: integers have "
                "none; say so with detach()"
            )

    def norm(
        self,
        p: Scalar | str | None = "fro",
        dim: Axes = None,
        keepdim: bool = False,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Return the p-norm of the elements along axes: (sum |x|^p)^(1/p); "fro" is p = 2.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.norm`.
        """
        if isinstance(p, str) and p != "fro":
            raise ValueError(f"norm: p must be a number or 'fro', not {p!r}")
        order = 2 if p is None or isinstance(p, str) else p
        return self._apply(norm.Norm(order, dim, keepdim), self._cast(dtype))

    def all(
        self, dim: Axes = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Self:
        """Return whether all elements along axes differ from 0.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.all`.
        """
        return self._apply(logic.All(_axes(dim, axis), keepdim or keepdims), self)

    def any(
        self, dim: Axes = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Self:
        """Return whether an element along axes differs from 0.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.any`.
        """
        return self._apply(logic.Any(_axes(dim, axis), keepdim or keepdims), self)

    def cumsum(self, dim: int, dtype: DTypeLike | None = None) -> Self:
        """Return the sums of the first 1, 2, ... elements along an axis, in `dtype`.

        Any shape in, the same out; errors as for `tinytrain.cumsum`.
        """
        self._refuse_integers("cumsum", dtype)
        sums = self._apply(accumulate.Cumsum(dim), self._cast(dtype))
        return sums if dtype is None else sums._cast(dtype)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Self:
        """Return the positions of the elements in order; equal ones always keep their order.

        Any shape in, the same out; errors as for `tinytrain.argsort`.
        """
        return self._apply(order.Argsort(dim, descending), self)

    def sort(
        self, dim: int = -1, descending: bool = False, stable: bool = False
    ) -> ValuesAndIndices:
        """Return the elements in order along an axis, and their positions before.

        Equal elements always keep their order (`stable` says nothing more), NaN is the largest.

        Any shape in, the same out; errors as for `tinytrain.sort`.
        """
        indices = self.argsort(dim, descending)
        return ValuesAndIndices(self._at(indices, dim), indices)

    def topk(
        self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> ValuesAndIndices:
        """Return the k largest or smallest elements along an axis in order, and their positions.

        From (..., N) to (..., k), for the last axis; errors as for `tinytrain.topk`.
        """
        size = self.shape[reduce.normalize_axis(dim, self.ndim)] if self.ndim else 1
        if isinstance(k, bool) or not isinstance(k, int | np.integer):
            raise TypeError(f"topk: k must be an integer, got {k!r}")
        if not 0 <= k <= size:
            raise ValueError(f"topk: k = {k} of axis {dim} of shape {self.shape}")
        indices = self.argsort(dim, descending=largest)
        if self.ndim:
            indices = indices.narrow(dim, 0, k)
        return ValuesAndIndices(self._at(indices, dim), indices)

    def _at(self, indices: Self, dim: int) -> Self:
        """Take the elements at positions that an operation found, and that are therefore right."""
        if not self.ndim:
            taken = index.TakeAlong(dim, extremes=())
            return self._apply(taken, self.reshape(1), indices.reshape(1)).reshape(())
        return self._apply(index.TakeAlong(dim, extremes=()), self, indices)

    def amax(
        self, dim: Axes = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Self:
        """Return the largest elements along axes; ties share the gradient evenly.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.amax`.
        """
        return self._apply(reduce.Amax(_axes(dim, axis), keepdim or keepdims), self)

    def amin(
        self, dim: Axes = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Self:
        """Return the smallest elements along axes; ties share the gradient evenly.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.amin`.
        """
        return self._apply(reduce.Amin(_axes(dim, axis), keepdim or keepdims), self)

    def max(
        self, dim: Any = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Any:
        """Return the largest element; along one axis, values and positions; of two, `maximum`.

        Along one axis the gradient goes to the first of several largest; over all elements, and in
        `amax`, which also takes several axes, ties share it evenly.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.max`.
        """
        return self._extreme(reduce.Amax, reduce.Argmax, _axes(dim, axis), keepdim or keepdims)

    def min(
        self, dim: Any = None, keepdim: bool = False, *, axis: Axes = None, keepdims: bool = False
    ) -> Any:
        """Return the smallest element; along one axis, values and their positions (see `max`).

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.min`.
        """
        return self._extreme(reduce.Amin, reduce.Argmin, _axes(dim, axis), keepdim or keepdims)

    def _extreme(
        self, extreme: type[reduce.Amax], position: type[reduce.Argmax], dim: Any, keepdim: bool
    ) -> Any:
        if isinstance(dim, TensorBase):
            two = arithmetic.Maximum() if extreme is reduce.Amax else arithmetic.Minimum()
            return self._apply(two, self, dim)
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
            return self._apply(extreme(dim, keepdim), self)
        dim = int(dim)
        indices = self._apply(position(dim, True), self)
        taken = self._at(indices, dim)
        if keepdim or not self.ndim:
            return ValuesAndIndices(taken, indices)
        return ValuesAndIndices(taken.squeeze(dim), indices.squeeze(dim))

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Return the positions of the largest elements.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.argmax`.
        """
        self._refuse_booleans("argmax")
        return self._apply(reduce.Argmax(dim, keepdim), self)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Return the positions of the smallest elements.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.argmin`.
        """
        self._refuse_booleans("argmin")
        return self._apply(reduce.Argmin(dim, keepdim), self)

    def _refuse_booleans(self, name: str) -> None:
        if self.dtype == np.bool_:
            raise TypeError(f"{name} is for numbers, not for booleans: use .long() first")

    def logsumexp(self, dim: Axes, keepdim: bool = False) -> Self:
        """Return log(sum(e^x)) along axes, without overflow.

        Reduced axes are missing in the result, or have size 1 with `keepdim`; errors as for
        `tinytrain.logsumexp`.
        """
        return self._apply(softmax.LogSumExp(dim, keepdim), self)


def _axes(dim: Axes, axis: Axes) -> Axes:
    if dim is not None and axis is not None:
        raise TypeError(f"dim={dim} and axis={axis} are two names of one argument: give one")
    return axis if dim is None else dim


def _axes_and_correction(
    dim: Axes | bool, axis: Axes, unbiased: bool | None, correction: Scalar | None
) -> tuple[Axes, Scalar]:
    """Sort out the ways in which PyTorch lets one say what a variance is divided by."""
    if isinstance(dim, bool):  # x.var(False)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(
            f"unbiased={unbiased} and correction={correction} are two names of one argument: "
            "give one"
        )
    if unbiased is not None:
        correction = int(unbiased)
    return _axes(dim, axis), 1 if correction is None else correction
