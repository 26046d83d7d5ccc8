"""Reverse-mode automatic differentiation: operations as nodes, and the walk backwards.

An operation is an object, and the object is the node of the graph. It computes on raw arrays; the
`Tensor` that users hold is made a floor above. Edges lead from a node to the nodes of its inputs,
or to the `LeafGradient` where a leaf tensor collects its gradient. They never lead to tensors, so
an intermediate array stays in memory only if some operation saved it.

The one ownership rule: *a backward may return its argument or a view of it, and nobody writes into
an array that it did not allocate.*
"""

import inspect
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, ClassVar, ParamSpec, TypeAlias, TypeVar

from tinytrain.backend import REMEDY, Array, as_array, device_of, xp_of
from tinytrain.in_place import Hold, changed_array_error, writable

P = ParamSpec("P")
R = TypeVar("R")


class LeafGradient:
    """The place where the gradient of one tensor is collected over backward passes.

    Attributes
    ----------
    array : array or None
        The sum of the contributions so far; None until the first one arrives.
    view : array or None
        Where the gradient must live: a piece of an optimizer's flat buffer. Without one the
        gradient gets an array of its own.
    owner : object or None
        A weak reference to the flat buffer that `view` belongs to.
    """

    __slots__ = ("array", "owner", "view")

    def __init__(self) -> None:
        self.array: Array | None = None
        self.view: Array | None = None
        self.owner: Any = None

    def add(self, contribution: Array) -> None:
        """Add a contribution. The first is copied, because it may be shared with other leaves."""
        if self.array is None:
            self.set(contribution)
        else:
            sum_so_far = writable(self.array)
            sum_so_far += contribution

    def set(self, gradient: Array) -> None:
        """Replace what was collected by a copy of `gradient`."""
        if self.view is None:
            self.array = gradient.copy()
        else:
            writable(self.view)[...] = gradient
            self.array = self.view

    def clear(self) -> None:
        """Forget what was collected; the next contribution overwrites."""
        self.array = None


Edge: TypeAlias = "Function | LeafGradient | None"
NO_EDGES: tuple[Edge, ...] = ()
"""What an operation has before it becomes a node; after the walk has passed it has None."""


