"""Where the names of a module come from: an array library, NumPy, another import, an array."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

LIBRARY_GIVERS = ("creation_library", "xp_of")
HOST_GIVERS = ("cpu", "numpy", "to_host")


@dataclass(frozen=True, slots=True)
class Names:
    r"""The names that one module binds to libraries and modules.

    Attributes
    ----------
    libraries : frozenset of str
        Bound to what `xp_of` or `creation_library` returned, and parameters called ``xp``.
    numpy : frozenset of str
        What NumPy is called.
    modules : frozenset of str
        Everything imported, and ``self`` and ``cls``: no arrays.

    Examples
    --------
    >>> tree = ast.parse("import numpy as np, math\ndef f(x):\n    xp = xp_of(x)")
    >>> names = gather_names(tree)
    >>> sorted(names.libraries), sorted(names.numpy), "math" in names.modules
    (['xp'], ['np'], True)
    """

    libraries: frozenset[str]
    numpy: frozenset[str]
    modules: frozenset[str]

    def is_library(self, node: ast.expr) -> bool:
        """Return whether an expression is an array library: ``xp``, or ``xp_of(x)`` itself."""
        return gives_library(node) or (isinstance(node, ast.Name) and node.id in self.libraries)

    def is_numpy(self, node: ast.expr) -> bool:
        """Return whether an expression is the module NumPy."""
        return isinstance(node, ast.Name) and node.id in self.numpy

    def is_module(self, node: ast.expr) -> bool:
        """Return whether an expression is an imported name, or the object itself."""
        return isinstance(node, ast.Name) and node.id in self.modules


def gives_library(node: ast.expr | None) -> bool:
    """Return whether an expression calls `xp_of` or `creation_library`, however it is reached.

    Examples
    --------
    >>> gives_library(ast.parse("backend.xp_of(x)", mode="eval").body)
    True
    """
    return isinstance(node, ast.Call) and _called(node) in LIBRARY_GIVERS


def gives_host_array(node: ast.expr, numpy: frozenset[str]) -> bool:
    """Return whether an expression brings an array to the host in so many words.

    ``to_host(x)``, ``x.cpu()`` and ``x.numpy()`` do, and so does what a function of NumPy returns.

    Examples
    --------
    >>> gives_host_array(ast.parse("loss.cpu()", mode="eval").body, frozenset())
    True
    """
    if not isinstance(node, ast.Call):
        return False
    base = attribute_chain(node.func)[0] if isinstance(node.func, ast.Attribute) else node.func
    of_numpy = isinstance(base, ast.Name) and base.id in numpy
    return of_numpy or _called(node) in HOST_GIVERS


def _called(node: ast.Call) -> str:
    """Return the last name of what is called: ``xp_of`` of ``backend.xp_of(x)``."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def attribute_chain(node: ast.Attribute) -> tuple[ast.expr, list[str]]:
    """Take a dotted expression apart into what stands first and the names behind it.

    Examples
    --------
    >>> base, parts = attribute_chain(ast.parse("xp.add.at", mode="eval").body)
    >>> base.id, parts
    ('xp', ['add', 'at'])
    """
    parts: list[str] = []
    base: ast.expr = node
    while isinstance(base, ast.Attribute):
        parts.insert(0, base.attr)
        base = base.value
    return base, parts


def assignments(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    r"""Yield target and value of every assignment; of ``a, b = c, d`` both pairs.

    Examples
    --------
    >>> tree = ast.parse("a, b = c, d\ne = f")
    >>> [(ast.unparse(target), ast.unparse(value)) for target, value in assignments(tree)]
    [('a', 'c'), ('b', 'd'), ('e', 'f')]
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            pairs = [(node.target, node.value)]
        else:
            continue
        for target, value in pairs:
            both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            if both and len(target.elts) == len(value.elts):  # type: ignore[attr-defined]
                yield from zip(target.elts, value.elts, strict=True)  # type: ignore[attr-defined]
            else:
                yield target, value


def gather_names(tree: ast.AST) -> Names:
    """Find out what the names of a module stand for; see `Names`."""
    libraries, numpy, modules = set(), set(), {"self", "cls"}
    for target, value in assignments(tree):
        if isinstance(target, ast.Name) and gives_library(value):
            libraries.add(target.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg == "xp":
            libraries.add("xp")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                modules.add(bound)
                if isinstance(node, ast.Import) and alias.name.split(".")[0] == "numpy":
                    numpy.add(bound)
    return Names(frozenset(libraries), frozenset(numpy), frozenset(modules))
