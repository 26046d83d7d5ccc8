"""Attention by tiles beside attention with all scores at once: when does it pay?

`python tests/benchmarks/attention_tiles.py [--quick] [--lengths T ...] [--segment N ...]`

Prints, for numbers of heads x their width and lengths of rows, the time of a forward and a backward
pass by tiles over that with all scores at once: below 1 tiles are faster. Causal self-attention of
one row in float32; the processor's time, on one thread; medians over rounds in which both take
turns. A segment of 0 tokens means no segments; others are rows packed with documents of about so
many tokens. `tinytrain.kernels.tiled_attention.tiling_pays` is made from these figures.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported

import argparse
import sys
import time

import numpy as np
from harness import ROOT
from machine import machine_header
from report import markdown_table

sys.path.insert(0, str(ROOT))

import tinytrain as tt
from tinytrain.kernels.tiled_attention import tiling_pays
from tinytrain.nn import functional as F

HEADS = ((1, 16), (1, 64), (2, 16), (2, 32), (2, 64), (4, 16), (4, 32), (4, 64), (8, 32), (8, 64))
LENGTHS = (256, 512, 1024, 2048, 4096)


def packed_ids(length: int, segment: int) -> tt.Tensor:
    """One row of segments of 1 to 2 x `segment` tokens."""
    ends = np.cumsum(np.random.default_rng(0).integers(1, 2 * segment, length))
    return tt.from_numpy(np.searchsorted(ends, np.arange(length), side="right")[None] + 1)


def ratio(heads: int, width: int, length: int, segment: int, rounds: int) -> float:
    """The median time by tiles over the median time with all scores."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(1, length, 4 * heads * width)).astype(np.float32)
    qkv = tt.tensor(numbers[..., heads * width :], requires_grad=True)
    upstream = tt.tensor(numbers[..., : heads * width])
    ids = packed_ids(length, segment) if segment else None
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for tiled in (False, True):
            qkv.grad = None
            start = time.process_time()
            out = F.packed_self_attention(qkv, heads, is_causal=True, segment_ids=ids, tiled=tiled)
            out.backward(upstream)
            if number:  # the first is to warm up
                seconds[tiled].append(time.process_time() - start)
            del out
    return float(np.median(seconds[True]) / np.median(seconds[False]))


def rows(lengths: list[int], segment: int, rounds: int) -> list[list[str]]:
    """A row for each number of heads and width; a star where tiles are chosen by default."""
    found = []
    for heads, width in HEADS:
        cells = [f"{heads} x {width}"]
        for length in lengths:
            few = rounds if length < 2048 else max(rounds // 2, 2)
            chosen = tiling_pays(
                np.zeros(1, np.float32), (1, heads, length, width), length, bool(segment)
            )
            star = "*" if chosen else ""
            cells.append(f"{ratio(heads, width, length, segment, few):.2f}{star}")
        found.append(cells)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds: a rough figure")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--segment", nargs="+", type=int, default=[0, 400])
    options = parser.parse_args(arguments)
    for key, value in machine_header(threads=1).items():
        print(f"- {key}: {value}")
    for segment in options.segment:
        what = f"segments of about {segment} tokens" if segment else "no segments"
        columns = ("heads x width", *(f"T = {length:,}" for length in options.lengths))
        table = rows(options.lengths, segment, 2 if options.quick else 7)
        print(f"\n{what}; * tiles by default\n\n{markdown_table(columns, table)}", flush=True)


if __name__ == "__main__":
    main()
