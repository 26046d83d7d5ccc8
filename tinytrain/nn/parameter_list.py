"""Parameters in order."""

from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np

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
        setattr(self, str(self._length), as_parameter(self, value))
        self._length += 1
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add several at the end."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters, got a {type(values).__name__}"
            )
        for parameter in [as_parameter(self, value) for value in values]:
            self.append(parameter)
        return self

    def __iadd__(self, values: Iterable[Tensor]) -> Self:
        return self.extend(values)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Parameter]:
        return (self[position] for position in range(self._length))

    def _name(self, position: int) -> str:
        if not isinstance(position, int | np.integer):
            raise TypeError(f"a position must be an integer, got {type(position).__name__}")
        if not -self._length <= position < self._length:
            raise IndexError(f"position {position} in a list of {self._length} parameters")
        return str(position % self._length)

    def __getitem__(self, position: int) -> Parameter:
        parameter: Parameter = getattr(self, self._name(position))
        return parameter

    def __setitem__(self, position: int, value: Tensor) -> None:
        setattr(self, self._name(position), as_parameter(self, value))

    def extra_repr(self) -> str:
        """Show the shapes."""
        return ", ".join(str(parameter.shape) for parameter in self)


def as_parameter(container: Module, value: Any) -> Parameter:
    """Return a parameter as it is, and a tensor as one.

    Raises
    ------
    TypeError
        It is neither; the container is named.
    """
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{type(container).__name__} holds parameters, got a {type(value).__name__}"
        )
    return Parameter(value)
