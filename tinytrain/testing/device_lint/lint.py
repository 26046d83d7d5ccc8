"""Read source code for what would break, or wait, on a GPU: no array is computed, nothing runs.

For code that gets arrays of either library: an op, a kernel, an optimizer. Reading cannot know the
types of names, so it goes by where they come from: `xp_of(...)` gives a library, `import numpy as
np` another; a parameter of `forward`, `backward` or `update` is an array. What it cannot see, the
mock GPU (`tinytrain.set_device("mock")`) sees when the code runs.

A line that is meant as it stands says why: ``# host: the ids come from the loader``.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from tinytrain.testing.device_lint.names import (
    Names,
    attribute_chain,
    gather_names,
    gives_host_array,
)
from tinytrain.testing.device_lint.waits import waiting_problems
from tinytrain.testing.surface import Signature, surface

__all__ = ["Problem", "check_source"]

# Beside NumPy's dtypes and constants, which CuPy shares: none of these reads an array.
HOST_ONLY = {
    "broadcast_shapes", "can_cast", "errstate", "issubdtype", "ndarray", "promote_types",
    "result_type", "typing",
}  # fmt: skip
MATHEMATICS = {
    "ceil", "cos", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10", "log1p",
    "log2", "prod", "sin", "sqrt", "tan", "tanh",
}  # fmt: skip
"""What the standard library's `math` offers for a number under the same name."""

FLOAT64_BY_DEFAULT = {"empty", "eye", "full", "identity", "linspace", "logspace", "ones", "zeros"}
CARRIED_OVER = {"array", "asanyarray", "asarray"}
MISSING_METHODS = {"ctypes", "getfield", "resize", "setfield", "setflags", "to_device"}
NUMPY_KEYWORDS = {"initial", "kind", "mode", "order", "stable", "where"}
"""Keywords of NumPy's array methods that CuPy's lack here and there."""

