"""What every family of methods stands on: an array, what it is, and the way to an operation."""

from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from tinytrain import backend
from tinytrain.autograd import Function
from tinytrain.backend import Array
from tinytrain.ops import elementwise

Scalar = bool | int | float
Operand = Any  # a Tensor or a Scalar


class TensorBase:
    """An array and what is known of it. `Tensor` is the one class that is built on it."""

    __slots__ = ("_known_range", "data")

    data: Array
    _known_range: tuple[Array, tuple[int, ...]] | None
    _requires_grad: bool

    def _apply(self, function: Function, *inputs: Any) -> Self:
        """Run an operation on tensors; `Tensor` has `tinytrain.tensor.apply` in this place."""
        raise NotImplementedError("only a Tensor can run operations")

    def _cast(self, dtype: DTypeLike | None) -> Self:
        """Return it in another dtype; itself for None and for the dtype it has."""
        if dtype is None or np.dtype(dtype) == self.dtype:
            return self
        return self._apply(elementwise.Cast(np.dtype(dtype)), self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where its array lives: ``"cpu"``, ``"cuda"`` or ``"mock"``."""
        return backend.device_of(self.data)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim  # type: ignore[no-any-return]

    @property
    def extremes(self) -> tuple[int, ...] | None:
        """The ends of the range in which its integers lie, where that is known without looking.

        On a GPU, looking would mean waiting: so the range is written down when integers are copied
        there, and stays known through indexing and reshaping. See `ops.index.extremes_of`.
        """
        if self._known_range is None or self._known_range[0] is not self.data:
            return None
        return self._known_range[1]

    @extremes.setter
    def extremes(self, values: tuple[int, ...] | None) -> None:
        self._known_range = None if values is None else (self.data, values)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        return self.data.size  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]
