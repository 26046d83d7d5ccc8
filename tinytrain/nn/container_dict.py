"""Modules and parameters by name."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar, Generic, TypeVar

from tinytrain.nn.module import Module
from tinytrain.nn.parameter import Parameter
from tinytrain.nn.parameter_list import as_parameter
from tinytrain.tensor import Tensor

Value = TypeVar("Value", Module, Parameter)


class NamedValues(Module, Generic[Value]):
    """What a dict of modules and one of parameters have in common: values that are attributes."""

    _kind: ClassVar[str]

    def _held(self) -> dict[str, Value]:
        """Return what is held, in the order in which it was put in."""
        raise NotImplementedError

    def _checked(self, value: Any) -> Value:
        """Return a value as it is held, or raise TypeError."""
        raise NotImplementedError

    def __setitem__(self, key: str, value: Any) -> None:
        checked = self._checked(value)
        check_key(self, key, self._held())
        setattr(self, key, checked)

    def __getitem__(self, key: str) -> Value:
        held = self._held()
        if key not in held:
            raise KeyError(f"no {self._kind} {key!r}; there are {list(held)}")
        return held[key]

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, key: object) -> bool:
        return key in self._held()

    def keys(self) -> KeysView[str]:
        """Return the names, in the order in which they were put in."""
        return self._held().keys()

    def values(self) -> ValuesView[Value]:
        """Return what is held."""
        return self._held().values()

    def items(self) -> ItemsView[str, Value]:
        """Return names and what is held under them."""
        return self._held().items()

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Put values in; one under a name that is there takes its place."""
        for key, value in pairs_of(self, values):
            self[key] = value

    def pop(self, key: str) -> Value:
        """Take a value out and return it."""
        value = self[key]
        delattr(self, key)
        return value

    def clear(self) -> None:
        """Take all values out."""
        for key in self.keys():
            delattr(self, key)


class ModuleDict(NamedValues[Module]):
    """A dict of modules whose parameters are found. It has no `forward`: look modules up.

    The keys are the modules' names in a state dict, so a key is a string without a dot, and none
    of the names that every module has, such as ``"train"``.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of (str, Module)

    Raises
    ------
    TypeError
        A key is no string, or something else than a module is put in.
    KeyError
        A key is empty, has a dot, or is the name of an attribute; or there is none under it.

    Examples
    --------
    >>> import tinytrain as tt
    >>> from tinytrain import nn
    >>> heads = ModuleDict({"small": nn.Linear(4, 2), "large": nn.Linear(4, 8)})
    >>> heads["large"](tt.ones(3, 4)).shape
    (3, 8)
    >>> list(heads.state_dict())
    ['small.weight', 'small.bias', 'large.weight', 'large.bias']
    """

    _kind = "module"

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def _held(self) -> dict[str, Module]:
        return dict(self.named_children())

    def _checked(self, value: Any) -> Module:
        if not isinstance(value, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got a {type(value).__name__}")
        return value


class ParameterDict(NamedValues[Parameter]):
    """A dict of parameters, of any shapes, that are found. It has no `forward`.

    The keys are the parameters' names in a state dict, with the rules of `ModuleDict`.

    Parameters
    ----------
    parameters : mapping of str to Parameter or Tensor, or iterable of (str, Parameter)
        A plain tensor becomes a parameter that shares its array.

    Raises
    ------
    TypeError
        A key is no string, or something else than a tensor is put in.
    KeyError
        A key is empty, has a dot, or is the name of an attribute; or there is none under it.

    Examples
    --------
    >>> import tinytrain as tt
    >>> factors = ParameterDict({"left": tt.ones(2), "right": tt.zeros(2)})
    >>> list(factors.state_dict()), factors["right"].requires_grad
    (['left', 'right'], True)
    """

    _kind = "parameter"

    def __init__(
        self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()
    ) -> None:
        self.update(parameters)

    def _held(self) -> dict[str, Parameter]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def _checked(self, value: Any) -> Parameter:
        return as_parameter(self, value)

    def extra_repr(self) -> str:
        """Show names and shapes."""
        return ", ".join(f"{name}: {value.shape}" for name, value in self.items())


def pairs_of(container: Module, items: Any) -> list[tuple[Any, Any]]:
    """List what is to be put into a container by name.

    Examples
    --------
    >>> pairs_of(ModuleDict(), {"a": 1})
    [('a', 1)]
    """
    if not isinstance(items, Iterable) or isinstance(items, str):
        raise TypeError(
            f"{type(container).__name__} takes a dict or pairs of a name and a value, "
            f"got a {type(items).__name__}"
        )
    pairs = list(items.items() if isinstance(items, Mapping | NamedValues) else items)
    for position, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"{type(container).__name__} takes pairs of a name and a value, "
                f"got {pair!r:.60} at position {position}"
            )
    return [(key, value) for key, value in pairs]


def check_key(container: Module, key: Any, held: Mapping[str, Any]) -> None:
    """Raise where a container cannot hold something under a key.

    Examples
    --------
    >>> check_key(ModuleDict(), "train", {})
    Traceback (most recent call last):
        ...
    KeyError: "ModuleDict has an attribute 'train' already: take another key"
    """
    name = type(container).__name__
    if not isinstance(key, str):
        raise TypeError(f"{name}: a key must be a string, got {key!r:.60}")
    if not key or "." in key:
        raise KeyError(f"{name}: a key must not be empty or have a dot, got {key!r}")
    if key not in held and hasattr(container, key):
        raise KeyError(f"{name} has an attribute {key!r} already: take another key")
