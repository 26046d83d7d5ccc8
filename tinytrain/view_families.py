"""Which arrays show the same memory: a tensor's array, and the views that operations made of it.

NumPy tells of a view which array owns its memory, and not through which array the view was made. An
owner may have many arrays that have nothing to do with each other, as a flat buffer has its
parameters, and a view may be changed through the array that it was made of although that one owns
nothing. So an array and the views of it that operations make are noted here as a family, for as
long as they live: `tinytrain.in_place` looks after all of them where a graph needs one.
"""

import threading
import weakref

import numpy as np

from tinytrain.backend import Array, xp_of


class _Member(weakref.ref[Array]):
    """The way from a family to one of its arrays, which it does not keep alive."""

    __slots__ = ("family", "key")

    family: dict[int, "_Member"]
    key: int

    def __new__(cls, array: Array, family: dict[int, "_Member"]) -> "_Member":
        return super().__new__(cls, array, _leave)

    def __init__(self, array: Array, family: dict[int, "_Member"]) -> None:
        self.family, self.key = family, id(array)


MOST_COMPARED = 64
"""How many arrays of a family are looked at: a node must not cost more for many views."""

families: dict[int, dict[int, _Member]] = {}
"""The family of an array, by the array's id, which lasts as long as the entry."""

_lock = threading.RLock()  # again by the same thread: making an object may run the collector


def _leave(member: weakref.ref[Array]) -> None:
    """Forget an array that is gone."""
    assert isinstance(member, _Member)
    with _lock:
        if member.family.get(member.key) is member:
            del member.family[member.key]
            if families.get(member.key) is member.family:
                del families[member.key]


def _join(array: Array, family: dict[int, _Member]) -> None:
    family[id(array)] = _Member(array, family)
    families[id(array)] = family


def note_view(view: Array, array: Array) -> None:
    """Note what an operation has made of an array, if it shows the array's memory.

    Examples
    --------
    >>> array = np.zeros(4).reshape(2, 2)
    >>> part = array[0]
    >>> note_view(part, array)
    >>> [relative.shape for relative in family_of(part)]
    [(2, 2), (2,)]
    """
    if view is array or not shows(view, array):
        return
    with _lock:
        family = families.get(id(array))
        if family is None:
            family = {}
            _join(array, family)
        if id(view) not in family:
            _join(view, family)


def shows(view: Array, array: Array) -> bool:
    """Whether one array shows the memory of another, given that it has nothing but its values.

    Examples
    --------
    >>> array = np.zeros(4)
    >>> shows(array[:2], array), shows(array[[0, 1]], array)
    (True, False)
    """
    if type(view) is not type(array):  # it was brought to another device
        return False
    if isinstance(view, np.ndarray):
        base = view.base
        return base is not None and (base is array or base is array.base)
    return bool(xp_of(view).may_share_memory(view, array))  # host: it compares addresses


def _family(array: Array, owner: Array | None) -> dict[int, _Member]:
    family = families.get(id(array))
    if family is None and owner is not None:
        family = families.get(id(owner))
    return {} if family is None else family


def family_of(array: Array, owner: Array | None = None) -> list[Array]:
    """Return the arrays that show the memory of an array: itself and others, or none.

    Parameters
    ----------
    array : array
    owner : array, optional
        Whose memory it shows: looked up where the array itself is in no family.

    Examples
    --------
    >>> family_of(np.zeros(4))
    []
    """
    family = _family(array, owner)
    with _lock:
        arrays = [member() for member in list(family.values())]  # the collector may take some away
    return [relative for relative in arrays if relative is not None]


def relatives_of(array: Array, owner: Array | None = None) -> list[Array]:
    """Return the other arrays of a family through which an array could be changed.

    Those are the ones that overlap with it. Of a family of more than `MOST_COMPARED` arrays, such
    as the rows of a table that are kept in a list, it is the one that the views were made of.

    Examples
    --------
    >>> array = np.zeros(4)
    >>> first, second = array[:2], array[2:]
    >>> note_view(first, array)
    >>> note_view(second, array)
    >>> [other.shape for other in relatives_of(first)]
    [(4,)]
    """
    family = _family(array, owner)
    if len(family) > MOST_COMPARED:
        with _lock:
            eldest = next(iter(family.values()))()
        return [] if eldest is None or eldest is array else [eldest]
    shared = xp_of(array).may_share_memory  # host: it compares addresses
    return [one for one in family_of(array, owner) if one is not array and shared(one, array)]