class Function:
    """One differentiable operation, and the node it leaves in the graph.

    A subclass writes mathematics only::

        class Mul(Function):
            broadcasts = True

            def forward(self, x, y):
                self.save(x, y)
                return x * y

            def backward(self, gradient):
                x, y = self.saved
                return gradient * y, gradient * x

    Settings that are not arrays (an axis, a slope) belong to the subclass's ``__init__``.
    `backward` gets dL/d(output) and returns dL/d(input) for each input, None where there is none.

    Attributes
    ----------
    needs : sequence of bool
        Which inputs want a gradient; all False while gradients are off. Set before `forward`, so
        that both directions can skip needless work.
    saved : tuple
        What `forward` kept for `backward`.
    broadcasts : bool
        Whether inputs may be broadcast. Their gradients are then summed back to the inputs' shapes
        by this base class; for other operations a gradient of another shape is an error.
    differentiable : bool
        False for comparisons and the like: their outputs never require gradients.
    rearranges : bool
        True where the output holds values of the first input only, or is a view of it: what is
        known about their range stays known, and a view is noted (`tinytrain.view_families`).
    is_loss : bool
        True for losses: an infinite one is an anomaly, whatever came in.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Double(Function):
    ...     def forward(self, x):
    ...         return 2 * x
    ...
    ...     def backward(self, gradient):
    ...         return 2 * gradient
    >>> x = tt.tensor([1.0, 3.0], requires_grad=True)
    >>> tt.apply(Double(), x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 2.0]
    """

    broadcasts: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    rearranges: ClassVar[bool] = False
    is_loss: ClassVar[bool] = False

    needs: Sequence[bool] = ()
    saved: tuple[Any, ...] = ()
    edges: Sequence[Edge] | None = NO_EDGES
    inputs: Sequence[Any] = ()  # shape and dtype of each input that wants a gradient
    holds: Sequence[Hold] = ()  # on what the node needs and others could change
    retained: LeafGradient | None = None  # where retain_grad() wants the output's gradient
    recompute: Callable[[], None] | None = None  # brings `saved` back: see `memory.recompute`

    forward: Callable[..., Array]
    backward: Callable[[Array], Any]

    def save(self, *values: Any) -> None:
        """Keep values for `backward`.

        Inputs kept so cannot change in the meantime: see `tinytrain.in_place`. What is kept
        elsewhere, as an attribute, is not looked after.
        """
        self.saved = values

    @property
    def name(self) -> str:
        """The name of the operation, as messages and `repr` show it."""
        return type(self).__name__

    def __call__(self, *inputs: Any) -> Array:
        """Run `forward` on raw arrays; an error carries the operation's name and inputs."""
        try:
            output = self.forward(*inputs)
        except Exception as error:
            if problem := self._devices_differ(inputs):
                raise RuntimeError(problem) from error
            error.add_note(f"in operation {self.name}({', '.join(map(describe, inputs))})")
            raise
        output = as_array(output)
        for watcher in _mode.watchers:
            watcher.after_forward(self, inputs, output)
        return output

    def _devices_differ(self, inputs: Sequence[Any]) -> str | None:
        """Say so if the arrays live on different devices. Asked once something went wrong: mixed
        devices always do, and to ask before every operation would cost all of them time.
        """
        arrays = {i: value for i, value in enumerate(inputs) if hasattr(value, "shape")}
        if len({device_of(array) for array in arrays.values()}) < 2:
            return None
        named = (f"{self._argument_name(i)} is {describe(array)}" for i, array in arrays.items())
        return f"{self.name}: the arguments are on different devices: {', '.join(named)}; {REMEDY}"

    def _argument_name(self, position: int) -> str:
        names = inspect.getfullargspec(self.forward)
        own = names.args[1:]  # without self
        return own[position] if position < len(own) else f"{names.varargs}[{position - len(own)}]"

    def input_gradients(self, gradient: Array) -> list[Array | None]:
        """Run `backward` and hold its results against the inputs' shapes and dtypes.

        Raises
        ------
        RuntimeError
            The number of gradients or a shape is wrong: a fault of the operation.
        """
        results = self.backward(gradient)
        if not isinstance(results, tuple):
            results = (results,)
        if len(results) != len(self.inputs):
            raise RuntimeError(
                f"{self.name}.backward returned {len(results)} gradients for "
                f"{len(self.inputs)} inputs; return None where there is none"
            )
        checked: list[Array | None] = [None] * len(results)
        for position, result in enumerate(results):
            if result is None or not self.needs[position]:
                continue
            shape, dtype = self.inputs[position]
            fits = shape and result.shape == shape and result.dtype == dtype
            checked[position] = result if fits else self._fit(position, result)
        return checked

    def _fit(self, position: int, gradient: Array) -> Array:
        shape, dtype = self.inputs[position]
        if gradient.shape != shape:
            if not (self.broadcasts and _broadcasts_to(shape, gradient.shape)):
                raise RuntimeError(
                    f"{self.name}.backward returned a gradient of shape {gradient.shape} for "
                    f"input {position} of shape {shape}"
                )
            gradient = unbroadcast(gradient, shape)
        if gradient.dtype != dtype:
            gradient = gradient.astype(dtype)
        return as_array(gradient)

    def check_holds(self) -> None:
        """Raise RuntimeError if an array that `backward` needs was changed since `forward`."""
        for held in self.holds:
            if held.changed:
                raise changed_array_error(self.name, held)

    def release(self) -> None:
        """Drop saved arrays and edges once the walk has passed."""
        self.saved = ()
        if self.holds:
            self.holds = ()
        self.edges = None
        if self.recompute is not None:
            self.recompute = None


def kept_by(node: Function) -> list[Any]:
    """List what a node keeps for backward: `saved`, and whatever it set as attributes."""
    return [value for name, value in vars(node).items() if name not in ("edges", "inputs")]


