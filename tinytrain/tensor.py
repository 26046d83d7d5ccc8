"""The tensor: an array, its gradient, and the node that made it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike, NDArray

from tinytrain import autograd, backend
from tinytrain.autograd import NO_EDGES, Edge, Function, LeafGradient
from tinytrain.backend import Array, is_array
from tinytrain.in_place import held_by, share_hold
from tinytrain.ops import elementwise, index, transfer
from tinytrain.ops.promotion import NUMBERS, is_float, plain_number
from tinytrain.tensor_methods.arithmetic import ArithmeticMethods
from tinytrain.tensor_methods.base import Operand, Scalar
from tinytrain.tensor_methods.comparison import ComparisonMethods
from tinytrain.tensor_methods.elementwise import ElementwiseMethods
from tinytrain.tensor_methods.positions import PositionMethods
from tinytrain.tensor_methods.products import ProductMethods
from tinytrain.tensor_methods.reductions import ReductionMethods, ValuesAndIndices
from tinytrain.view_families import note_view

__all__ = ["Operand", "Scalar", "Tensor", "ValuesAndIndices", "apply"]

Flag = bool  # the class below has methods of these two names
Number = float


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
    >>> from tinytrain.ops import arithmetic
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
        if function.rearranges:
            source = inputs[0]._source
            note_view(output.data, arrays[0] if source is None else source)
            share_hold(output.data, arrays[0])
            if inputs[0]._known_range is not None:
                output.extremes = inputs[0].extremes
        return output
    function.needs = needs
    data = function(*arrays)
    edges: list[Edge] = []
    shapes_and_dtypes: list[Any] = []
    exposed: list[Array] = []  # the arrays of leaves, which somebody may write to
    for value, array, needed in zip(inputs, arrays, needs, strict=True):
        if needed:
            leaf = value.node is None
            edges.append(value.leaf_gradient if leaf else value.node)
            shapes_and_dtypes.append((array.shape, array.dtype))
        else:
            leaf = isinstance(value, Tensor)
            edges.append(None)
            shapes_and_dtypes.append(None)
        if leaf:
            exposed.append(array)
            if data is array:
                data = data[...]  # a view, which can be read-only while the input is not
    if isinstance(data, ndarray):
        data.setflags(False)  # type: ignore[call-arg]  # host: by position, which is faster
        if exposed and (function.saved or data.base is not None):
            function.holds = [*function.holds, *held_by(function, exposed, data)]
        output = Tensor.__new__(Tensor)  # without the checks of __init__
        output.data, output._leaf, output._known_range, output._source = data, None, None, None
    else:
        if exposed and (function.saved or function.rearranges):
            function.holds = [*function.holds, *held_by(function, exposed, data)]
        output = Tensor(data)
    if function.rearranges:
        source = arrays[0] if inputs[0].node is None else inputs[0]._source
        if source is not None and getattr(data, "base", source) is not None:  # looked at if needed
            output._source = source
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


class Tensor(
    ArithmeticMethods,
    ComparisonMethods,
    ElementwiseMethods,
    ProductMethods,
    ReductionMethods,
    PositionMethods,
):
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
        The live array of NumPy, CuPy or the mock GPU. NumPy's is read-only while a pending backward
        needs it, and for good where a recorded operation made it.
    node : Function or None
        The operation that made it; None for a leaf.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0], dtype=np.float32), requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.], dtype=float32, device=cpu)
    """

    __slots__ = ("__weakref__", "_leaf", "_requires_grad", "_source", "node")
    _source: Array | None  # the leaf's array of which recorded operations made this a view
    _apply = staticmethod(apply)  # without a call in between
    __array_ufunc__ = None  # NumPy's operators leave arithmetic with tensors to the tensor

    def __init__(self, data: Array, requires_grad: Flag = False) -> None:
        if not is_array(data):
            raise TypeError(
                f"Tensor takes an array, got {type(data).__name__}; use tt.tensor({data!r})"
            )
        self.data = data
        self.node: Function | None = None
        self._leaf: LeafGradient | None = None
        self._known_range = self._source = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

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
            for watcher in autograd.watchers():
                watcher.before_walk(self.node, self.data)
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
        if self._source is not None:
            note_view(self.data, self._source)
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
        converted = self._cast(target)
        if converted is not self and self.extremes is not None and converted.dtype.kind in "iu":
            limits = np.iinfo(converted.dtype)  # beyond them values wrap
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


def _blank(kind: type[Tensor]) -> Tensor:
    """Make an empty tensor for pickle to fill."""
    blank = kind.__new__(kind)
    Tensor.__init__(blank, np.zeros(0))  # host: pickle replaces it
    return blank
