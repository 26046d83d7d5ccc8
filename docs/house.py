"""The house that the package is: which part imports which, drawn from the sources.

A part is a file or a folder directly under `tinytrain`. Nothing is imported to find out: the
sources are parsed, so that imports inside functions count as well.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tinytrain"
ROOF = "__init__.py"

Imports = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name.

    Examples
    --------
    >>> modules()["tinytrain.optim.flat"].name
    'flat.py'
    """
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def part_of(module: str) -> str:
    """Return the part that a module belongs to, as its file or folder is called.

    Examples
    --------
    >>> part_of("tinytrain.tensor"), part_of("tinytrain.ops.matmul"), part_of("tinytrain")
    ('tensor.py', 'ops/', '__init__.py')
    """
    names = module.split(".")
    if len(names) == 1:
        return ROOF
    return f"{names[1]}/" if (ROOT / PACKAGE / names[1]).is_dir() else f"{names[1]}.py"


def imported_modules(source: str, known: Mapping[str, Path]) -> set[str]:
    """Return the modules of the package that a source text imports.

    `from tinytrain.ops import matmul` counts for `tinytrain.ops.matmul`; `from tinytrain import
    Tensor` counts for `tinytrain` itself.

    Examples
    --------
    >>> sorted(imported_modules("from tinytrain.ops import matmul; import numpy", modules()))
    ['tinytrain.ops.matmul']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in known else node.module for name in inner}
    return found & set(known)


def imports() -> dict[str, set[str]]:
    """Return, for each part of the package, the other parts it imports.

    Examples
    --------
    >>> sorted(imports()["autograd.py"])
    ['backend.py', 'in_place.py']
    """
    known = modules()
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        part = part_of(module)
        targets = imported_modules(path.read_text(encoding="utf-8"), known)
        graph.setdefault(part, set()).update(map(part_of, targets))
    return {part: targets - {part} for part, targets in graph.items()}


def floors(graph: Imports) -> dict[str, int]:
    """Return the floor of each part: one above the highest that it imports, or 1.

    Raises
    ------
    ValueError
        The imports run in a circle, so that there are no floors.

    Examples
    --------
    >>> floors({"roof": {"wall"}, "wall": {"ground"}, "ground": set()})
    {'ground': 1, 'wall': 2, 'roof': 3}
    >>> floors({"a": {"b"}, "b": {"a"}})
    Traceback (most recent call last):
        ...
    ValueError: a, b import each other in a circle

    A part of the package stands above all that it imports:

    >>> floor, graph = floors(imports()), imports()
    >>> all(floor[part] > floor[below] for part in graph for below in graph[part])
    True
    """
    floor: dict[str, int] = {}
    while len(floor) < len(graph):
        ready = [p for p in graph if p not in floor and all(b in floor for b in graph[p])]
        if not ready:
            stuck = ", ".join(sorted(set(graph) - set(floor)))
            raise ValueError(f"{stuck} import each other in a circle")
        for part in ready:
            floor[part] = 1 + max((floor[below] for below in graph[part]), default=0)
    return floor


def direct(graph: Imports) -> dict[str, set[str]]:
    """Leave out each import that follows from others, for a picture with few lines.

    Examples
    --------
    >>> direct({"c": {"a", "b"}, "b": {"a"}, "a": set()})["c"]
    {'b'}
    """

    def below(part: str) -> set[str]:
        return graph[part].union(*map(below, graph[part]))

    return {part: near - set().union(*map(below, near)) for part, near in graph.items()}


def lines_of(path: Path) -> int:
    """Return the number of lines of a file, or of all Python files of a folder."""
    files = path.rglob("*.py") if path.is_dir() else [path]
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def spine() -> list[Path]:
    """Return the files that the page on reading leads through, in its order.

    Examples
    --------
    >>> [path.name for path in spine()][:3]
    ['backend.py', 'in_place.py', 'autograd.py']
    """
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    names = re.findall(r'lines\["([^"]+)"\]', page)
    return [ROOT / name for name in dict.fromkeys(names)]


# ------------------------------------------------------------------------------ the picture

WIDTH, ROW = 560, 84  # of the boxes' part of the picture, and a floor's height
BOX_WIDTH, BOX_HEIGHT, GAP, LANE = 116, 44, 14, 10

Places = Mapping[str, tuple[float, float]]


def draw() -> str:
    """Return the house as a picture in HTML: a box per part, a line per import not implied.

    The roof, which imports all, has no lines. Lines to the next floor are curves; longer ones run
    down a lane of their own beside the boxes. The picture has the colours of the page it stands
    on, dark or light.

    Examples
    --------
    >>> "ops/" in draw()
    True
    """
    graph = imports()
    floor = floors(graph)
    place = _places(graph, floor)
    lines = {part: near for part, near in direct(graph).items() if part != ROOF}
    lanes = sum(floor[part] - floor[below] > 1 for part in lines for below in lines[part])
    width = WIDTH + (lanes + 1) * LANE
    return "".join(
        [
            f'<div><svg viewBox="0 0 {width} {max(floor.values()) * ROW}" ',
            'role="img" aria-label="The parts of the package and what they import" ',
            'font-family="sans-serif" font-size="13" fill="currentColor" ',
            'style="width:100%;max-width:760px;height:auto">',
            *_import_lines(lines, floor, place),
            *_boxes(place),
            "</svg></div>",
        ]
    )


def _places(graph: Imports, floor: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Place each part near those that import it, floor by floor from the top."""
    place: dict[str, tuple[float, float]] = {}
    top = max(floor.values())
    for number in range(top, 0, -1):
        wish = {}
        for part in (part for part in graph if floor[part] == number):
            above = [place[p][0] for p in place if p != ROOF and part in direct(graph)[p]]
            wish[part] = (sum(above) / len(above) if above else WIDTH, part)
        row = sorted(wish, key=wish.__getitem__)
        free = WIDTH - len(row) * BOX_WIDTH - (len(row) - 1) * GAP
        for position, part in enumerate(row):
            x = free / 2 + position * (BOX_WIDTH + GAP)
            place[part] = (x, (top - number) * ROW + 10)
    return place


def _import_lines(graph: Imports, floor: Mapping[str, int], place: Places) -> Iterator[str]:
    lane = WIDTH
    for part in graph:
        for below in sorted(graph[part]):
            x, x2 = place[part][0] + BOX_WIDTH / 2, place[below][0] + BOX_WIDTH / 2
            y, y2 = place[part][1] + BOX_HEIGHT, place[below][1]
            if floor[part] - floor[below] == 1:
                middle = (y + y2) / 2
                path = f"M{x} {y}C{x} {middle} {x2} {middle} {x2} {y2}"
            else:
                lane += LANE
                x, x2 = x + BOX_WIDTH / 4, x2 + BOX_WIDTH / 4
                above = y2 - 8 - (lane - WIDTH) / 3  # so that no two lie on each other
                path = f"M{x} {y}v9H{lane}V{above}H{x2}V{y2}"
            yield f'<path d="{path}" fill="none" stroke="currentColor" opacity="0.4"/>'


def _boxes(place: Places) -> Iterator[str]:
    for part, (x, y) in place.items():
        middle = x + BOX_WIDTH / 2
        yield (
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" '
            'fill="var(--color-background-primary, #fff)" stroke="currentColor"/>'
        )
        yield _text(middle, y + 19, part, 'text-anchor="middle" font-family="monospace"')
        count = f"{lines_of(ROOT / PACKAGE / part):,} lines"
        yield _text(middle, y + 36, count, 'text-anchor="middle" font-size="11" opacity="0.7"')


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
