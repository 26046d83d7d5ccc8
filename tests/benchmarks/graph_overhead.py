"""What the tape costs per operation: 1,000 chained ops on 32 elements, forward and backward.

`python tests/benchmarks/graph_overhead.py [--quick] [--json FILE]` prints the table.

The arrays are so small that nearly all the time is the framework's own: calling the op, making a
node, walking back. `y * scale` and `y + shift` alternate; only the start of the chain needs a
gradient. NumPy by hand makes the same calls without a tape: it is the limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import Variant, measure, time_ratio
from machine import machine_header, torch_version
from numpy_parts import Array
from report import as_json, print_report

OPERATIONS = 1000
ELEMENTS = 32
MAKERS = {"tinytrain": "make_tinytrain", "numpy": "make_numpy", "torch": "make_torch"}


def chain_arrays() -> tuple[Array, Array, Array]:
    """The chain's start, scale and shift, each (32,) float32; values stay near 1 all the way."""
    start, scale, shift = np.random.default_rng(0).random((3, ELEMENTS), dtype=np.float32)
    return start, 1 + (scale - 0.5) * 1e-3, (shift - 0.5) * 1e-3


def make_numpy() -> Callable[[], float]:
    """The chain by hand. Its derivative is scale to the power of the multiplications."""
    start, scale, shift = chain_arrays()

    def step() -> float:
        y = start
        for _ in range(OPERATIONS // 2):
            y = y * scale
            y = y + shift
        gradient = np.ones_like(y)
        for _ in range(OPERATIONS // 2):
            gradient = gradient * scale  # the addition passes it on unchanged
        return float(gradient.sum())

    return step


def make_torch() -> Callable[[], float]:
    """The chain on PyTorch tensors."""
    import torch

    start, scale, shift = (torch.from_numpy(array) for array in chain_arrays())
    start.requires_grad_()

    def step() -> float:
        start.grad = None
        y = start
        for _ in range(OPERATIONS // 2):
            y = y * scale
            y = y + shift
        y.sum().backward()
        return float(start.grad.sum())

    return step


def make_tinytrain() -> Callable[[], float]:
    """The chain on tinytrain tensors."""
    import tinytrain as tt

    start_array, scale_array, shift_array = chain_arrays()
    start = tt.tensor(start_array, requires_grad=True)
    scale, shift = tt.tensor(scale_array), tt.tensor(shift_array)

    def step() -> float:
        start.grad = None
        y = start
        for _ in range(OPERATIONS // 2):
            y = y * scale
            y = y + shift
        y.sum().backward()
        return float(start.grad.sum())

    return step


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few short blocks: a rough figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round there")
    parser.add_argument("--variants", nargs="+", choices=MAKERS, default=list(MAKERS))
    options = parser.parse_args(arguments)
    names = [name for name in options.variants if name != "torch" or torch_version()]
    variants = [Variant(name, "graph_overhead", MAKERS[name]) for name in names]
    rounds, seconds = (5, 0.1) if options.quick else (15, 0.3)
    results = measure(variants, threads=1, rounds=rounds, seconds=seconds)

    by_name = {result.variant: result for result in results}
    rows = []
    for result in results:
        ratios = [
            f"{time_ratio(result, by_name[other]):.2f}"
            if other in by_name and other != result.variant
            else "-"
            for other in ("torch", "numpy")
        ]
        rows.append([result.variant, f"{result.median_seconds / OPERATIONS * 1e6:.2f}", *ratios])
    header = machine_header(threads=1)
    columns = ("variant", "us per op", "x torch", "x numpy")
    print_report(header, {"chain": results}, columns, rows)
    if options.json:
        options.json.write_text(as_json(header, {"chain": results}))


if __name__ == "__main__":
    main()
