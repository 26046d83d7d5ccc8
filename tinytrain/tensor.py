"""The tensor: an array, its gradient, and the node that made it."""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinytrain import autograd, backend
from tinytrain.autograd import NO_EDGES, Edge, Function, LeafGradient
from tinytrain.backend import Array, is_array
from tinytrain.ops import (
    arithmetic,
    elementwise,
    index,
    matmul,
    reduce,
    selection,
    shape,
    softmax,
    transfer,
)
from tinytrain.ops.promotion import NUMBERS, is_float, plain_number
from tinytrain.ops.reduce import Axes

Flag = bool  # the class below has methods of these two names
Number = float
Scalar = bool | int | float
Operand = Any  # a Tensor or a Scalar


class ValuesAndIndices(NamedTuple):
    """What `Tensor.max` and `Tensor.min` along one axis return."""

    values: "Tensor"
    indices: "Tensor"


def apply(function: Function, *inputs: Any) -> "Tensor":
    """Run an operation on tensors, and record it where a gradient will be wanted.

    Parameters
    ----------
    function : Function
        The operation, which becomes the node of the result.
    *inputs : Tensor, Python or NumPy number, or None
        A bare array is refused: whether it should be copied, moved or differentiated is the
        caller's decision, not a guess.

    Raises
    ------
    TypeError
        An input is none of these.
    RuntimeError
        The function object was applied before.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> apply(arithmetic.Mul(), x, x).node.name
    'Mul'
    """
    if function.edges is not NO_EDGES:
        raise RuntimeError(
            f"this {function.name} object is a node of a graph already: make one for each call"
        )
    arrays: list[Any] = []
    needs: list[bool] = []
    for value in inputs:  # plain loops here and below: this runs for every operation
        if isinstance(value, Tensor):
            arrays.append(value.data)
            needs.append(value._requires_grad)
        else:
            arrays.append(_constant(value, function))
            needs.append(False)
    if not (True in needs and function.differentiable and autograd.is_grad_enabled()):
        output = Tensor(function(*arrays))
        if function.rearranges and inputs[0]._known_range is not None:
            output.extremes = inputs[0].extremes
        return output
    function.needs = needs
    output = Tensor(function(*arrays))
    edges: list[Edge] = []
    shapes_and_dtypes: list[Any] = []
    for value, array, needed in zip(inputs, arrays, needs, strict=True):
        edges.append(value._edge() if needed else None)
        shapes_and_dtypes.append((array.shape, array.dtype) if needed else None)
    function.edges, function.inputs = edges, shapes_and_dtypes
    output.node = function
    output._requires_grad = True
    return output


def _constant(value: Any, function: Function) -> Any:
    value = plain_number(value)
    if value is None or isinstance(value, NUMBERS):
        return value
    if hasattr(value, "shape"):
        raise TypeError(
            f"{function.name} got a bare {type(value).__name__} of shape {value.shape}: wrap it "
            "with tt.tensor(...) (copies) or tt.from_numpy(...) (shares memory)"
        )
    raise TypeError(f"{function.name} cannot compute with a {type(value).__name__}: {value!r}")


