"""The benchmarks are scripts that import one another: only their tests are collected."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

collect_ignore = [path.name for path in HERE.glob("*.py") if not path.name.startswith("test_")]
