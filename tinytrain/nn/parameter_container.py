"""Parameters in order, or by name."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self

from tinytrain.nn.container_dict import check_key, pairs_of
from tinytrain.nn.module import Module
from tinytrain.nn.parameter import Parameter
from tinytrain.tensor import Tensor


class ParameterList(Module):
    """A list of parameters, of any shapes, that are found. It has no `forward`.

    Parameters
    ----------
    values : iterable of Parameter or Tensor
        A plain tensor becomes a parameter that shares its array.

    Raises
    ------
    TypeError
        Something else is put in.

    Examples
    --------
    >>> import tinytrain as tt
    >>> scales = ParameterList([tt.ones(2), tt.ones(3)])
    >>> [name for name, _ in scales.named_parameters()]
    ['0', '1']
    >>> (scales[-1] * 2).tolist()
    [2.0, 2.0, 2.0]
    """

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        self._length = 0
        self.extend(values)

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        setattr(self, str(self._length), _parameter(self, value))
        self._length += 1
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add several at the end."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters, got a {type(values).__name__}"
            )
        for parameter in [_parameter(self, value) for value in values]:
            self.append(parameter)
        return self

    def __iadd__(self, values: Iterable[Tensor]) -> Self:
        return self.extend(values)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Parameter]:
        return (self[position] for position in range(self._length))

    def _name(self, position: int) -> str:
        if not isinstance(position, int):
            raise TypeError(f"a position must be an integer, got {type(position).__name__}")
        if not -self._length <= position < self._length:
            raise IndexError(f"position {position} in a list of {self._length} parameters")
        return str(position % self._length)

    def __getitem__(self, position: int) -> Parameter:
        parameter: Parameter = getattr(self, self._name(position))
        return parameter

    def __setitem__(self, position: int, value: Tensor) -> None:
        setattr(self, self._name(position), _parameter(self, value))

    def extra_repr(self) -> str:
        """Show the shapes."""
        return ", ".join(str(parameter.shape) for parameter in self)


class ParameterDict(Module):
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

    def __init__(
        self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()
    ) -> None:
        self.update(parameters)

    def _held(self) -> dict[str, Parameter]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def __setitem__(self, key: str, value: Tensor) -> None:
        parameter = _parameter(self, value)
        check_key(self, key, self._held())
        setattr(self, key, parameter)

    def __getitem__(self, key: str) -> Parameter:
        held = self._held()
        if key not in held:
            raise KeyError(f"no parameter {key!r}; there are {list(held)}")
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

    def values(self) -> ValuesView[Parameter]:
        """Return the parameters."""
        return self._held().values()

    def items(self) -> ItemsView[str, Parameter]:
        """Return names and parameters."""
        return self._held().items()

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Put parameters in; one under a name that is there takes its place."""
        for key, value in pairs_of(self, parameters):
            self[key] = value

    def pop(self, key: str) -> Parameter:
        """Take a parameter out and return it."""
        parameter = self[key]
        delattr(self, key)
        return parameter

    def clear(self) -> None:
        """Take all parameters out."""
        for key in self.keys():
            delattr(self, key)

    def extra_repr(self) -> str:
        """Show names and shapes."""
        return ", ".join(f"{name}: {value.shape}" for name, value in self.items())


def _parameter(container: Module, value: Any) -> Parameter:
    """Return a parameter as it is, and a tensor as one."""
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{type(container).__name__} holds parameters, got a {type(value).__name__}"
        )
    return Parameter(value)
