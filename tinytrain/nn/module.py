"""The base of all layers: parameters, buffers and sub-layers, found by their attribute names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from tinytrain import backend
from tinytrain.nn.notes import note_layer
from tinytrain.nn.parameter import Parameter
from tinytrain.nn.state import IncompatibleKeys, load
from tinytrain.tensor import Tensor

__all__ = ["Module", "Parameter"]


class Module:
    """A layer or a model.

    Assign parameters, buffers (with `register_buffer`) and other modules to attributes, and write
    `forward`. They are found by reading the attributes in the order of assignment: nothing is
    registered behind the scenes.

    Attributes
    ----------
    training : bool
        Whether layers such as dropout and batch normalisation behave as in training.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(tt.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True
    _buffer_names: tuple[str, ...] = ()

    forward: Callable[..., Any]

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """Run `forward`. An error carries notes that name the layers, from the inside out."""
        try:
            return self.forward(*inputs, **settings)
        except Exception as error:
            note_layer(error, self, inputs, settings)
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign, but refuse to put what would not be trained in the place of a parameter."""
        replaced = isinstance(vars(self).get(name), Parameter)
        if replaced and value is not None and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter; a {type(value).__name__} in its "
                "place would not be trained: assign nn.Parameter(...), or write to .data"
            )
        super().__setattr__(name, value)

    # ---------------------------------------------------------------- what it holds

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor that is state but not trained, such as running statistics.

        Raises
        ------
        TypeError
            `tensor` is no plain Tensor.
        ValueError
            The name is no identifier, or the module has something else under it.

        Examples
        --------
        >>> import tinytrain as tt
        >>> layer = Module()
        >>> layer.register_buffer("mean", tt.zeros(2))
        >>> layer.mean
        tensor([0., 0.], dtype=float32, device=cpu)
        """
        if not isinstance(tensor, Tensor) or isinstance(tensor, Parameter):
            raise TypeError(f"buffer {name!r} must be a plain Tensor, got {type(tensor).__name__}")
        if not name.isidentifier():
            raise ValueError(f"a buffer's name must be an identifier, got {name!r}")
        if name not in self._buffer_names:
            if hasattr(self, name):
                raise ValueError(f"{type(self).__name__} has an attribute {name!r} already")
            self._buffer_names = (*self._buffer_names, name)
        setattr(self, name, tensor)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules assigned to attributes, by attribute name.

        Raises
        ------
        TypeError
            An attribute is a list, tuple, set or dict that holds modules or parameters, which would
            be missed.
        """
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif _hides_modules(value):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a {type(value).__name__} that holds "
                    f"modules or parameters, which would not be trained: use nn.{_instead(value)}"
                )

    def children(self) -> Iterator["Module"]:
        """Yield each module assigned to an attribute once."""
        return iter(dict.fromkeys(child for _, child in self.named_children()))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            dot = f"{name}." if name else ""
            children = list(module.named_children())
            stack.extend((dot + child_name, child) for child_name, child in reversed(children))

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _all_named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield parameters and buffers under every name they have (tied ones have several)."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value
            elif name in self._buffer_names:
                if not isinstance(value, Tensor):
                    raise TypeError(
                        f"{type(self).__name__}.{name} is registered as a buffer and must be a "
                        f"Tensor, but a {type(value).__name__} was assigned to it"
                    )
                yield name, value
        for child_name, child in self.named_children():
            for name, value in child._all_named_tensors():
                yield f"{child_name}.{name}", value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter once, under its first dotted name."""
        seen: set[int] = set()
        for name, value in self._all_named_tensors():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """Yield each parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each buffer once, under its first dotted name."""
        seen: set[int] = set()
        for name, value in self._all_named_tensors():
            if not isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def buffers(self) -> Iterator[Tensor]:
        """Yield each buffer once."""
        return (buffer for _, buffer in self.named_buffers())

    def num_parameters(self) -> int:
        """Return the number of values in all parameters, frozen ones too; tied ones count once.

        Examples
        --------
        >>> import tinytrain as tt
        >>> tt.nn.Linear(4, 3).num_parameters()
        15
        """
        return sum(parameter.numel() for parameter in self.parameters())

    # ---------------------------------------------------------------- changing it

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training, or back."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation. Gradients stay as they are: that is `no_grad`'s business."""
        return self.train(False)

    def apply(self, function: Callable[["Module"], None]) -> Self:
        """Call a function on every module below this one, and then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or thaw all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, target: DTypeLike) -> Self:
        """Move parameters and buffers to a device, or convert the floating-point ones to a dtype.

        The tensors stay the same objects and get other arrays; gradients are converted with them.

        Parameters
        ----------
        target : {"cpu", "cuda", "mock"} or a floating-point dtype
            A GPU needs `tinytrain.set_device` to have chosen it.

        Raises
        ------
        TypeError
            The target is neither.
        RuntimeError
            An optimizer holds the parameters already: move the model first.

        Examples
        --------
        >>> import tinytrain as tt
        >>> tt.nn.Linear(2, 3).to("float64").weight.dtype
        dtype('float64')
        """
        convert = _converter(target)
        tensors = {id(value): (name, value) for name, value in self._all_named_tensors()}
        changed = {key: convert(value.data) for key, (_, value) in tensors.items()}
        for key, (name, value) in tensors.items():
            held = isinstance(value, Parameter) and value.leaf_gradient.view is not None
            if held and changed[key] is not value.data:
                raise RuntimeError(
                    f"an optimizer holds parameter {name!r} in its flat buffer: "
                    f"call to({target!r}) before making the optimizer"
                )
        for key, (_, value) in tensors.items():
            if changed[key] is value.data:
                continue
            gradient, value.data = value.grad, changed[key]
            if gradient is not None:
                value.grad = Tensor(convert(gradient.data))
        return self

    # ---------------------------------------------------------------- saving and loading

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of all parameters and buffers by dotted name.

        Tied parameters appear under every name, as in PyTorch.

        Examples
        --------
        >>> import tinytrain as tt
        >>> {name: value.shape for name, value in tt.nn.Linear(2, 3).state_dict().items()}
        {'weight': (3, 2), 'bias': (3,)}
        """
        return {name: Tensor(value.data.copy()) for name, value in self._all_named_tensors()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers, which stay where they are in memory.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
        strict : bool
            Whether missing and unexpected names are errors.

        Raises
        ------
        RuntimeError
            Names, shapes or dtypes do not fit. All of them are listed, and nothing is loaded.
        TypeError
            `state_dict` is no mapping.

        Examples
        --------
        >>> import tinytrain as tt
        >>> first, second = tt.nn.Linear(2, 3), tt.nn.Linear(2, 3)
        >>> second.load_state_dict(first.state_dict())
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        return load(dict(self._all_named_tensors()), state_dict, strict, type(self).__name__)

    # ---------------------------------------------------------------- showing it

    def extra_repr(self) -> str:
        """Describe the layer's own settings, for `repr`."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {child!r}" for name, child in self.named_children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [self.extra_repr(), *children] if self.extra_repr() else children
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _hides_modules(value: Any) -> bool:
    """Whether a plain container holds a module or a parameter, at any depth."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return False
    return any(isinstance(item, Module | Parameter) or _hides_modules(item) for item in value)


def _instead(value: Any) -> str:
    """Name the containers that do not hide what they hold."""
    if isinstance(value, dict):
        return "ModuleDict (or ParameterDict)"
    return "ModuleList (or ParameterList)"


def _converter(target: DTypeLike) -> Callable[[Any], Any]:
    if target == "cpu":
        return backend.to_host
    if target in ("cuda", "mock"):
        if backend.get_device() != target:
            raise RuntimeError(f"to({target!r}) needs tt.set_device({target!r}) first")
        return backend.to_device
    try:
        dtype = None if target is None else np.dtype(target)  # to NumPy, None means float64
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind != "f":
        raise TypeError(
            f"a module can be moved to 'cpu' or 'cuda' or to a floating-point dtype, not {target!r}"
        )
    return lambda array: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
