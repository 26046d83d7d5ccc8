"""How long it takes to plan an epoch, and how good the plan is: buckets, packing, random batches.

`python tests/benchmarks/planning.py [--quick] [--lengths N ...]` prints the tables.

The lengths are log-normal like those of documents, 1 to 1,024 for buckets (median 90) and 1 to
2,048 for packing (median 245), where three other distributions come beside them. Each row gives
the time to build the sampler and the time of an epoch's plan, or the time of one packing plan; the
best of several rounds. The last table holds the figures against what the project promises.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from harness import ROOT
from machine import machine_header
from numpy.typing import NDArray
from report import markdown_table

sys.path.insert(0, str(ROOT))

from tinytrain.data import (
    BucketBatchSampler,
    LengthReport,
    OnlinePacker,
    PlannedBatchSampler,
    TokenBudgetBatchSampler,
    plan_packing,
    repeat_mates,
)
from tinytrain.data.order_measures import lag_correlation

Lengths = NDArray[np.int64]

BOUNDARIES = (32, 64, 96, 128, 192, 256, 384, 512)
SAMPLERS: dict[str, Callable[[Lengths], PlannedBatchSampler]] = {
    "random, 32 rows": lambda lengths: BucketBatchSampler(
        lengths, 32, batches_per_pool=1, noise=0.0
    ),
    "boundaries, 32 rows": lambda lengths: BucketBatchSampler(lengths, 32, boundaries=BOUNDARIES),
    "sorted pools, 32 rows": lambda lengths: BucketBatchSampler(lengths, 32),
    "budget of 4,096": lambda lengths: TokenBudgetBatchSampler(lengths, 4096),
    "budget of 4,096, multiple of 8": lambda lengths: TokenBudgetBatchSampler(
        lengths, 4096, multiple_of=8
    ),
    "budget of 4,096, 4 ranks": lambda lengths: TokenBudgetBatchSampler(
        lengths, 4096, num_replicas=4
    ),
}
BUCKET_COLUMNS = (
    "batches of",
    "lengths",
    "build, s",
    "epoch, s",
    "batches",
    "padding",
    "correlation",
    "repeat-mates",
    "CV of tokens",
)
PACKERS = ("best_fit_decreasing", "first_fit_decreasing", "next_fit", "online, 32 open rows")
CAPACITY = 2048
PROMISE_COLUMNS = ("promise", "at most", "measured", "kept")
PACKING_COLUMNS = ("algorithm", "lengths", "plan, s", "rows", "/ lower bound", "efficiency")


def log_normal_lengths(count: int, mean: float, spread: float, longest: int) -> Lengths:
    """Lengths 1 ... longest, the same in every run."""
    drawn = np.random.default_rng(0).lognormal(mean, spread, count)
    lengths: Lengths = np.clip(np.rint(drawn), 1, longest).astype(np.int64)
    return lengths


def packing_lengths(count: int) -> dict[str, Lengths]:
    """Four distributions of 1 ... CAPACITY, the same in every run."""

    def source() -> np.random.Generator:
        return np.random.default_rng(0)

    both = source()
    drawn = {
        "log-normal": source().lognormal(5.5, 1.0, count),
        "geometric": source().geometric(1 / 200, count),
        "bimodal": np.where(
            both.random(count) < 0.5, both.normal(300, 60, count), both.normal(1200, 200, count)
        ),
        "uniform": source().uniform(1, CAPACITY, count),
    }
    return {
        name: np.clip(np.rint(lengths), 1, CAPACITY).astype(np.int64)
        for name, lengths in drawn.items()
    }


def best_seconds(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The shortest time of several rounds, and what the last one returned."""
    shortest, result = math.inf, None
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result


def consume(batches: Iterable[Any]) -> None:
    """Draw all batches as a loader would."""
    for _ in batches:
        pass


def bucket_row(name: str, lengths: Lengths, rounds: int) -> list[str]:
    """Time and quality of one sampler."""
    build, sampler = best_seconds(lambda: SAMPLERS[name](lengths), rounds)
    epoch, _ = best_seconds(lambda: consume(sampler), rounds)
    batches = sampler.plan(0)
    report: LengthReport = sampler.report(0)
    return [
        name,
        f"{len(lengths):,}",
        f"{build:.3f}",
        f"{epoch:.3f}",
        f"{report.batches:,}",
        f"{report.padding_share:.1%}",
        f"{lag_correlation([lengths[batch].mean() for batch in batches]):+.2f}",
        f"{repeat_mates(batches, sampler.plan(1)):.3f}",
        f"{report.variation:.2f}",
    ]


