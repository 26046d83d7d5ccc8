"""Where a step's time goes, by the function that spends it."""

from __future__ import annotations

import ast
import cProfile
import functools
import importlib
import json
import pstats
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from harness import ROOT, Variant, worker_environment

WARM_UP_STEPS = 3
STEPS = 20
LINES = 20

Function = tuple[str, int, str]
"""How cProfile names a function: file, first line, name."""


def print_profile(variant: Variant, threads: int) -> None:
    """Profile a variant in a process of its own, which prints the table."""
    call = [variant.name, variant.module, variant.function, json.dumps(variant.arguments)]
    command = [sys.executable, __file__, *call]
    subprocess.run(command, env=worker_environment(threads), check=True)


def profile(variant: Variant) -> None:
    """Run some steps under cProfile and print the most expensive functions.

    Time spent in NumPy or the standard library counts for the function of this repository that
    called it. The profiler slows cheap calls down, so shares are right to a few points only.
    """
    step = getattr(importlib.import_module(variant.module), variant.function)(*variant.arguments)
    for _ in range(WARM_UP_STEPS):
        step()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(STEPS):
        step()
    profiler.disable()
    seconds = own_seconds(pstats.Stats(profiler))
    total = sum(seconds.values())
    title = " ".join([variant.name, *variant.arguments])
    print(f"\n{title}: {total / STEPS * 1e3:.2f} ms per step under the profiler")
    print("| share | ms per step | function |\n|---|---|---|")
    for function, spent in sorted(seconds.items(), key=lambda item: -item[1])[:LINES]:
        print(f"| {spent / total:.1%} | {spent / STEPS * 1e3:.3f} | {qualified_name(function)} |")


def own_seconds(stats: pstats.Stats) -> dict[Function, float]:
    """Seconds by function of this repository: its own, and those of the foreign code it called."""
    seconds: dict[Function, float] = defaultdict(float)
    for function, (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if _is_ours(function):
            seconds[function] += own
            continue
        for caller, (_, _, _, cumulative) in callers.items():
            if _is_ours(caller):
                seconds[caller] += cumulative
    return seconds


def _is_ours(function: Function) -> bool:
    return function[0].startswith(str(ROOT))


def qualified_name(function: Function) -> str:
    """File, line and Class.method, which cProfile does not tell apart by itself."""
    path, line, name = function
    name = _qualified_names(path).get(line, name)
    return f"{name} ({Path(path).relative_to(ROOT)}:{line})"


@functools.cache
def _qualified_names(path: str) -> dict[int, str]:
    """Class.method by the line where it starts."""
    names = {}
    for owner in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(owner, ast.ClassDef):
            for method in owner.body:
                if isinstance(method, ast.FunctionDef):
                    first = min([method.lineno, *(d.lineno for d in method.decorator_list)])
                    names[first] = f"{owner.name}.{method.name}"
    return names


if __name__ == "__main__":
    name, module, function, arguments = sys.argv[1:]
    profile(Variant(name, module, function, tuple(json.loads(arguments))))
