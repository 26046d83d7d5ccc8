"""What the reference pages list: every public class and function, each of them once.

What a namespace that users import from offers in its `__all__` stands on that namespace's page,
under the name users write; the rest stands on the page of the inner modules, by file.
"""

import importlib
import inspect
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
    pages: dict[str, str] = {}
    shown: set[int] = set()
    for namespace in NAMESPACES:
        module = importlib.import_module(namespace)
        names = [name for name in offered(module) if id(getattr(module, name)) not in shown]
        shown.update(id(getattr(module, name)) for name in names)
        pages[namespace] = _directive(namespace, names)
    sections = []
    for name in modules():
        if name in NAMESPACES:
            continue
        module = importlib.import_module(name)
        names = [inner for inner in defined(module) if id(getattr(module, inner)) not in shown]
        if names:
            # The module tinytrain.tensor and the function tt.tensor cannot share one link target.
            shadowed = not inspect.ismodule(_as_written(name))
            sections.append(f"## {name}\n\n{_directive(name, names, link_target=not shadowed)}")
    return {**pages, INNER: "\n\n".join(sections)}


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
