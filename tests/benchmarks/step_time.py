"""Step time and peak memory of tinytrain, PyTorch eager and NumPy by hand, in one interleaved run.

`python tests/benchmarks/step_time.py [--quick] [--threads N] [--json FILE] [--profile]`
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from harness import Result, Variant, measure, time_ratio
from machine import available_cores, machine_header, torch_version
from profiling import print_profile
from report import as_json, print_report
from workloads import WORKLOADS

MODULES = {"tinytrain": "tinytrain_steps", "floor": "numpy_steps", "torch": "torch_steps"}
COLUMNS = (
    "workload",
    "variant",
    "step",
    "x torch",
    "x floor",
    "peak memory",
    "x torch",
    "x floor",
    "of it at import",
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few short blocks: a rough figure")
    parser.add_argument("--threads", type=int, default=available_cores(), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round there")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--variants", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--rounds", type=int, help="blocks per variant (default 15, quick 5)")
    parser.add_argument("--seconds", type=float, help="per block (default 0.5, quick 0.2)")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (5 if options.quick else 15)
    options.seconds = options.seconds or (0.2 if options.quick else 0.5)
    return options


def table_rows(workload: str, results: list[Result]) -> list[list[str]]:
    """One row per variant; "-" where there is nothing to compare with."""
    by_name = {result.variant: result for result in results}
    rows = []
    for result in results:
        times, peaks = ["-", "-"], ["-", "-"]
        for place, name in enumerate(("torch", "floor")):
            if name in by_name and name != result.variant:
                times[place] = f"{time_ratio(result, by_name[name]):.2f}"
                peaks[place] = f"{result.peak_mb / by_name[name].peak_mb:.2f}"
        step = f"{result.median_seconds * 1e3:.2f} ms"
        memory = [f"{result.peak_mb:.0f} MB", *peaks, f"{result.imported_mb:.0f} MB"]
        rows.append([workload, result.variant, step, *times, *memory])
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, or profile, and print."""
    options = parse_arguments(arguments)
    names = [name for name in options.variants if name != "torch" or torch_version()]
    variants = {
        workload: [Variant(name, MODULES[name], "make_step", (workload,)) for name in names]
        for workload in options.workloads
    }
    if options.profile:
        for variant in itertools.chain(*variants.values()):
            print_profile(variant, options.threads)
        return

    results = {}
    for workload, steps in variants.items():
        print(f"{workload}: {options.rounds} rounds of {len(names)} blocks", file=sys.stderr)
        results[workload] = measure(steps, options.threads, options.rounds, options.seconds)
    rows = [row for workload, taken in results.items() for row in table_rows(workload, taken)]
    header = machine_header(options.threads)
    print_report(header, results, COLUMNS, rows)
    if options.json:
        options.json.write_text(as_json(header, results))


if __name__ == "__main__":
    main()