def describe(value: object) -> str:
    """Describe an input for an error message: dtype, shape and device of an array.

    Examples
    --------
    >>> import numpy as np
    >>> describe(np.zeros((2, 3), dtype=np.float32)), describe(2.5)
    ('float32 (2, 3) on cpu', '2.5')
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {value.shape} on {device_of(value)}"
    return repr(value)


def _broadcasts_to(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    missing = len(larger) - len(shape)
    return missing >= 0 and all(
        size in (1, wanted) for size, wanted in zip(shape, larger[missing:], strict=True)
    )


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its input of `shape` was broadcast.

    Parameters
    ----------
    gradient : array
        Of the broadcast shape.
    shape : tuple of int
        Of the input; it must broadcast to the gradient's shape.

    Examples
    --------
    >>> import numpy as np
    >>> unbroadcast(np.ones((4, 3)), (1, 3))
    array([[4., 4., 4.]])
    >>> unbroadcast(np.ones((4, 3)), ())
    np.float64(12.0)
    """
    added = gradient.ndim - len(shape)
    if added > 0:
        gradient = gradient.sum(axis=tuple(range(added)))
    stretched = tuple(
        axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1
    )
    if stretched:
        gradient = gradient.sum(axis=stretched, keepdims=True)
    return gradient


def backward(root: Function, gradient: Array, retain_graph: bool = False) -> None:
    """Walk the graph from `root` to its leaves and add each leaf's gradient to its `LeafGradient`.

    Every node runs exactly once, when all its consumers have run, so the time grows linearly with
    the number of edges however often nodes are shared. The walk keeps its own list of what is
    ready: a graph may be deeper than Python's recursion limit.

    Parameters
    ----------
    root : Function
        The node whose output is differentiated.
    gradient : array
        dL/d(output of root), of the output's shape and dtype.
    retain_graph : bool
        Keep saved arrays, for another backward pass through the same graph.

    Raises
    ------
    RuntimeError
        A part of the graph was freed by an earlier backward pass, or an array that it needs was
        changed in place. Nothing has been added then.

    References
    ----------
    A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., chapter 3 (reverse mode).
    """
    looking_on = _mode.watchers
    waiting_for = _count_consumers(root, looking_on)
    gradients: dict[Function, Array] = {root: gradient}
    summed: set[Function] = set()  # nodes whose entry in `gradients` this walk allocated
    ready = [root]
    while ready:
        node = ready.pop()
        edges = node.edges or ()
        contributions = _run(node, gradients.pop(node, None), looking_on)
        if not retain_graph:
            node.release()
        for edge, contribution in zip(edges, contributions, strict=True):
            if isinstance(edge, LeafGradient):
                if contribution is not None:
                    edge.add(contribution)
                    for watcher in looking_on:
                        watcher.after_leaf(edge)
            elif edge is not None:
                if contribution is not None:
                    _accumulate(gradients, summed, edge, contribution)
                waiting_for[edge] -= 1
                if not waiting_for[edge]:
                    ready.append(edge)
        contributions.clear()
        contribution = None  # what a leaf has copied must not live through the next backward


def _count_consumers(root: Function, looking_on: "Sequence[Watcher]") -> dict[Function, int]:
    """Count, for every node below root, the edges that lead to it."""
    count = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.edges is None:
            raise RuntimeError(
                f"backward reached {node.name}, whose part of the graph was freed by an earlier "
                "backward pass; call the first backward with retain_graph=True, or run the "
                "forward pass again"
            )
        if node.holds and not looking_on:  # who will look closer, when the walk gets there
            node.check_holds()
        for edge in node.edges:
            if not isinstance(edge, Function):
                continue
            if edge in count:
                count[edge] += 1
            else:
                count[edge] = 1
                stack.append(edge)
    return count


