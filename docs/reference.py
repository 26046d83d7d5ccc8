"""What the reference pages list: every public class and function, each of them once.

What a namespace that users import from offers in its `__all__` stands on that namespace's page,
under the name users write; the rest stands on the page of the inner modules, by file.

What a class inherits stands with it. Members that come from an inner class, of which users know
nothing, are documented in full: `sum` with `Tensor`, `save` with `Trainer`. For those of a class
that has an entry of its own there is a line of links: from `AdamW` to `Optimizer.step`.
"""

import importlib
import inspect
from collections.abc import Collection, Mapping
from types import ModuleType

from docs.house import modules
from tinytrain.train import TrainingParser

NAMESPACES = (
    "tinytrain.nn.functional",
    "tinytrain.nn.init",
    "tinytrain.nn",
    "tinytrain.optim",
    "tinytrain.optim.lr_scheduler",
    "tinytrain.data",
    "tinytrain.train",
    "tinytrain.linalg",
    "tinytrain.models",
    "tinytrain.memory",
    "tinytrain.explain",
    "tinytrain.testing.mock",
    "tinytrain.testing",
    "tinytrain",
)
INNER = "inner"


def reference() -> dict[str, str]:
    """Return the Markdown of each reference page, by namespace, and that of the inner modules.

    Examples
    --------
    >>> pages = reference()
    >>> "Linear" in pages["tinytrain.nn"], "Linear" in pages["tinytrain"]
    (True, False)
    >>> "tinytrain.ops.arithmetic" in pages["inner"]
    True
    """
    shown = entries()
    pages = {
        namespace: "\n".join(
            [
                "```{eval-rst}",
                f".. automodule:: {namespace}",
                *(_entry(name, shown) for name in shown.values() if name[0] == namespace),
                "```",
            ]
        )
        for namespace in NAMESPACES
    }
    sections = []
    for name in modules():
        if name in NAMESPACES:
            continue
        module = importlib.import_module(name)
        names = [inner for inner in defined(module) if getattr(module, inner) not in shown]
        if names:
            # The module tinytrain.tensor and the function tt.tensor cannot share one link target.
            shadowed = not inspect.ismodule(_as_written(name))
            sections.append(f"## {name}\n\n{_directive(name, names, link_target=not shadowed)}")
    return {**pages, INNER: "\n\n".join(sections)}


def entries() -> dict[object, tuple[str, str]]:
    """Return for every public class and function the namespace and the name of its entry.

    Examples
    --------
    >>> import tinytrain
    >>> entries()[tinytrain.optim.AdamW], entries()[tinytrain.Trainer]
    (('tinytrain.optim', 'AdamW'), ('tinytrain.train', 'Trainer'))
    """
    found: dict[object, tuple[str, str]] = {}
    for namespace in NAMESPACES:
        module = importlib.import_module(namespace)
        for name in offered(module):
            found.setdefault(getattr(module, name), (namespace, name))
    return found


def inherited(kind: type, public: Collection[object]) -> dict[type, list[str]]:
    """Return the documented members that a class inherits from public classes, by class.

    What a public class has itself from inner ones counts as its own.

    Examples
    --------
    >>> import tinytrain
    >>> found = inherited(tinytrain.optim.AdamW, entries())
    >>> found[tinytrain.optim.Adam]
    ['needed_state', 'update']
    >>> "step" in found[tinytrain.optim.Optimizer]
    True
    >>> "sum" in inherited(tinytrain.nn.Parameter, entries())[tinytrain.Tensor]
    True
    >>> inherited(tinytrain.Tensor, entries())
    {}
    """
    bases = [base for base in kind.__mro__[1:] if base in public]
    found: dict[type, list[str]] = {}
    seen = _members(kind, bases)
    for position, base in enumerate(bases):
        names = _members(base, bases[position + 1 :]) - seen
        seen |= names
        if names:
            found[base] = sorted(names)
    return found


def _members(kind: type, bases: list[type]) -> set[str]:
    """Return the documented members of a class that do not come from its public bases."""
    beyond = {object, *(ancestor for base in bases for ancestor in base.__mro__)}
    return {
        name
        for ancestor in kind.__mro__
        if ancestor not in beyond and ancestor.__module__.startswith("tinytrain")
        for name, value in vars(ancestor).items()
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property))
        and inspect.getdoc(value)
    }


def _entry(place: tuple[str, str], public: Mapping[object, tuple[str, str]]) -> str:
    """Return the directive for one class or function, with links to what it inherits."""
    namespace, name = place
    value = getattr(importlib.import_module(namespace), name)
    if not inspect.isclass(value):
        return f"\n.. autofunction:: {namespace}.{name}"
    foreign = [
        base.__name__
        for base in value.__mro__[1:]
        if base in public or not base.__module__.startswith("tinytrain")
    ]
    lines = [
        f"\n.. autoclass:: {namespace}.{name}",
        "   :members:",
        f"   :inherited-members: {', '.join(foreign)}",
        "",
    ]
    for base, names in inherited(value, public).items():
        above = ".".join(public[base])
        links = ", ".join(f":py:obj:`{member} <{above}.{member}>`" for member in names)
        lines.append(f"   From :py:obj:`{base.__name__} <{above}>`: {links}.\n")
    return "\n".join(lines)


def offered(module: ModuleType) -> list[str]:
    """Return the classes and functions that a namespace offers, in the order of its `__all__`.

    Examples
    --------
    >>> import tinytrain.testing
    >>> offered(tinytrain.testing)
    ['CheckError', 'GradcheckError', 'check_layer', 'check_op', ...]
    """
    names = getattr(module, "__all__", None) or defined(module)
    return [name for name in names if _is_documented(getattr(module, name))]


def defined(module: ModuleType) -> list[str]:
    """Return the public classes and functions that a module defines itself, in its own order.

    Examples
    --------
    >>> import tinytrain.optim.adamw
    >>> defined(tinytrain.optim.adamw)
    ['AdamW']
    """
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and _is_documented(value)
        and value.__module__ == module.__name__
    ]


def _is_documented(value: object) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _as_written(name: str) -> object:
    """Return what a dotted name means to one who writes it down."""
    first, *rest = name.split(".")
    value: object = importlib.import_module(first)
    for attribute in rest:
        value = getattr(value, attribute)
    return value


def _directive(module: str, names: list[str], link_target: bool = True) -> str:
    lines = ["```{eval-rst}", f".. automodule:: {module}", f"   :members: {', '.join(names)}"]
    lines += [] if link_target else ["   :no-index:"]
    return "\n".join([*lines, "```"])


def flags() -> str:
    """Return the flags that the examples share, as a table in Markdown.

    Examples
    --------
    >>> print(flags())
    | flag | default | meaning |
    ...
    | `--seed` | `0` | of weights, data order and dropout |
    ...
    """
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for action in TrainingParser("", {}, {})._actions:
        if action.dest != "help":
            shown = action.default is not None and action.default is not False
            default = f"`{action.default}`" if shown else ""
            rows.append(f"| `{action.option_strings[0]}` | {default} | {action.help} |")
    return "\n".join(rows)
