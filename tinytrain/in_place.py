"""Changes in place: arrays that a pending backward needs are read-only, or the change is noticed.

A backward computes with the arrays that its forward saved. Whoever overwrote one of them in between
would get a wrong gradient without a word. So

- the result of a recorded operation is read-only for good: `tinytrain.tensor.apply` sees to it;
- an array that somebody may write to (a parameter, an input, an array given to `from_numpy`) is
  read-only as long as a node of a graph needs it. All nodes that need the array share one `Hold`;
  when the last of them lets go, by its backward or because the graph is dropped, it can be written
  to again;
- who writes all the same, on purpose, as optimizers do, asks for `writable(array)` first. The holds
  of the array are then void, and a backward that meets one is an error.

NumPy's arrays can be read-only. Arrays of a GPU cannot: there only the third point holds.
"""

import math
import threading
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytrain.backend import Array
from tinytrain.view_families import families, relatives_of


class Hold:
    """What the nodes that need one array share: the array can be written to when this is gone.

    Attributes
    ----------
    shape, dtype : tuple of int, dtype
        Of the array, for messages.
    changed : bool
        Whether the array was written to on purpose.
    """

    __slots__ = ("__weakref__", "changed", "dtype", "shape")

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self.changed = False


class _Reference(weakref.ref[Hold]):
    """The way from an array to its hold; it keeps the array alive, and not the hold."""

    __slots__ = ("array", "locks")

    array: Array
    locks: bool  # whether the array is to be unlocked when the hold is gone

    def __new__(cls, made: Hold, array: Array, locks: bool) -> "_Reference":
        return super().__new__(cls, made, _let_go)

    def __init__(self, made: Hold, array: Array, locks: bool) -> None:
        self.array, self.locks = array, locks


_references: dict[int, _Reference] = {}  # by the array's id, which lasts as long as the entry
_lock = threading.RLock()  # again by the same thread: making an object may run the collector


def is_host(array: Array) -> bool:
    """Whether an array is NumPy's, so that it can be made read-only.

    Examples
    --------
    >>> is_host(np.zeros(2))
    True
    """
    return isinstance(array, np.ndarray)


def hold(array: Array) -> Hold:
    """Keep an array from being written to while the returned object lives.

    An array that was read-only before stays so afterwards.

    Examples
    --------
    >>> array = np.zeros(2)
    >>> held = hold(array)
    >>> array[0] = 1.0
    Traceback (most recent call last):
        ...
    ValueError: assignment destination is read-only
    >>> hold(array) is held
    True
    >>> del held
    >>> array[0] = 1.0
    """
    reference = _references.get(id(array))
    found = None if reference is None else reference()
    return _hold_first(array) if found is None else found


def _hold_first(array: Array) -> Hold:
    """Make the hold of an array that nobody holds yet."""
    with _lock:
        reference = _references.get(id(array))
        found = None if reference is None else reference()
        if found is not None:  # another thread was faster
            return found
        made = Hold(array)
        if reference is not None:
            locks = reference.locks  # the hold before died a moment ago, and did not unlock yet
        else:
            locks = is_host(array) and array.flags.writeable
        _references[id(array)] = _Reference(made, array, locks)
        if locks:
            array.setflags(False)  # host: NumPy only; by position, in a third of the time
        return made


def _let_go(reference: weakref.ref[Hold]) -> None:
    """Unlock the array of a hold that is gone, unless there is a new one."""
    assert isinstance(reference, _Reference)
    with _lock:
        key = id(reference.array)
        if _references.get(key) is reference:
            del _references[key]
            _unlock(reference)


def _unlock(reference: _Reference) -> None:
    if not reference.locks:
        return
    array, base = reference.array, reference.array.base
    if not isinstance(base, np.ndarray) or base.flags.writeable:
        array.flags.writeable = True
    elif id(base) in _references:  # held as well: NumPy unlocks a view only while its base is open
        base.flags.writeable = True
        array.flags.writeable = True
        base.flags.writeable = False


def share_hold(view: Array, array: Array) -> None:
    """Unlock a view that was made of a held array together with the array.

    A view is as read-only as its array was when it was made, and would stay so for good.

    Examples
    --------
    >>> array = np.zeros(4)
    >>> held = hold(array)
    >>> view = array[:2]
    >>> share_hold(view, array)
    >>> del held
    >>> view[0] = 1.0
    """
    if view is array or not is_host(view) or view.flags.writeable or 0 in view.strides:
        return
    for source in (array, array.base):
        reference = _references.get(id(source))
        held = None if reference is None else reference()
        if reference is not None and held is not None and reference.locks:
            with _lock:
                _references.setdefault(id(view), _Reference(held, view, True))
            return


