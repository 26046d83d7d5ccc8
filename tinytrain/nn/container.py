"""Modules that hold other modules in order."""

from collections.abc import Iterable, Iterator
from typing import Any

from tinytrain.nn.module import Module


class ModuleList(Module):
    """A list of modules whose parameters are found. It has no `forward`: loop over it.

    Parameters
    ----------
    modules : iterable of Module

    Raises
    ------
    TypeError
        Something else is put in.

    Examples
    --------
    >>> from tinytrain import nn
    >>> layers = ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), sum(1 for _ in layers.parameters())
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._length = 0
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> "ModuleList":
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got a {type(module).__name__}")
        setattr(self, str(self._length), module)
        self._length += 1
        return self

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Module]:
        return (self[i] for i in range(self._length))

    def __getitem__(self, position: int) -> Module:
        if not isinstance(position, int):
            raise TypeError(f"a position must be an integer, got {type(position).__name__}")
        if not -self._length <= position < self._length:
            raise IndexError(f"position {position} in a list of {self._length} modules")
        module: Module = getattr(self, str(position % self._length))
        return module


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

    def forward(self, input: Any) -> Any:
        """Pass the input through all modules."""
        for module in self:
            input = module(input)
        return input
