"""The loader beside PyTorch's and a bare NumPy loop, in one interleaved run.

`python tests/benchmarks/data_loader.py [--quick] [--workloads NAME ...] [--json FILE]`
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

from data_workloads import WORKLOADS
from harness import Result, Variant, measure, time_ratio
from machine import machine_header, torch_version
from report import as_json, print_report

MODULES = {
    "tinytrain": "tinytrain_data_steps",
    "bare loop": "numpy_data_steps",
    "torch": "torch_data_steps",
}
COLUMNS = ("workload", "variant", "step", "samples/s", "x torch", "x bare loop", "torch / it")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few short blocks: a rough figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round there")
    offered = [name for name, work in WORKLOADS.items() if can_start(work.start_method)]
    parser.add_argument("--workloads", nargs="+", choices=offered, default=offered)
    parser.add_argument("--rounds", type=int, help="blocks per variant (default 9, quick 3)")
    parser.add_argument("--seconds", type=float, help="per block (default 2, quick 0.5)")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 9)
    options.seconds = options.seconds or (0.5 if options.quick else 2)
    return options


def can_start(method: str | None) -> bool:
    """Whether this system knows a start method."""
    return method is None or method in multiprocessing.get_all_start_methods()


def variants_of(name: str) -> list[Variant]:
    """The variants of a workload: the bare loop has no workers, and PyTorch may be missing."""
    names = ["tinytrain"]
    names += [] if WORKLOADS[name].workers else ["bare loop"]
    names += ["torch"] if torch_version() else []
    return [Variant(variant, MODULES[variant], "make_step", (name,)) for variant in names]


def table_rows(name: str, results: list[Result]) -> list[list[str]]:
    """One row per variant; "-" where there is nothing to compare with."""
    by_name = {result.variant: result for result in results}
    rows = []
    for result in results:
        ratios = ["-", "-", "-"]
        for place, other in enumerate(("torch", "bare loop")):
            if other in by_name and other != result.variant:
                ratios[place] = f"{time_ratio(result, by_name[other]):.2f}"
        if "torch" in by_name and result.variant != "torch":
            ratios[2] = f"{time_ratio(by_name['torch'], result):.2f}"
        speed = f"{WORKLOADS[name].samples / result.median_seconds:,.0f}"
        rows.append([name, result.variant, f"{result.median_seconds * 1e3:.1f} ms", speed, *ratios])
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    options = parse_arguments(arguments)
    results = {}
    for name in options.workloads:
        variants = variants_of(name)
        print(f"{name}: {options.rounds} rounds of {len(variants)} blocks", file=sys.stderr)
        results[name] = measure(variants, 1, options.rounds, options.seconds)
    rows = [row for name, taken in results.items() for row in table_rows(name, taken)]
    header = machine_header(1)
    print_report(header, results, COLUMNS, rows)
    if options.json:
        options.json.write_text(as_json(header, results))


if __name__ == "__main__":
    main()