def rows_online(lengths: list[int]) -> int:
    """How many rows the online packer closes, with 32 of them open."""
    packer = OnlinePacker(CAPACITY, open_rows=32)
    closed = sum(len(packer.add(np.zeros(length, np.int64))) for length in lengths)
    return closed + len(packer.flush())


def packing_row(name: str, lengths: Lengths, rounds: int) -> list[str]:
    """Time and quality of one algorithm."""
    bound = plan_packing(lengths, CAPACITY, "next_fit").lower_bound
    if name in ("best_fit_decreasing", "first_fit_decreasing", "next_fit"):
        seconds, plan = best_seconds(lambda: plan_packing(lengths, CAPACITY, name), rounds)
        rows = len(plan.rows)
    else:
        as_list = lengths.tolist()
        seconds, rows = best_seconds(lambda: rows_online(as_list), rounds)
    return [
        name,
        f"{len(lengths):,}",
        f"{seconds:.3f}",
        f"{rows:,}",
        f"{rows / bound:.4f}",
        f"{lengths.sum() / (rows * CAPACITY):.2%}",
    ]


def promise_rows(rounds: int) -> list[list[str]]:
    """What the project promises of planning, and what it comes to here."""
    lengths = log_normal_lengths(200_000, 5.5, 1.0, CAPACITY)
    seconds, _ = best_seconds(lambda: plan_packing(lengths, CAPACITY), rounds)
    measured = [("seconds for best-fit decreasing of 200,000", 0.25, seconds)]
    for name, drawn in packing_lengths(100_000).items():
        plan = plan_packing(drawn, CAPACITY)
        ratio = len(plan.rows) / plan.lower_bound
        measured.append((f"rows / lower bound, 100,000 {name}", 1.001, ratio))
    many = log_normal_lengths(100_000, 4.5, 0.8, 1024)
    seconds, _ = best_seconds(lambda: consume(TokenBudgetBatchSampler(many, 4096)), rounds)
    measured.append(("seconds for token-budget buckets of 100,000", 0.5, seconds))
    few = log_normal_lengths(20_000, 4.5, 0.8, 1024)
    sampler = TokenBudgetBatchSampler(few, 4096)
    batches = sampler.plan(0)
    correlation = lag_correlation([few[batch].mean() for batch in batches])
    measured += [
        ("padding share of 20,000", 0.05, sampler.report(0).padding_share),
        ("correlation of neighbouring batches, absolute", 0.1, abs(correlation)),
        ("repeat-mates from epoch to epoch", 0.08, repeat_mates(batches, sampler.plan(1))),
    ]
    return [
        [promise, f"{limit:g}", f"{value:.4f}", "yes" if value <= limit else "NO"]
        for promise, limit, value in measured
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds: a rough figure")
    parser.add_argument("--lengths", nargs="+", type=int, default=[20_000, 100_000, 200_000])
    options = parser.parse_args(arguments)
    rounds = 2 if options.quick else 7
    for key, value in machine_header(threads=1).items():
        print(f"- {key}: {value}")
    buckets = [
        bucket_row(name, log_normal_lengths(count, 4.5, 0.8, 1024), rounds)
        for count in options.lengths
        for name in SAMPLERS
    ]
    print(f"\n{markdown_table(BUCKET_COLUMNS, buckets)}")
    packing = [
        packing_row(name, log_normal_lengths(count, 5.5, 1.0, CAPACITY), rounds)
        for count in options.lengths
        for name in PACKERS
    ]
    print(f"\n{markdown_table(PACKING_COLUMNS, packing)}")
    others = [
        [name, *packing_row(PACKERS[0], lengths, rounds)[1:]]
        for name, lengths in packing_lengths(max(options.lengths)).items()
    ]
    print(f"\n{PACKERS[0]} of other lengths")
    print(f"\n{markdown_table(('lengths are', *PACKING_COLUMNS[1:]), others)}")
    print(f"\n{markdown_table(PROMISE_COLUMNS, promise_rows(rounds))}")


if __name__ == "__main__":
    main()