class Tensor:
    """An array on some device that can take part in differentiation.

    Parameters
    ----------
    data : array
        Taken as it is, not copied. Users make tensors with `tinytrain.tensor`, which copies.
    requires_grad : bool
        Whether operations on it are recorded, so that `backward` fills `grad`.

    Attributes
    ----------
    data : array
        The live array of NumPy, CuPy or the mock GPU.
    node : Function or None
        The operation that made it; None for a leaf.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0], dtype=np.float32), requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.], dtype=float32, device=cpu)
    """

    __slots__ = ("__weakref__", "_known_range", "_leaf", "_requires_grad", "data", "node")
    __array_ufunc__ = None  # NumPy's operators leave arithmetic with tensors to the tensor

    def __init__(self, data: Array, requires_grad: Flag = False) -> None:
        if not is_array(data):
            raise TypeError(
                f"Tensor takes an array, got {type(data).__name__}; use tt.tensor({data!r})"
            )
        self.data = data
        self.node: Function | None = None
        self._leaf: LeafGradient | None = None
        self._known_range: tuple[Array, tuple[int, ...]] | None = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # ---------------------------------------------------------------- what it is

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
    def T(self) -> "Tensor":
        """The matrix transposed."""
        if self.ndim != 2:
            raise ValueError(f"T is for matrices; use permute(...) for shape {self.shape}")
        return self.transpose(0, 1)

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

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        values = np.array2string(backend.to_host(self.data), separator=", ", prefix="tensor(")
        parts = [values, f"dtype={self.dtype}", f"device={self.device}"]
        if self.requires_grad:
            parts.append("requires_grad=True")
        if self.node is not None:
            parts.append(f"op={self.node.name}")
        return f"tensor({', '.join(parts)})"

    def __format__(self, specification: str) -> str:
        return format(self.item() if self.ndim == 0 else repr(self), specification)

    # ---------------------------------------------------------------- differentiation

    @property
    def is_leaf(self) -> Flag:
        """Whether no recorded operation made it."""
        return self.node is None

    @property
    def requires_grad(self) -> Flag:
        """Whether operations on it are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: Flag) -> None:
        if not self.is_leaf:
            raise RuntimeError("requires_grad can be set on leaves only; use detach()")
        if value and not is_float(self.dtype):
            raise TypeError(f"only floating-point tensors can require gradients, not {self.dtype}")
        self._requires_grad = value

    def requires_grad_(self, requires_grad: Flag = True) -> "Tensor":
        """Set `requires_grad` and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> "Tensor | None":
        """The gradient collected so far; None until a backward pass reached this leaf."""
        if self._leaf is None or self._leaf.array is None:
            return None
        return Tensor(self._leaf.array)

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is None:
            if self._leaf is not None:
                self._leaf.clear()
            return
        self._check_gradient(value)
        self.leaf_gradient.set(value.data)

    @property
    def leaf_gradient(self) -> LeafGradient:
        """The place where this leaf's gradient is collected, for optimizers."""
        if self._leaf is None:
            self._leaf = LeafGradient()
        return self._leaf

    def _edge(self) -> Function | LeafGradient:
        return self.leaf_gradient if self.node is None else self.node

    def backward(self, gradient: "Tensor | None" = None, retain_graph: Flag = False) -> None:
        """Differentiate this tensor with respect to the leaves, adding to their `grad`.

        Parameters
        ----------
        gradient : Tensor, optional
            dL/d(this), of its shape and dtype; 1 for a tensor of one element.
        retain_graph : bool
            Keep what a second backward pass through the same graph needs.

        Raises
        ------
        RuntimeError
            It requires no gradient; it has several elements and no `gradient` was given; or its
            graph was freed by an earlier backward pass.
        ValueError, TypeError
            `gradient` has another shape or dtype.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward on a tensor that requires no gradient: nothing it was computed from "
                "requires one, or it was computed under no_grad"
            )
        if gradient is None:
            if self.numel() != 1:
                raise RuntimeError(
                    f"backward on a tensor of shape {self.shape} needs a gradient of that shape; "
                    "only a tensor of one element has an obvious one"
                )
            gradient = Tensor(backend.xp_of(self.data).ones(self.shape, dtype=self.dtype))
        self._check_gradient(gradient)
        if self.node is None:
            self.leaf_gradient.add(gradient.data)
        else:
            autograd.backward(self.node, gradient.data, retain_graph)

    def _check_gradient(self, gradient: "Tensor") -> None:
        if not isinstance(gradient, Tensor):
            raise TypeError(f"a gradient must be a Tensor, got {type(gradient).__name__}")
        if gradient.device != self.device:
            raise RuntimeError(
                f"a gradient on {gradient.device} for a tensor of shape {self.shape} on "
                f"{self.device}; {backend.REMEDY}"
            )
        if gradient.shape != self.shape:
            raise ValueError(f"gradient of shape {gradient.shape} for a tensor of {self.shape}")
        if gradient.dtype != self.dtype:
            raise TypeError(f"gradient of {gradient.dtype} for a tensor of {self.dtype}")

    def retain_grad(self) -> None:
        """Collect the gradient of an intermediate result in `grad` too."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad on a tensor that requires no gradient")
        if self.node is not None:
            self.node.retained = self.leaf_gradient

    def detach(self) -> "Tensor":
        """Return a tensor that shares the array but is cut off from the graph."""
        detached = Tensor(self.data)
        detached.extremes = self.extremes
        return detached

    def clone(self) -> "Tensor":
        """Return a copy, through which gradients flow."""
        return apply(elementwise.Copy(), self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if not self.is_leaf:
            raise RuntimeError("only leaves can be deep-copied; use detach() or clone()")
        copy = type(self).__new__(type(self))
        Tensor.__init__(copy, self.data.copy(), self.requires_grad)
        memo[id(self)] = copy
        copy.grad = self.grad
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise RuntimeError("only leaves can be pickled; use detach()")
        state = (
            None,
            {"data": self.data, "_requires_grad": self._requires_grad, "grad": self.grad},
        )
        return _blank, (type(self),), state

    # ---------------------------------------------------------------- leaving the device

    def item(self) -> Any:
        """Return the only element as a Python number; on a GPU this waits for the device."""
        if self.numel() != 1:
            raise ValueError(f"item() needs one element, got shape {self.shape}")
        return self.data.item()  # host: what the caller asks for

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return backend.to_host(self.data).tolist()

    def numpy(self) -> NDArray[Any]:
        """Return the elements as a NumPy array, which shares memory where they are on the CPU."""
        if self.requires_grad:
            raise RuntimeError("numpy() on a tensor that requires a gradient; use detach().numpy()")
        host: NDArray[Any] = backend.to_host(self.data)
        return host

    def __array__(self, dtype: Any = None, copy: Flag | None = None) -> NDArray[Any]:
        """Let NumPy, and what builds on it, read a host tensor that requires no gradient."""
        if self.device != "cpu":
            raise TypeError(f"a tensor on {self.device} is not copied silently: use cpu().numpy()")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __index__(self) -> int:
        if self.numel() != 1 or self.dtype.kind not in "iu":
            raise TypeError(f"only an integer tensor of one element is an index, not {self!r:.80}")
        return int(self.item())

    def __float__(self) -> Number:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> Flag:
        if self.numel() != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false: compare with ==, and "
                "reduce, for example with .sum()"
            )
        return bool(self.item())

    def cpu(self) -> "Tensor":
        """Return the tensor in host memory; itself, where it is there already."""
        return self if self.device == "cpu" else apply(transfer.ToHost(), self)

    def _to_device(self, device: str) -> "Tensor":
        """Return the tensor on a device; itself, where it is there already."""
        if device in ("cpu", self.device):
            return self if device == self.device else self.cpu()
        if device != backend.get_device():
            raise RuntimeError(
                f"to({device!r}) needs tt.set_device({device!r}) first: the chosen device is "
                f"{backend.get_device()!r}"
            )
        moved = apply(transfer.ToDevice(), self)
        if moved.extremes is None and self.dtype.kind in "iu":
            moved.extremes = index.extremes_of(backend.to_host(self.data))
        return moved

    # ---------------------------------------------------------------- dtypes

    def to(self, target: DTypeLike) -> "Tensor":
        """Return the tensor on another device or in another dtype; itself, if it is so already.

        Parameters
        ----------
        target : {"cpu", "cuda", "mock"} or dtype
            A GPU must have been chosen with `tinytrain.set_device`.
        """
        if isinstance(target, str) and target in backend.LIBRARY_NAMES:
            return self._to_device(target)
        wanted = np.dtype(target)
        if wanted == self.dtype:
            return self
        converted = apply(elementwise.Cast(wanted), self)
        if self.extremes is not None and wanted.kind in "iu":
            limits = np.iinfo(wanted)  # beyond them values wrap
            if all(limits.min <= value <= limits.max for value in self.extremes):
                converted.extremes = self.extremes
        return converted

    def float(self) -> "Tensor":
        """Return it in float32."""
        return self.to(np.float32)

    def double(self) -> "Tensor":
        """Return it in float64."""
        return self.to(np.float64)

    def long(self) -> "Tensor":
        """Return it in int64."""
        return self.to(np.int64)

    def bool(self) -> "Tensor":
        """Return whether each element differs from zero."""
        return self.to(np.bool_)

    # ---------------------------------------------------------------- arithmetic

    def __add__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Add(), self, other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Sub(), self, other)

    def __rsub__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Sub(), other, self)

    def __mul__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Mul(), self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Div(), self, other)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Div(), other, self)

    def __pow__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Pow(), self, other)

    def __rpow__(self, other: Operand) -> "Tensor":
        return apply(arithmetic.Pow(), other, self)

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return apply(matmul.Matmul(), self, other)

    def __neg__(self) -> "Tensor":
        return apply(elementwise.Neg(), self)

    def __abs__(self) -> "Tensor":
        return apply(elementwise.Abs(), self)

    def __and__(self, other: Operand) -> "Tensor":
        return apply(selection.Logical("bitwise_and"), self, other)

    def __or__(self, other: Operand) -> "Tensor":
        return apply(selection.Logical("bitwise_or"), self, other)

    def __invert__(self) -> "Tensor":
        return apply(selection.Invert(), self)

    # ---------------------------------------------------------------- comparison

    def __eq__(self, other: object) -> "Tensor":  # type: ignore[override]
        if not _is_operand(other):
            return NotImplemented
        return apply(selection.Comparison("=="), self, other)

    def __ne__(self, other: object) -> "Tensor":  # type: ignore[override]
        if not _is_operand(other):
            return NotImplemented
        return apply(selection.Comparison("!="), self, other)

    def __lt__(self, other: Operand) -> "Tensor":
        return apply(selection.Comparison("<"), self, other)

    def __le__(self, other: Operand) -> "Tensor":
        return apply(selection.Comparison("<="), self, other)

    def __gt__(self, other: Operand) -> "Tensor":
        return apply(selection.Comparison(">"), self, other)

    def __ge__(self, other: Operand) -> "Tensor":
        return apply(selection.Comparison(">="), self, other)

    __hash__ = object.__hash__

    # ---------------------------------------------------------------- elementwise functions

    def abs(self) -> "Tensor":
        """Return the absolute values."""
        return apply(elementwise.Abs(), self)

    def exp(self) -> "Tensor":
        """Return e to the power of each element."""
        return apply(elementwise.Exp(), self)

    def log(self) -> "Tensor":
        """Return the natural logarithms."""
        return apply(elementwise.Log(), self)

    def sqrt(self) -> "Tensor":
        """Return the square roots."""
        return apply(elementwise.Sqrt(), self)

    def tanh(self) -> "Tensor":
        """Return the hyperbolic tangents."""
        return apply(elementwise.Tanh(), self)

    def sigmoid(self) -> "Tensor":
        """Return 1 / (1 + e^-x)."""
        return apply(elementwise.Sigmoid(), self)

    def relu(self) -> "Tensor":
        """Return max(x, 0)."""
        return apply(elementwise.ReLU(), self)

    def clamp(self, min: Scalar | None = None, max: Scalar | None = None) -> "Tensor":
        """Limit the elements to a closed interval."""
        return apply(elementwise.Clamp(min, max), self)

    def masked_fill(self, mask: "Tensor", value: Scalar) -> "Tensor":
        """Replace the elements where a boolean mask is True."""
        return apply(selection.MaskedFill(value), self, mask)

    def softmax(self, dim: int) -> "Tensor":
        """Return e^x, normalised to sum to 1 along an axis."""
        return apply(softmax.Softmax(dim), self)

    def log_softmax(self, dim: int) -> "Tensor":
        """Return the logarithm of softmax."""
        return apply(softmax.LogSoftmax(dim), self)

    # ---------------------------------------------------------------- reductions
    # As in PyTorch, `axis` and `keepdims` are accepted as other names of `dim` and `keepdim`.

    def sum(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> "Tensor":
        """Add up the elements along axes."""
        return apply(reduce.Sum(_axes(dim, axis), keepdim or keepdims), self)

    def mean(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> "Tensor":
        """Average the elements along axes."""
        return apply(reduce.Mean(_axes(dim, axis), keepdim or keepdims), self)

    def var(
        self,
        dim: Axes = None,
        correction: Scalar = 1,
        keepdim: Flag = False,
        *,
        axis: Axes = None,
        keepdims: Flag = False,
    ) -> "Tensor":
        """Return the variance along axes, divided by n - correction."""
        return apply(reduce.Var(_axes(dim, axis), correction, keepdim or keepdims), self)

    def amax(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> "Tensor":
        """Return the largest elements along axes; ties share the gradient evenly."""
        return apply(reduce.Amax(_axes(dim, axis), keepdim or keepdims), self)

    def amin(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> "Tensor":
        """Return the smallest elements along axes; ties share the gradient evenly."""
        return apply(reduce.Amin(_axes(dim, axis), keepdim or keepdims), self)

    def max(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> Any:
        """Return the largest element; along one axis, values and their positions.

        Along one axis the gradient goes to the first of several largest; over all elements, and in
        `amax`, which also takes several axes, ties share it evenly.
        """
        return self._extreme(reduce.Amax, reduce.Argmax, _axes(dim, axis), keepdim or keepdims)

    def min(
        self, dim: Axes = None, keepdim: Flag = False, *, axis: Axes = None, keepdims: Flag = False
    ) -> Any:
        """Return the smallest element; along one axis, values and their positions (see `max`)."""
        return self._extreme(reduce.Amin, reduce.Argmin, _axes(dim, axis), keepdim or keepdims)

    def _extreme(
        self, extreme: type[reduce.Amax], position: type[reduce.Argmax], dim: Axes, keepdim: Flag
    ) -> Any:
        if isinstance(dim, Tensor):
            raise TypeError("max and min reduce one tensor; for two use tt.maximum or tt.minimum")
        if not isinstance(dim, int | np.integer):
            return apply(extreme(dim, keepdim), self)
        dim = int(dim)
        indices = apply(position(dim, True), self)
        source = self if self.ndim else self.reshape(1)
        positions = indices.data.reshape(indices.shape or (1,))  # in range, as argmax found them
        taken = apply(index.TakeAlong(positions, dim, extremes=()), source)
        if not self.ndim:
            return ValuesAndIndices(taken.reshape(()), indices)
        if keepdim:
            return ValuesAndIndices(taken, indices)
        return ValuesAndIndices(taken.squeeze(dim), indices.squeeze(dim))

    def argmax(self, dim: int | None = None, keepdim: Flag = False) -> "Tensor":
        """Return the positions of the largest elements."""
        return apply(reduce.Argmax(dim, keepdim), self)

    def argmin(self, dim: int | None = None, keepdim: Flag = False) -> "Tensor":
        """Return the positions of the smallest elements."""
        return apply(reduce.Argmin(dim, keepdim), self)

    def logsumexp(self, dim: Axes, keepdim: Flag = False) -> "Tensor":
        """Return log(sum(e^x)) along axes, without overflow."""
        return apply(softmax.LogSumExp(dim, keepdim), self)

    # ---------------------------------------------------------------- shapes

    def reshape(self, *sizes: Any) -> "Tensor":
        """Return the elements in another shape; one size may be -1."""
        return apply(shape.Reshape(_sizes(sizes)), self)

    view = reshape

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        """Merge consecutive axes into one."""
        start = reduce.normalize_axis(start_dim, self.ndim)
        end = reduce.normalize_axis(end_dim, self.ndim)
        if start > end:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        merged = math.prod(self.shape[start : end + 1])
        return self.reshape(*self.shape[:start], merged, *self.shape[end + 1 :])

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """Exchange two axes."""
        order = list(range(self.ndim))
        first = reduce.normalize_axis(dim0, self.ndim)
        second = reduce.normalize_axis(dim1, self.ndim)
        order[first : first + 1], order[second : second + 1] = (
            order[second : second + 1],
            order[first : first + 1],
        )
        return apply(shape.Permute(order), self)

    def permute(self, *order: Any) -> "Tensor":
        """Reorder the axes."""
        return apply(shape.Permute(_sizes(order)), self)

    def expand(self, *sizes: Any) -> "Tensor":
        """Broadcast axes of size 1 to larger sizes; -1 keeps a size."""
        return apply(shape.Expand(_sizes(sizes)), self)

    def squeeze(self, dim: Axes = None) -> "Tensor":
        """Take away axes of size 1: all of them, or those named."""
        axes = reduce.normalize_axes(dim, self.ndim) if self.ndim else ()
        kept = [n for i, n in enumerate(self.shape) if n != 1 or i not in axes]
        return self.reshape(kept)

    def unsqueeze(self, dim: int) -> "Tensor":
        """Add an axis of size 1."""
        position = reduce.normalize_axis(dim, self.ndim + 1)
        return self.reshape([*self.shape[:position], 1, *self.shape[position:]])

    def contiguous(self) -> "Tensor":
        """Return it with its elements in row order; itself, where they are already."""
        return self if self.data.flags.c_contiguous else self.clone()

    def split(
        self, split_size_or_sections: int | Sequence[int], dim: int = 0
    ) -> "tuple[Tensor, ...]":
        """Cut into pieces of a size (the last may be smaller), or of the sizes listed."""
        axis = reduce.normalize_axis(dim, self.ndim)
        total = self.shape[axis]
        if isinstance(split_size_or_sections, int | np.integer):
            step = int(split_size_or_sections)
            if step <= 0:
                raise ValueError(f"split needs a positive size, got {step}")
            sizes = [min(step, total - start) for start in range(0, max(total, 1), step)]
        else:
            sizes = list(split_size_or_sections)
        if sum(sizes) != total or min(sizes, default=0) < 0:
            raise ValueError(f"split sizes {sizes} do not add up to {total} (shape {self.shape})")
        starts = list(accumulate(sizes[:-1], initial=0))
        before = (slice(None),) * axis
        return tuple(
            self[(*before, slice(start, start + n))] for start, n in zip(starts, sizes, strict=True)
        )

    def __getitem__(self, where: Any) -> "Tensor":
        listed = where if isinstance(where, tuple) else (where,)
        parts, extremes = _index_parts(listed, self)
        if not any(map(is_array, parts)):
            return apply(index.Index(parts), self)
        if self.device != "cpu":
            index.check_index(parts, extremes, self.shape)
        if any(map(_is_integer, parts)):
            integers, arrays = _integers_first(parts)
            return apply(index.Index(arrays), apply(index.Index(integers), self))
        return apply(index.Index(parts), self)


def _blank(kind: type[Tensor]) -> Tensor:
    """Make an empty tensor for pickle to fill."""
    blank = kind.__new__(kind)
    Tensor.__init__(blank, np.zeros(0))  # host: pickle replaces it
    return blank


def _is_operand(value: object) -> bool:
    """Whether a value can be compared elementwise; a bare array is, to be refused with words."""
    return isinstance(value, Tensor | bool | int | float | np.generic) or hasattr(value, "shape")


def _axes(dim: Axes, axis: Axes) -> Axes:
    if dim is not None and axis is not None:
        raise TypeError(f"dim={dim} and axis={axis} are two names of one argument: give one")
    return axis if dim is None else dim


def _sizes(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    """Accept sizes one by one or as one sequence."""
    if len(arguments) == 1 and not isinstance(arguments[0], int | np.integer):
        return tuple(arguments[0])
    return arguments


def _is_integer(part: Any) -> Flag:
    return isinstance(part, int | np.integer) and not isinstance(part, Flag)


def _integers_first(parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Split an index in two, to be applied one after the other: integers, slices and None; arrays.

    NumPy counts an integer beside an array as an array too, and then moves axes to the front.
    """
    first: list[Any] = []
    second: list[Any] = []
    for part in parts:
        if is_array(part):
            covered = part.ndim if part.dtype == np.bool_ else 1
            first += [slice(None)] * covered
            second.append(part)
        else:
            first.append(part)
            if not _is_integer(part):
                second.append(part if part is Ellipsis else slice(None))
    return tuple(first), tuple(second)


def _index_parts(
    listed: Sequence[Any], tensor: Tensor
) -> tuple[tuple[Any, ...], list[tuple[int, ...] | None]]:
    """Bring the arrays of an index to the tensor's device, and tell the ranges that are known."""
    parts: list[Any] = []
    extremes: list[tuple[int, ...] | None] = []
    for given in listed:
        part, known = _as_index_array(given), getattr(given, "extremes", None)
        if isinstance(part, np.ndarray) and tensor.device != "cpu":
            known = index.extremes_of(part) if part.dtype.kind in "iu" else None
            part = backend.bring_beside(part, tensor.data)
        parts.append(part)
        extremes.append(known)
    return tuple(parts), extremes


def _as_index_array(part: Any) -> Any:
    """Turn tensors and sequences in an index into arrays."""
    if isinstance(part, Tensor):
        part = part.data
    elif isinstance(part, list | tuple | range):
        part = np.asarray(part, dtype=None if len(part) else np.int64)  # host: a list of numbers
    if is_array(part) and part.dtype.kind not in "iub":
        raise TypeError(f"an index must be of integers or booleans, got {part.dtype}")
    return part