def _run(
    node: Function, gradient: Array | None, looking_on: "Sequence[Watcher]"
) -> list[Array | None]:
    """Give the gradients of one node's inputs; none where no gradient reached the node."""
    if gradient is None:
        return [None] * len(node.inputs)
    if node.retained is not None:
        node.retained.add(gradient)
    if node.recompute is not None:
        node.recompute()
    if looking_on:
        for watcher in looking_on:
            watcher.before_backward(node, gradient)  # it may say more of a change than what follows
        node.check_holds()
    try:
        results = node.input_gradients(gradient)
    except Exception as error:
        error.add_note(f"in the backward of {node.name}, gradient {describe(gradient)}")
        raise
    for watcher in looking_on:
        watcher.after_backward(node, results)
    return results


def _accumulate(
    gradients: dict[Function, Array], summed: set[Function], node: Function, contribution: Array
) -> None:
    """Keep the first contribution as it came, allocate the sum at the second, then add in place."""
    earlier = gradients.get(node)
    if earlier is None:
        gradients[node] = contribution
    elif node in summed:
        xp_of(earlier).add(earlier, contribution, out=earlier)
    else:
        gradients[node] = as_array(earlier + contribution)
        summed.add(node)


class Watcher:
    """Who looks on while operations run: see `tinytrain.anomaly` and `tinytrain.memory.ledger`.

    Each method is called at its moment; those that a subclass leaves alone do nothing.
    """

    def after_forward(self, node: Function, inputs: Sequence[Any], output: Array) -> None:
        """Look at what an operation computed."""

    def before_walk(self, root: Function, output: Array) -> None:
        """Look at what is about to be differentiated."""

    def before_backward(self, node: Function, gradient: Array) -> None:
        """Look at the gradient that reached a node, and at what the node saved."""

    def after_backward(self, node: Function, results: Sequence[Array | None]) -> None:
        """Look at the gradients of a node's inputs."""

    def after_update(self, optimizer: str, parameters: Sequence[tuple[str, Array]]) -> None:
        """Look at parameters, by name, that an optimizer's step has changed."""

    def after_leaf(self, leaf: LeafGradient) -> None:
        """Look at a leaf that has got a contribution."""


class _Mode(threading.local):
    """Whether operations record nodes, and who looks on; every thread has its own."""

    enabled = True
    watchers: tuple[Watcher, ...] = ()


_mode = _Mode()


def add_watcher(watcher: Watcher) -> None:
    """Let a watcher look on in this thread, after those that do so already."""
    _mode.watchers = (*_mode.watchers, watcher)


def remove_watcher(watcher: Watcher) -> None:
    """Let a watcher look on no more in this thread; nothing happens if it does not."""
    _mode.watchers = tuple(other for other in _mode.watchers if other is not watcher)


def watchers() -> tuple[Watcher, ...]:
    """Return who looks on in this thread."""
    return _mode.watchers


def is_grad_enabled() -> bool:
    """Return whether operations of this thread record the graph.

    Examples
    --------
    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return _mode.enabled


class _SwitchGradients:
    """Set the mode for a block or a function, and restore what was there before."""

    enabled: ClassVar[bool]

    def __init__(self) -> None:
        self._before: list[bool] = []  # a stack: one object may be entered again inside itself

    def __enter__(self) -> None:
        self._before.append(_mode.enabled)
        _mode.enabled = self.enabled

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _mode.enabled = self._before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{type(self).__name__} cannot decorate {function.__qualname__}: its body runs "
                "after the call; put a with block inside"
            )

        @wraps(function)
        def switched(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():  # a fresh one: calls may nest or run in several threads
                return function(*args, **kwargs)

        return switched


class no_grad(_SwitchGradients):
    """Record no graph in a ``with`` block or in a decorated function.

    Examples
    --------
    >>> @no_grad()
    ... def evaluate():
    ...     return is_grad_enabled()
    >>> evaluate(), is_grad_enabled()
    (False, True)
    """

    enabled = False


class enable_grad(_SwitchGradients):
    """Record the graph again inside a `no_grad` block.

    Examples
    --------
    >>> with no_grad(), enable_grad():
    ...     is_grad_enabled()
    True
    """

    enabled = True
