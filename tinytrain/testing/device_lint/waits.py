"""What makes the host wait for the device, found in source code: reading a value back."""

import ast
from collections.abc import Iterator

from tinytrain.testing.device_lint.names import Names, assignments, gives_host_array

READS = {"item", "nonzero", "tolist"}
"""Methods that copy values to the host, or must know them to size their result."""

SIZED_BY_VALUES = {
    "argwhere", "array_equal", "asnumpy", "bincount", "compress", "extract", "flatnonzero",
    "histogram", "isin", "nonzero", "place", "unique",
}  # fmt: skip
PASSES = {"backward", "forward", "update"}
"""The methods whose parameters are arrays."""

ARRAY_TYPES = ("Array", "Array | None", "Tensor", "Tensor | None")
CONVERSIONS = {"bool", "complex", "float", "format", "int", "max", "min", "print", "repr", "str"}


def waiting_problems(tree: ast.AST, names: Names) -> Iterator[tuple[ast.AST, str]]:
    r"""Yield the expressions that wait for the device, each with what to say about it.

    Examples
    --------
    >>> from tinytrain.testing.device_lint.names import gather_names
    >>> tree = ast.parse("def forward(self, x):\n    return x[x > 0] if x else float(x)")
    >>> for node, message in waiting_problems(tree, gather_names(tree)):
    ...     print(ast.unparse(node), "|", message)
    x[x > 0] | a boolean mask waits for the device to count its elements: use xp.where
    x | the truth of an array waits for the device
    float(x) | float(...) of an array waits for the device
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, names)
        elif isinstance(node, ast.Subscript):
            yield from _of_index(node)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name in PASSES:
            yield from _in_pass(function, array_names(function, names))


def _of_call(node: ast.Call, names: Names) -> Iterator[tuple[ast.AST, str]]:
    if not isinstance(node.func, ast.Attribute):
        return
    name, receiver = node.func.attr, node.func.value
    if names.is_library(receiver):
        if name in SIZED_BY_VALUES or (name == "where" and len(node.args) == 1):
            yield node, f"xp.{name} waits for the device to know the values"
    elif name in READS and not (
        names.is_module(receiver) or gives_host_array(receiver, names.numpy)
    ):
        yield node, f".{name}() waits for the device"


def _of_index(node: ast.Subscript) -> Iterator[tuple[ast.AST, str]]:
    """Find masks and lists among the indices; Callable[[int], str] is an annotation."""
    last = ast.unparse(node.value).rpartition(".")[2]
    if last[:1].isupper():
        return
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for part in parts:
        inverted = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Invert)
        if isinstance(part, ast.Compare) or inverted:
            message = "a boolean mask waits for the device to count its elements: use xp.where"
            yield node, message
        elif isinstance(part, ast.List):
            yield node, "a list as index is copied to the device each time: use a slice"


def array_names(function: ast.FunctionDef, names: Names) -> set[str]:
    r"""Return the names that hold arrays in a method `forward`, `backward` or `update`.

    Parameters without a type or with an array's, and what is assigned from a call of the library
    or from ``self.saved``.

    Examples
    --------
    >>> from tinytrain.testing.device_lint.names import gather_names
    >>> tree = ast.parse("def forward(self, x, p: float):\n    y = xp_of(x).exp(x)")
    >>> sorted(array_names(tree.body[0], gather_names(tree)))
    ['x', 'y']
    """
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found = {
        argument.arg
        for argument in arguments
        if argument.annotation is None or ast.unparse(argument.annotation) in ARRAY_TYPES
    } - {"self", "cls", "xp"}
    for target, value in assignments(function):
        of_library = (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and names.is_library(value.func.value)
        )
        if of_library or ast.unparse(value) == "self.saved":
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            found |= {part.id for part in targets if isinstance(part, ast.Name)}
    return found


def _in_pass(function: ast.FunctionDef, arrays: set[str]) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and any(_computes_with(a, arrays) for a in node.args):
            called = ast.unparse(node.func)
            if called in CONVERSIONS or called.startswith("math."):
                yield node, f"{called}(...) of an array waits for the device"
        if isinstance(node, ast.FormattedValue) and _computes_with(node.value, arrays):
            yield node, "an array in an f-string waits for the device"
        for condition in _conditions(node):
            reduced = isinstance(condition, ast.Call) and isinstance(condition.func, ast.Attribute)
            if reduced and condition.func.attr in ("all", "any"):  # type: ignore[attr-defined]
                condition = condition.func.value  # type: ignore[attr-defined]
            if any(_computes_with(part, arrays) for part in _compared(condition)):
                yield condition, "the truth of an array waits for the device"


def _conditions(node: ast.AST) -> list[ast.expr]:
    """Return the expressions whose truth a node asks for."""
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        return [node.test]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    return node.values if isinstance(node, ast.BoolOp) else []


def _compared(condition: ast.expr) -> list[ast.expr]:
    """Return what a condition compares by value; itself, if it is no comparison."""
    if not isinstance(condition, ast.Compare):
        return [condition]
    by_value = not any(
        isinstance(sign, ast.Is | ast.IsNot | ast.In | ast.NotIn) for sign in condition.ops
    )
    return [condition.left, *condition.comparators] if by_value else []


def _computes_with(node: ast.expr, arrays: set[str]) -> bool:
    """Whether an expression is an array, or the result of one's method: not its shape or dtype."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _computes_with(node.func.value, arrays)
    return _is_one_of(node, arrays)


def _is_one_of(node: ast.expr, arrays: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in arrays
