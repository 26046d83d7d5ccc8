"""A clean copy of the sources, in which commands may build and install without leaving traces."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_NOT_SOURCES = (
    ".git",
    ".venv",
    "venv",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "_build",
    "build",
    "dist",
    "runs",
)


def copy_sources(target: Path) -> Path:
    """Copy the working tree, without what tools have left in it, to a folder that is not there."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
    return target