Finding = tuple[ast.AST, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One place in a source text that would go wrong on a GPU.

    Parameters
    ----------
    line, column : int
        Counted from 1 and from 0, as Python's own `ast` does.
    message : str
        What is wrong, and what to write.
    filename : str

    Examples
    --------
    >>> print(Problem(3, 4, "CuPy has no xp.geomspace", "op.py"))
    op.py:3:4: CuPy has no xp.geomspace
    """

    line: int
    column: int
    message: str
    filename: str = "<source>"

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}:{self.column}: {self.message}"


def check_source(
    source: str, filename: str = "<source>", *, may_import_cupy: bool = False
) -> list[Problem]:
    r"""Return what would break or wait on a GPU in code that computes on arrays of either library.

    Found are: names, keywords and argument counts that CuPy does not have behind ``xp.``; `numpy`
    functions that compute; imports of CuPy; array methods and their keywords that CuPy lacks;
    float64 by default; copies from host memory; and what makes the host wait for the device
    (``.item()``, ``float(x)``, ``if x:``, boolean masks). A trailing comment ``# host: reason``
    excuses a line.

    Parameters
    ----------
    source : str
        The text of one module.
    filename : str
        For messages.
    may_import_cupy : bool
        Whether this file is one that talks to CuPy itself.

    Returns
    -------
    list of Problem
        In the order of the lines; empty where nothing was found.

    Raises
    ------
    SyntaxError
        The text is not Python.

    Examples
    --------
    >>> source = '''
    ... import numpy as np
    ... def norm(x):
    ...     xp = xp_of(x)
    ...     return np.sqrt(xp.sum(x * x, where=x > 0))
    ... '''
    >>> for problem in check_source(source):
    ...     print(problem.line, problem.message)
    5 np.sqrt reads an array that may be on a device: write xp_of(x).sqrt, math.sqrt for a number
    5 cupy.sum takes no argument 'where'; it takes a, axis, dtype, out, keepdims
    >>> check_source("rows = np.arange(3)  # host: a constant table\nimport numpy as np")
    []
    """
    tree = ast.parse(source, filename)
    names = gather_names(tree)
    findings = [
        *_calls(tree, names),
        *([] if may_import_cupy else _imports_of_cupy(tree)),
        *_imports_from_numpy(tree),
        *waiting_problems(tree, names),
    ]
    excuses = _excuses(source)
    found = {
        Problem(node.lineno, node.col_offset, message, filename)
        for node, message in findings
        if isinstance(node, ast.expr | ast.stmt)
        and not any(excuses.get(line) for line in range(node.lineno, _last_line(node) + 1))
    }
    found |= {
        Problem(line, 0, "an excuse gives its reason: # host: why", filename)
        for line, reason in excuses.items()
        if not reason
    }
    return sorted(found, key=lambda p: (p.line, p.column, p.message))


def _last_line(node: ast.expr | ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _excuses(source: str) -> dict[int, str]:
    """Return the reason given on each line that carries a ``# host:`` comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = ((t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT)
    found = ((line, re.search(r"#\s*host:(.*)", text)) for line, text in comments)
    return {line: match[1].strip() for line, match in found if match}


# ---------------------------------------------------------------- attributes and calls


def _calls(tree: ast.AST, names: Names) -> Iterator[Finding]:
    """Look at every dotted name once, with the call it is the function of, if there is one."""
    nodes = list(ast.walk(tree))
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        base, parts = attribute_chain(node)
        call = calls.get(id(node))
        if names.is_library(base):
            messages = _of_library(parts, call)
        elif names.is_numpy(base):
            messages = _of_numpy(parts, call)
        elif not names.is_module(base):
            messages = _of_array(parts[-1], call)
        else:
            continue
        yield from ((call or node, message) for message in messages)


def _of_library(parts: list[str], call: ast.Call | None) -> Iterator[str]:
    """Hold ``xp.<parts>`` against CuPy's surface."""
    cupy, name = surface(), parts[0]
    dotted = ".".join(parts)
    if name.startswith("__"):
        return
    if not cupy.knows(name) or (name == "linalg" and not cupy.function(dotted)):
        yield f"CuPy has no xp.{dotted}"
        return
    if name == "random":
        yield "CuPy's random stream is another than NumPy's: draw on the host and bring it over"
        return
    ufunc, signature = cupy.ufunc(name), cupy.function(dotted)
    if ufunc is not None:
        signature = ufunc.signature
        if len(parts) == 2 and parts[1] in surface().ufuncs["add"].methods:
            signature = ufunc.methods.get(parts[1])
            if signature is None:
                yield f"CuPy has no xp.{dotted}"
    if call is not None and signature is not None:
        problem = _misfit(signature, call)
        if problem:
            yield problem
        yield from _of_creation(name, signature, call)


def _misfit(signature: Signature, call: ast.Call) -> str | None:
    keywords = [keyword.arg for keyword in call.keywords if keyword.arg]
    unpacked = any(keyword.arg is None for keyword in call.keywords)
    if unpacked or any(isinstance(argument, ast.Starred) for argument in call.args):
        return signature.check(
            0, {*keywords, *signature.required} & {*keywords, *signature.keywords}
        )
    return signature.check(len(call.args), keywords)


def _of_creation(name: str, signature: Signature, call: ast.Call) -> Iterator[str]:
    if name in CARRIED_OVER:
        yield (
            f"xp.{name} copies a number or a host array to the device: use xp.full, x.astype, "
            "or to_device"
        )
    if name in FLOAT64_BY_DEFAULT:
        position = signature.positional.index("dtype")
        given = len(call.args) > position or any(k.arg in ("dtype", None) for k in call.keywords)
        if not given:
            yield f"xp.{name} without dtype= gives float64: say which dtype"


def _of_numpy(parts: list[str], call: ast.Call | None) -> Iterator[str]:
    """Let pass what reads no array: dtypes, constants, and a few functions of dtypes and shapes."""
    name = parts[0]
    if name in ("float64", "double") and call is not None:
        yield f"np.{name}(...) turns float32 into float64: use a Python float"
    if name in HOST_ONLY or surface().is_constant(name):
        return
    if name == "random":
        yield "np.random draws on the host: draw with a generator there and bring it over"
        return
    if call is not None and call.args and gives_host_array(call.args[0], frozenset()):
        return
    if name in CARRIED_OVER:
        yield f"np.{name} makes a host array: write to_host(x), or backend.as_array(x) for a scalar"
        return
    number = f", math.{name} for a number" if name in MATHEMATICS else ""
    yield f"np.{name} reads an array that may be on a device: write xp_of(x).{name}{number}"


def _of_array(name: str, call: ast.Call | None) -> Iterator[str]:
    """Check a method of what may be an array."""
    if name in MISSING_METHODS:
        yield f"a CuPy array has no .{name}"
    signature = surface().method(name)
    if call is not None and signature is not None:
        given = {keyword.arg or "" for keyword in call.keywords}
        for keyword in sorted((given & NUMPY_KEYWORDS) - signature.keywords):
            yield f"a CuPy array's .{name} takes no argument {keyword!r}"


# ---------------------------------------------------------------- imports


def _imports_of_cupy(tree: ast.AST) -> Iterator[Finding]:
    message = "only the backend and the kernels import CuPy: ask xp_of(x) for the library"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            imported = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
        else:
            continue
        if any(name.split(".")[0] in ("cupy", "cupyx") for name in imported):
            yield node, message


def _imports_from_numpy(tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "numpy":
            for alias in node.names:
                yield from ((node, message) for message in _of_numpy([alias.name], None))
