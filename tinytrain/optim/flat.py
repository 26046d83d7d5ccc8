"""Parameters side by side in one buffer, so that an optimizer's step is one pass over memory.

Each parameter's array becomes a view of one contiguous buffer, and its gradient a view of another.
Scaling all gradients is then one multiplication, their norm one dot product, and an update one
kernel, however many parameters there are.
"""

import weakref
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NoReturn

from tinytrain import backend
from tinytrain.autograd import LeafGradient, describe
from tinytrain.backend import Array
from tinytrain.in_place import piece_of, writable
from tinytrain.tensor import Tensor


class FlatBuffer:
    """One buffer of values and one of gradients, for parameters of one dtype on one device.

    Parameters
    ----------
    parameters : sequence of Tensor
        Leaves that require gradients. Their arrays are copied into the buffer, and from then on
        `parameter.data` and `parameter.grad` are views of it.
    names : sequence of str
        For error messages.

    Attributes
    ----------
    data, gradient : array (N,)
        All values, and all gradients, one parameter after the other.

    Raises
    ------
    ValueError
        A parameter belongs to another optimizer's buffer or stands twice, or dtypes or devices
        differ. Nothing is changed then.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = tt.tensor([[1.0, 2.0]], requires_grad=True)
    >>> flat = FlatBuffer([weight], ["weight"])
    >>> flat.data[0] = 7.0
    >>> weight
    tensor([[7., 2.]], dtype=float32, device=cpu, requires_grad=True)
    """

    def __init__(self, parameters: Sequence[Tensor], names: Sequence[str]) -> None:
        self.parameters, self.names = list(parameters), list(names)
        self._check()
        first = self.parameters[0]
        xp = backend.xp_of(first.data)
        sizes = [parameter.numel() for parameter in self.parameters]
        self.starts = list(accumulate(sizes, initial=0))
        self.data = xp.empty(self.starts[-1], dtype=first.dtype)
        self.gradient = xp.zeros(self.starts[-1], dtype=first.dtype)
        self._views = [self._take_over(i) for i in range(len(self.parameters))]
        leaves = [parameter.leaf_gradient for parameter in self.parameters]
        weakref.finalize(self, _release, leaves).atexit = False

    def _check(self) -> None:
        """Raise where a parameter cannot be taken; all are looked at before any is taken."""
        first = self.parameters[0]
        seen: set[int] = set()
        for name, parameter in zip(self.names, self.parameters, strict=True):
            if (parameter.dtype, parameter.device) != (first.dtype, first.device):
                raise ValueError(
                    f"parameter {name!r} is {parameter.dtype} on {parameter.device}, the buffer "
                    f"{first.dtype} on {first.device}: each dtype and device needs its own buffer"
                )
            owner = parameter.leaf_gradient.owner
            if id(parameter) in seen or (owner is not None and owner() is not None):
                raise ValueError(
                    f"parameter {name!r} of shape {parameter.shape} belongs to another optimizer "
                    "(or stands twice in this one): give each parameter to one optimizer once"
                )
            seen.add(id(parameter))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an optimizer cannot be pickled, for its parameters would not follow: make one for the "
            "other parameters and load_state_dict(...) what state_dict() gives"
        )

    def piece(self, flat: Array, position: int) -> Array:
        """View the part of a flat array that belongs to one parameter, in the parameter's shape."""
        return piece_of(flat, self.starts[position], self.parameters[position].shape)

    def _take_over(self, position: int) -> Array:
        """Copy a parameter and its gradient into the buffers and make both views of them."""
        parameter = self.parameters[position]
        view = self.piece(self.data, position)
        view[...] = parameter.data
        parameter.data = view
        leaf = parameter.leaf_gradient
        leaf.owner = weakref.ref(self)
        leaf.view = self.piece(self.gradient, position)
        if leaf.array is not None:
            leaf.set(leaf.array)
        return view

    def restore_views(self) -> None:
        """Bring values back into the buffer where somebody assigned another array to `data`.

        Raises
        ------
        ValueError
            The assigned array has another shape, dtype or device.
        """
        for position, (parameter, view) in enumerate(
            zip(self.parameters, self._views, strict=True)
        ):
            if parameter.data is view:
                continue
            given = backend.as_array(parameter.data)  # arithmetic of 0-d arrays gives numbers
            if not (
                backend.is_array(given)
                and (given.shape, given.dtype) == (view.shape, view.dtype)
                and backend.device_of(given) == backend.device_of(view)
            ):
                raise ValueError(
                    f"parameter {self.names[position]!r} was given the data {describe(given)}, "
                    f"but its optimizer holds {describe(view)}"
                )
            writable(view)[...] = given
            parameter.data = view

    def begin_change(self) -> None:
        """Say that the values of parameters with a gradient are about to change in place.

        A backward that still needs them will raise.
        """
        for position, view in enumerate(self._views):
            if self.has_gradient(position):
                writable(view)

    def has_gradient(self, position: int) -> bool:
        """Return whether a backward pass reached a parameter since gradients were cleared."""
        return self.parameters[position].leaf_gradient.array is not None

    def stretches(self, labels: Sequence[object] | None = None) -> Iterator[tuple[slice, int]]:
        """Yield the contiguous runs of parameters that have a gradient.

        Parameters
        ----------
        labels : sequence, optional
            One per parameter; a run holds parameters of one label only.

        Yields
        ------
        slice
            Of the flat arrays.
        int
            The position of the first parameter in the run.
        """
        count = len(self.parameters)
        start = 0
        while start < count:
            if not self.has_gradient(start):
                start += 1
                continue
            end = start + 1
            while (
                end < count
                and self.has_gradient(end)
                and (labels is None or labels[end] == labels[start])
            ):
                end += 1
            yield slice(self.starts[start], self.starts[end]), start
            start = end


def _release(leaves: Sequence[LeafGradient]) -> None:
    """Free the parameters of a buffer that is gone: another may take them, or `Module.to` move."""
    for leaf in leaves:
        leaf.owner = leaf.view = None


def gradient_arrays(parameters: Sequence[Tensor]) -> list[Array]:
    """Return the gradients of parameters in as few flat arrays as possible.

    Gradients that lie in one buffer come as its contiguous stretches, if all parameters of the
    buffer are asked for; others one by one. Parameters without a gradient are left out. Writing
    to the arrays changes the gradients.

    Examples
    --------
    >>> import tinytrain as tt
    >>> weights = [tt.ones(2, requires_grad=True) for _ in range(3)]
    >>> flat = FlatBuffer(weights, ["a", "b", "c"])
    >>> sum(weight.sum() for weight in weights).backward()
    >>> gradient_arrays(weights)
    [array([1., 1., 1., 1., 1., 1.], dtype=float32)]
    """
    asked = {id(parameter) for parameter in parameters}
    arrays: list[Array] = []
    done: set[int] = set()
    for parameter in parameters:
        leaf = parameter.leaf_gradient
        if id(parameter) in done or leaf.array is None:
            continue
        buffer = leaf.owner() if leaf.owner is not None else None
        if buffer is not None and all(id(other) in asked for other in buffer.parameters):
            arrays += [buffer.gradient[stretch] for stretch, _ in buffer.stretches()]
            done.update(id(other) for other in buffer.parameters)
        else:
            arrays.append(writable(leaf.array).reshape(-1))
            done.add(id(parameter))
    return arrays
