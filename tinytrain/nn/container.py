"""Modules that hold other modules in order."""

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

import numpy as np

from tinytrain.nn.module import Module


class ModuleList(Module):
    """A list of modules whose parameters are found. It has no `forward`: loop over it.

    It is read and changed as a Python list: by position, counted from the end too, by slices
    (which give a new list of the same modules), with `+` and `del`. The modules' names are their
    positions, and move with them.

    Parameters
    ----------
    modules : iterable of Module

    Raises
    ------
    TypeError
        Something else is put in.
    IndexError
        A position is outside the list.

    Examples
    --------
    >>> from tinytrain import nn
    >>> layers = ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), sum(1 for _ in layers.parameters())
    (3, 6)
    >>> layers[1] = nn.ReLU()
    >>> del layers[0]
    >>> layers + [nn.Tanh()]
    ModuleList(
      (0): ReLU()
      (1): Linear(in_features=2, out_features=2, bias=True)
      (2): Tanh()
    )
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._length = 0
        self.extend(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        setattr(self, str(self._length), self._checked(module))
        self._length += 1
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__} takes a list of modules, got a {type(modules).__name__}: "
                "put it in brackets"
            )
        for module in [self._checked(module) for module in modules]:
            self.append(module)
        return self

    def insert(self, position: int, module: Module) -> Self:
        """Put a module before the one at a position, or at the end."""
        if not -self._length <= position <= self._length:
            raise IndexError(f"position {position} in a list of {self._length} modules")
        modules = list(self)
        modules.insert(position, self._checked(module))
        self._refill(modules)
        return self

    def pop(self, position: int = -1) -> Module:
        """Take a module out, the last one if nothing is said, and return it."""
        module = self[position]
        del self[position]
        return module

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Raise NotImplementedError: nothing says how the modules follow on each other."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward: call its modules in a loop, or use "
            "nn.Sequential, which chains them"
        )

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Module]:
        return (self[i] for i in range(self._length))

    def __add__(self, others: Iterable[Module]) -> "ModuleList":
        return self._like(self).extend(others)

    def __iadd__(self, others: Iterable[Module]) -> Self:
        return self.extend(others)

    @overload
    def __getitem__(self, position: int) -> Module: ...
    @overload
    def __getitem__(self, position: slice) -> "ModuleList": ...
    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return self._like(list(self)[position])
        return getattr(self, self._name(position))

    def __setitem__(self, position: int, module: Module) -> None:
        setattr(self, self._name(position), self._checked(module))

    def __delitem__(self, position: int | slice) -> None:
        modules = list(self)
        del modules[position if isinstance(position, slice) else int(self._name(position))]
        self._refill(modules)

    def _name(self, position: int) -> str:
        if not isinstance(position, int | np.integer):
            raise TypeError(f"a position must be an integer, got {type(position).__name__}")
        if not -self._length <= position < self._length:
            raise IndexError(f"position {position} in a list of {self._length} modules")
        return str(position % self._length)

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got a {type(module).__name__}")
        return module

    def _like(self, modules: Iterable[Module]) -> "ModuleList":
        """Return a list of the same kind: a plain one, for a subclass may be made otherwise."""
        return ModuleList(modules)

    def _refill(self, modules: list[Module]) -> None:
        """Hold these modules instead, each under the name of its position."""
        for position in range(self._length):
            delattr(self, str(position))
        self._length = 0
        for module in modules:
            self.append(module)


class Sequential(ModuleList):
    """Modules applied one after the other, each to the output of the one before.

    Parameters
    ----------
    *modules : Module

    Examples
    --------
    >>> import tinytrain as tt
    >>> from tinytrain import nn
    >>> model = Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(tt.ones(3, 4)).shape
    (3, 2)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def _like(self, modules: Iterable[Module]) -> "Sequential":
        return Sequential(*modules)

    def forward(self, input: Any) -> Any:
        """Pass the input through all modules."""
        for module in self:
            input = module(input)
        return input
