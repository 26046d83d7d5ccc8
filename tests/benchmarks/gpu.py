"""Step time and device memory of tinytrain beside PyTorch eager on one GPU, in one interleaved run.

`python tests/benchmarks/gpu.py [--quick] [--json FILE]`

Without a usable GPU it says why, and measures nothing. `--device mock` and `--device cpu` go
through the same code for a test of this script; their figures say nothing of a GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from harness import ROOT, Result, Variant, measure, time_ratio
from machine import available_cores, processor_name, torch_version
from report import as_json, print_report
from workloads import WORKLOADS

sys.path.insert(0, str(ROOT))

from tinytrain.backend import cuda_problem
from tinytrain.testing.doctor.cuda_facts import cuda_findings

MODULES = {"tinytrain": "tinytrain_device_steps", "torch": "torch_device_steps"}
COLUMNS = ("workload", "variant", "step", "x torch", "device memory", "x torch")
NO_FIGURES = "THESE ARE NO GPU FIGURES: a test of the script"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "mock", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="few short blocks: a rough figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round there")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--variants", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--rounds", type=int, help="blocks per variant (default 15, quick 3)")
    parser.add_argument("--seconds", type=float, help="per block (default 1, quick 0.1)")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 15)
    options.seconds = options.seconds or (0.1 if options.quick else 1.0)
    return options


def torch_problem(device: str) -> str | None:
    """Say why PyTorch cannot run on the device, or return None."""
    if torch_version() is None:
        return "not installed"
    if device != "cuda":
        return None
    code = "import torch; print(torch.cuda.is_available())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if run.stdout.strip() == "True":
        return None
    words = run.stderr.strip().splitlines()[-1:] or ["torch.cuda.is_available() is False"]
    return f"{torch_version()} sees no GPU: {words[0]}"


def gpu_header(device: str, missing_torch: str | None) -> dict[str, str]:
    """What a reader must know before quoting a figure."""
    header = {} if device == "cuda" else {"WARNING": f"{NO_FIGURES} on the device {device}"}
    if device == "cuda":
        header |= {finding.name: finding.text for finding in cuda_findings()[:-1]}
    processor = f"{processor_name()}, {available_cores()} cores available"
    return header | {
        "precision": "float32, TF32 off on both sides (CUPY_TF32=0 and PyTorch's 'highest')",
        "PyTorch": f"left out, {missing_torch}" if missing_torch else _torch_build(),
        "host": f"{processor}, Python {platform.python_version()}, {platform.system()}",
        "NumPy": importlib.metadata.version("numpy"),
        "step": "forward, cross-entropy, backward, clipping, AdamW, and the batch's copy to the "
        "device; the loss is not read; synchronised before and after a block",
        "device memory": "held by the library's own pool at its peak, without the CUDA context",
    }


def _torch_build() -> str:
    return f"{torch_version()}, eager, default AdamW, fused attention"


def table_rows(workload: str, results: list[Result]) -> list[list[str]]:
    """One row per variant; "-" where there is nothing to compare with."""
    torch = next((result for result in results if result.variant == "torch"), None)
    rows = []
    for result in results:
        other = None if result is torch else torch
        step = f"{result.median_seconds * 1e3:.3f} ms"
        memory = f"{result.device_mb:.1f} MB" if result.device_mb else "-"
        times = "-" if other is None else f"{time_ratio(result, other):.2f}"
        comparable = other is not None and other.device_mb and result.device_mb
        memories = f"{result.device_mb / other.device_mb:.2f}" if comparable and other else "-"
        rows.append([workload, result.variant, step, times, memory, memories])
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; without a usable GPU, say why."""
    options = parse_arguments(arguments)
    os.environ["CUPY_TF32"] = "0"  # inherited by the workers
    problem = cuda_problem() if options.device == "cuda" else None
    if problem:
        print(f"Nothing was measured, for no GPU can be used: {problem}")
        return 0
    missing_torch = torch_problem(options.device)
    names = [name for name in options.variants if name != "torch" or not missing_torch]
    results = {}
    for workload in options.workloads:
        print(f"{workload}: {options.rounds} rounds of {len(names)} blocks", file=sys.stderr)
        call = (workload, options.device)
        steps = [Variant(name, MODULES[name], "DeviceStep", call) for name in names]
        results[workload] = measure(steps, available_cores(), options.rounds, options.seconds)
    rows = [row for workload, taken in results.items() for row in table_rows(workload, taken)]
    header = gpu_header(options.device, missing_torch)
    print_report(header, results, COLUMNS, rows)
    if options.json:
        options.json.write_text(as_json(header, results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