def held_by(function: Any, arrays: Iterable[Array], output: Array) -> list[Hold]:
    """Hold those arrays that a node needs: it saved them, or a view, or its output is a view.

    Of an array that shows the whole of another one, as a transpose does, the other is held too, and
    so are its relatives (`tinytrain.view_families`): a write to any of them is a write to what the
    node needs.

    Parameters
    ----------
    function : Function
        The operation that becomes a node.
    arrays : iterable of array
        Those that somebody may write to.
    output : array
        What it computed. A view of an array is as good as the array for what comes later.

    Examples
    --------
    >>> from tinytrain.ops.arithmetic import Mul
    >>> x, y, product = np.ones(3), np.ones(3), Mul()
    >>> product.needs = [True, False]  # then y is saved
    >>> [held.shape for held in held_by(product, [x, y], product(x, y))]
    [(3,)]
    """
    saved = function.saved
    holds: list[Hold] = []
    for array in arrays:
        for value in saved:
            if value is array:
                break
        else:
            if not (_is_seen(array, (*saved, output)) or _may_be_output(array, function)):
                continue
        reference = _references.get(id(array))
        found = None if reference is None else reference()
        holds.append(_hold_first(array) if found is None else found)
        owner = getattr(array, "base", None)
        if owner is not None and _shows_all_of(array, owner):
            holds.append(hold(owner))
        if families and (id(array) in families or id(owner) in families):
            holds += [hold(other) for other in relatives_of(array, owner)]
    return holds


def _is_seen(array: Array, values: Iterable[Any]) -> bool:
    """Whether the array, or a view of its memory, is among values and the tuples among them."""
    owner = getattr(array, "base", None)
    for value in values:
        if value is array:
            return True
        if isinstance(value, tuple | list):
            if _is_seen(array, value):
                return True
            continue
        base = getattr(value, "base", None)
        if base is not None and (base is array or base is owner):
            return True
    return False


def _shows_all_of(array: Array, owner: Any) -> bool:
    """Whether an array is a view of a whole array that owns its memory, and not of a part."""
    return isinstance(owner, np.ndarray) and owner.base is None and owner.size == array.size


def _may_be_output(array: Array, function: Any) -> bool:
    """Whether an output may be a view of the array, where the library does not tell of views."""
    return function.rearranges and not isinstance(array, np.ndarray)


def writable(array: Array) -> Array:
    """Return an array that may now be written to, although a pending backward may need it.

    That backward will then raise. Call it before every write on purpose to a parameter or a buffer.

    Parameters
    ----------
    array : array
        One that is read-only for another reason stays so.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(2, requires_grad=True)
    >>> y = (x * x).sum()
    >>> writable(x.data)[0] = 5.0
    >>> y.backward()
    Traceback (most recent call last):
        ...
    RuntimeError: Mul saved an array float32 (2,) for its backward, and the array was changed ...
    """
    if _references:
        # The base first: a view can be unlocked only while its base can be written to.
        for changing in (getattr(array, "base", None), array):
            if id(changing) in _references:
                _void(changing)
    return array


def _void(array: Array) -> None:
    """Tell the nodes that need an array that it is about to change, and unlock it."""
    with _lock:
        reference = _references.pop(id(array), None)
        if reference is None:
            return
        found = reference()
        if found is not None:
            found.changed = True
        _unlock(reference)


def piece_of(flat: Array, start: int, shape: tuple[int, ...]) -> Array:
    """View a part of a flat array so that views of the part tell which part they look at.

    NumPy links a view of a view to the array at the bottom of them all. The bottom of a part is
    here an array of its own.

    Examples
    --------
    >>> flat = np.arange(4.0)
    >>> piece = piece_of(flat, 2, (1, 2))
    >>> piece.T.base is piece.base, piece.base.tolist(), np.shares_memory(piece, flat)
    (True, [2.0, 3.0], True)
    """
    part = flat[start : start + math.prod(shape)]
    if is_host(part) and part.size:
        part = np.frombuffer(memoryview(part), dtype=part.dtype)  # host: as was asked
    return part.reshape(shape)


def changed_array_error(name: str, held: Hold) -> RuntimeError:
    """Make the error for an array that was changed and that an operation's backward needs."""
    return RuntimeError(
        f"{name} saved an array {held.dtype} {held.shape} for its backward, and the array was "
        "changed in place since, by an optimizer's step, load_state_dict or an initialiser: the "
        "gradient would be wrong. Call backward before the change, or run the forward pass again "
        "after it"
    )
