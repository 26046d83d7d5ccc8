"""What CuPy offers: its names, their parameters, its ufuncs' methods, read from a snapshot.

The snapshot ``cupy_surface.json`` was written from a CuPy wheel (the script that writes it is
``tests/testing/record_cupy_surface.py``), so the questions below need neither CuPy nor a GPU. The
mock GPU asks them at every call, the device lint for every line of source.
"""

import functools
import importlib.resources
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Signature", "Surface", "Ufunc", "surface"]


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of one callable, without their default values.

    Parameters
    ----------
    name : str
        What messages call it, such as ``"cupy.sum"``.
    parameters : str
        The parameters in Python's own notation, ``=`` behind what a call may leave out:
        ``"a, axis=, *, dtype="``.

    Attributes
    ----------
    positional : tuple of str
        The parameters that can be given by position, in order.
    keywords : frozenset of str
        The parameters that can be given by name.
    required : frozenset of str
        Those that a call cannot leave out.
    any_positional, any_keyword : bool
        Whether there is a ``*args``, a ``**kwargs``.

    Examples
    --------
    >>> signature = Signature("cupy.sum", "a, axis=, dtype=, out=, keepdims=")
    >>> signature.check(1, ["axis", "keepdims"])
    >>> signature.check(1, ["where"])
    "cupy.sum takes no argument 'where'; it takes a, axis, dtype, out, keepdims"
    """

    name: str
    parameters: str
    positional: tuple[str, ...] = field(init=False)
    keywords: frozenset[str] = field(init=False)
    required: frozenset[str] = field(init=False)
    any_positional: bool = field(init=False)
    any_keyword: bool = field(init=False)
    _least: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        positional: list[str] = []
        keyword_only: list[str] = []
        required: list[str] = []
        position_only: list[str] = []
        any_positional = any_keyword = False
        current = positional
        for part in filter(None, self.parameters.split(", ")):
            if part == "/":
                position_only = list(positional)
            elif part.startswith("**"):
                any_keyword = True
            elif part.startswith("*"):
                any_positional, current = part != "*", keyword_only
            else:
                current.append(part.removesuffix("="))
                if not part.endswith("="):
                    required.append(part)
        values = {
            "positional": tuple(positional),
            "keywords": frozenset(positional).difference(position_only) | frozenset(keyword_only),
            "required": frozenset(required),
            "any_positional": any_positional,
            "any_keyword": any_keyword,
            "_least": len(required) if not set(required) & set(keyword_only) else -1,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)  # the class is frozen for everyone else

    def check(self, positional: int, keywords: Iterable[str] = ()) -> str | None:
        """Say why a call does not fit, or return None if it does.

        Parameters
        ----------
        positional : int
            How many arguments are given by position; a method's ``self`` does not count.
        keywords : iterable of str
            The names of the arguments given by name.

        Returns
        -------
        str or None
            One sentence that names the argument and says what is taken.

        Examples
        --------
        >>> signature = Signature("cupy.take", "a, indices, axis=, out=")
        >>> signature.check(2, ["axis"])
        >>> signature.check(5)
        'cupy.take takes at most 4 positional arguments (a, indices, axis, out), not 5'
        >>> signature.check(1)
        "cupy.take needs the argument 'indices'"
        """
        if positional > len(self.positional) and not self.any_positional:
            return self._too_many(positional)
        given = frozenset(keywords)
        if given and not self.any_keyword and not given <= self.keywords:
            return self._unknown(given - self.keywords)
        if given and not given.isdisjoint(self.positional[:positional]):
            twice = sorted(given.intersection(self.positional[:positional]))
            return f"{self.name} gets the argument {twice[0]!r} twice, by position and by name"
        if 0 <= self._least <= positional:
            return None
        missing = self.required.difference(self.positional[:positional], given)
        return f"{self.name} needs the argument {min(missing)!r}" if missing else None

    def _too_many(self, positional: int) -> str:
        names = ", ".join(self.positional) or "none"
        return (
            f"{self.name} takes at most {len(self.positional)} positional arguments ({names}), "
            f"not {positional}"
        )

    def _unknown(self, unknown: frozenset[str]) -> str:
        names = [part.removesuffix("=") for part in self.parameters.split(", ")]
        taken = ", ".join(name for name in names if name not in ("", "/", "*"))
        return f"{self.name} takes no argument {min(unknown)!r}; it takes {taken or 'none'}"


@dataclass(frozen=True, slots=True)
class Ufunc:
    """One elementwise function: its inputs and outputs, its call and its methods.

    Attributes
    ----------
    name : str
        Such as ``"add"``.
    inputs, outputs : int
        How many arrays go in and come out.
    signature : Signature
        Of the call: the inputs, the outputs by position or ``out=``, ``dtype=``, ``casting=``.
    methods : dict of str to Signature
        Those of ``at, reduce, accumulate, reduceat, outer`` that work on CuPy.

    Examples
    --------
    >>> add = surface().ufunc("add")
    >>> add.inputs, sorted(add.methods)
    (2, ['accumulate', 'at', 'outer', 'reduce', 'reduceat'])
    >>> add.signature.check(2, ["where"])
    "cupy.add takes no argument 'where'; it takes x1, x2, out, dtype, casting"
    """

    name: str
    inputs: int
    outputs: int
    signature: Signature
    methods: dict[str, Signature]


@dataclass(frozen=True, slots=True)
class Surface:
    """Everything that the snapshot knows about one version of CuPy.

    Attributes
    ----------
    version : str
        The version of CuPy.
    functions, ufuncs, methods : dict
        By name; functions of ``cupy.linalg`` as ``"linalg.norm"``, methods are those of
        ``cupy.ndarray``.
    constants : frozenset of str
        Numbers, None and dtypes: ``inf``, ``newaxis``, ``float32``, ``floating``.
    classes, modules, objects, properties, operators : frozenset of str
        Classes of CuPy's own, its submodules, things such as ``mgrid``; the properties of
        ``cupy.ndarray`` and its methods with double underscores.

    Examples
    --------
    >>> cupy = surface()
    >>> cupy.function("take").positional
    ('a', 'indices', 'axis', 'out')
    >>> cupy.function("vecdot") is None, cupy.method("setflags") is None
    (True, True)
    >>> cupy.is_constant("float32"), cupy.has_property("T"), "__imatmul__" in cupy.operators
    (True, True, False)
    """

    version: str
    functions: dict[str, Signature]
    ufuncs: dict[str, Ufunc]
    methods: dict[str, Signature]
    constants: frozenset[str]
    classes: frozenset[str]
    modules: frozenset[str]
    objects: frozenset[str]
    properties: frozenset[str]
    operators: frozenset[str]

    def function(self, name: str) -> Signature | None:
        """Return the signature of ``cupy.<name>``, or None where that is no plain function.

        A ufunc is none: ask `ufunc`. A function of ``cupy.linalg`` is ``"linalg.<name>"``.
        """
        return self.functions.get(name)

    def method(self, name: str) -> Signature | None:
        """Return the signature of ``cupy.ndarray.<name>`` without self, or None."""
        return self.methods.get(name)

    def ufunc(self, name: str) -> Ufunc | None:
        """Return the ufunc ``cupy.<name>``, or None."""
        return self.ufuncs.get(name)

    def is_constant(self, name: str) -> bool:
        """Return whether ``cupy.<name>`` is a number, None, a dtype or a family of dtypes."""
        return name in self.constants

    def has_property(self, name: str) -> bool:
        """Return whether ``cupy.ndarray`` has the property."""
        return name in self.properties

    def knows(self, name: str) -> bool:
        """Return whether ``cupy.<name>`` exists, whatever it is.

        Examples
        --------
        >>> [surface().knows(name) for name in ("exp", "sum", "pi", "linalg", "geomspace")]
        [True, True, True, True, False]
        """
        named = (self.functions, self.ufuncs, self.constants)
        return any(name in names for names in (*named, self.classes, self.modules, self.objects))


@functools.cache
def surface() -> Surface:
    """Return the committed snapshot of CuPy's surface; it is read once.

    Examples
    --------
    >>> surface().version.split(".")[0]
    '14'
    """
    file = importlib.resources.files("tinytrain.testing").joinpath("cupy_surface.json")
    return _parse(json.loads(file.read_text(encoding="utf-8")))


def _parse(snapshot: dict[str, Any]) -> Surface:
    ufunc_methods: dict[str, str] = snapshot["ufunc_methods"]
    return Surface(
        version=snapshot["version"],
        functions={
            name: Signature(f"cupy.{name}", parameters)
            for name, parameters in snapshot["functions"].items()
        },
        ufuncs={
            name: _parse_ufunc(name, text, ufunc_methods)
            for name, text in snapshot["ufuncs"].items()
        },
        methods={
            name: Signature(f"cupy.ndarray.{name}", parameters)
            for name, parameters in snapshot["methods"].items()
        },
        constants=frozenset(snapshot["constants"]),
        classes=frozenset(snapshot["classes"]),
        modules=frozenset(snapshot["modules"]),
        objects=frozenset(snapshot["objects"]),
        properties=frozenset(snapshot["properties"]),
        operators=frozenset(snapshot["operators"]),
    )


def _parse_ufunc(name: str, text: str, ufunc_methods: dict[str, str]) -> Ufunc:
    """Read ``"2 1 at reduce"``: two inputs, one output, the methods that work."""
    inputs, outputs, *methods = text.split()
    arrays = ["x"] if inputs == "1" else [f"x{i + 1}" for i in range(int(inputs))]
    results = ["out="] if outputs == "1" else [f"out{i + 1}=" for i in range(int(outputs))]
    if len(results) == 1:
        parameters = [*arrays, "/", *results, "*", "dtype=", "casting="]
    else:
        parameters = [*arrays, *results, "/", "*", "out=", "dtype=", "casting="]
    return Ufunc(
        name,
        int(inputs),
        int(outputs),
        Signature(f"cupy.{name}", ", ".join(parameters)),
        {m: Signature(f"cupy.{name}.{m}", ufunc_methods[m]) for m in methods},
    )
