import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import tinytrain  # noqa: E402
from docs import house, reference  # noqa: E402

project = "tinytrain"
author = "the tinytrain authors"
copyright = author
release = version = tinytrain.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3

# What pages say about the sources is worked out from them whenever the site is built.
files = [*ROOT.glob("tinytrain/**/*.py"), *ROOT.glob("examples/*.py")]
myst_substitutions = {
    "house": house.draw(),
    "lines": {p.relative_to(ROOT).as_posix(): f"{house.lines_of(p):,}" for p in files},
    "total": f"{house.lines_of(ROOT / 'tinytrain'):,}",
    "spine": f"{sum(map(house.lines_of, house.spine())):,}",
    "reference": reference.reference(),
    "flags": reference.flags(),
}

# Docstrings write `name` for whatever has a page here, and for any other piece of code.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = False
napoleon_use_rtype = False

# A short name such as `name` or `forward` may fit several attributes; any of them will do.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "tinytrain"
html_show_sourcelink = False

# ------------------------------------------------------------------------------ docstrings

_EXAMPLE = re.compile(r"\s*(>>>|\.\.\. )")
_EMPHASIS = re.compile(r"(?<![\w*`\\])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*`])")
_LONE_MARK = re.compile(r"(?<![\w*|`\\])([*|])(?=\w)")


def escape_marks(
    app: object, what: str, name: str, subject: object, options: object, lines: list[str]
) -> None:
    """Let mathematics such as |x| and (..., *S) stand in docstrings, which are read as text too.

    To reStructuredText a bar or a star before a word begins a markup that somewhere ends.
    """
    text = _EMPHASIS.sub("\0\\1\0", "\n".join(lines))
    for position, line in enumerate(text.split("\n")):
        if not _EXAMPLE.match(line):
            line = _LONE_MARK.sub(r"\\\1", line)
        lines[position] = line.replace("\0", "*")


def tidy_page(app: object, page: nodes.document) -> None:
    """Take away what Sphinx makes of two habits of these sources.

    In a docstring's types, "array" or "mapping" are words and no links to whatever has such a name.
    And the empty line that ends a block of examples is for doctest, not for readers.
    """
    for link in list(page.findall(pending_xref)):
        if link.get("refspecific") and link["reftarget"].islower():
            link.replace_self(link.children)
    for block in page.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block.children = []
        block += nodes.Text(block.rawsource)


def setup(app: Any) -> None:
    """Connect with the site's build: with docstrings before their sections are read, and pages."""
    app.connect("autodoc-process-docstring", escape_marks, priority=400)
    app.connect("doctree-read", tidy_page)
