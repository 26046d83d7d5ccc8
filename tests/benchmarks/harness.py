"""Fair timing: one process per variant, blocks of steps taken in turn, ratios within each round.

The parent starts a worker per variant and talks to it over pipes, one JSON line each way. Only one
worker computes at a time. A ratio is taken between blocks of the same round, so that a machine
that slows down slows both sides; the median over the rounds is reported.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
MOST_STEPS = 400  # of a block
QUIET_SHARE = 0.07  # of the machine, used by other processes during a block
RETAKES = 3
SETTLE_SECONDS = 0.05  # until the last worker's idle threads stop spinning


# ---- The worker's side -----------------------------------------------------------------------


def memory_mb() -> tuple[float, float]:
    """This process's memory now and at its peak, in MB (10⁶ bytes); now is 0 where unknown."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start at the parent's size: a child inherits it
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        now, peak = (int(fields[key].split()[0]) * 1.024e-3 for key in ("VmRSS", "VmHWM"))
        return now, peak
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def serve(module_name: str, function_name: str, arguments: list[Any]) -> None:
    """Answer the parent's requests about one variant until it closes the pipe."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not become a reply
    module = importlib.import_module(module_name)
    imported_mb = memory_mb()[0]
    make_step: Callable[..., Callable[[], SupportsFloat]] = getattr(module, function_name)
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, Any]
        if request["do"] == "losses":
            step = make_step(*arguments)
            reply = {"losses": [float(step()) for _ in range(request["steps"])]}
            del step
        elif request["do"] == "block":
            reply = _time_block(make_step(*arguments), request["seconds"])
        else:
            reply = {"imported_mb": imported_mb, "peak_mb": memory_mb()[1]}
        replies.write(json.dumps(reply) + "\n")


def _time_block(step: Callable[[], SupportsFloat], seconds: float) -> dict[str, float]:
    """Mean seconds per step over about `seconds`, after a warm-up of a tenth of that.

    Every block starts from the initial weights and ends early: Adam's moments of a ReLU that died
    shrink by a tenth per step, after 800 steps they are denormal numbers, and a CPU takes several
    times as long for those. How long the benchmark runs must not change what it measures.

    A step on a device may return before its work is done. It has a method `synchronize`, which
    waits; and a method `device_mb`, the memory it holds there. A step with processes of its own
    has a true `has_processes`: what they compute cannot be told from what others do.
    """
    synchronize = getattr(step, "synchronize", _nothing)
    warm_up_end = time.perf_counter() + seconds / 10
    step()
    while time.perf_counter() < warm_up_end:
        step()
    synchronize()
    steps = 0
    foreign_before, start = _foreign_seconds(), time.perf_counter()
    while steps < 2 or (steps < MOST_STEPS and time.perf_counter() - start < seconds):
        step()
        steps += 1
    synchronize()
    elapsed = time.perf_counter() - start
    foreign = (_foreign_seconds() - foreign_before) / elapsed / (os.cpu_count() or 1)
    foreign = 0.0 if getattr(step, "has_processes", False) else foreign
    device_mb = getattr(step, "device_mb", _nothing)() or 0.0
    return {"seconds": elapsed / steps, "foreign": foreign, "device_mb": device_mb}


def _nothing() -> None:
    """What a step on the CPU has to wait for, and holds elsewhere."""


def _foreign_seconds() -> float:
    """CPU seconds that everything but this process has used since boot; 0 where unknown."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, interrupt, soft_interrupt, steal = map(
        int, stat.read_text().split(maxsplit=9)[1:9]
    )
    busy = user + nice + system + interrupt + soft_interrupt + steal
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()


# ---- The parent's side -----------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """A named step: `function(*arguments)` in `module` builds it. Arguments must be JSON."""

    name: str
    module: str
    function: str
    arguments: tuple[Any, ...] = ()


def worker_environment(threads: int) -> dict[str, str]:
    """The environment of a process that computes: its threads, and this checkout's tinytrain."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads_set = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return os.environ | threads_set | {"PYTHONPATH": os.pathsep.join(paths)}


class Worker:
    """One variant in a process of its own."""

    def __init__(self, variant: Variant, threads: int) -> None:
        self.name = variant.name
        call = [variant.module, variant.function, json.dumps(variant.arguments)]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "harness.py"), *call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=worker_environment(threads),
        )

    def ask(self, request: str, **details: float) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # of a dead worker: then the reply is empty
            self.process.stdin.write(json.dumps({"do": request, **details}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"The benchmark process of {self.name!r} died; its error is above.")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process: it stops when its input ends."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


@dataclass
class Result:
    """What one variant took: seconds per step of every round, MB, and the first losses.

    `peak_mb` is the process's memory, `device_mb` that on a device.
    """

    variant: str
    losses: list[float]
    seconds: list[float] = field(default_factory=list)
    loud_blocks: int = 0
    imported_mb: float = 0.0
    peak_mb: float = 0.0
    device_mb: float = 0.0

    @property
    def median_seconds(self) -> float:
        """The median round's seconds per step."""
        return statistics.median(self.seconds)


def time_ratio(one: Result, other: Result) -> float:
    """The median of the per-round ratios."""
    pairs = zip(one.seconds, other.seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)


def check_same_work(results: Sequence[Result]) -> None:
    """Refuse to compare variants whose losses differ: 1e-5 relative at step 1, 1e-3 at step 5."""
    reference = results[0]
    for result in results[1:]:
        for step, tolerance in ((1, 1e-5), (5, 1e-3)):
            expected, got = reference.losses[step - 1], result.losses[step - 1]
            if not abs(got - expected) <= tolerance * abs(expected):
                raise RuntimeError(
                    f"Loss {step} of {result.variant} is {got}, of {reference.variant} {expected}:"
                    f" they differ by more than {tolerance:g}. They do not do the same work, so"
                    " their times are not compared."
                )


def measure(variants: Sequence[Variant], threads: int, rounds: int, seconds: float) -> list[Result]:
    """Check that the variants do the same work, then time their blocks in turn."""
    workers: list[Worker] = []
    try:
        workers = [Worker(variant, threads) for variant in variants]
        results = [Result(w.name, w.ask("losses", steps=5)["losses"]) for w in workers]
        check_same_work(results)
        for _ in range(rounds):
            for worker, result in zip(workers, results, strict=True):
                _take_block(worker, result, seconds)
        for worker, result in zip(workers, results, strict=True):
            memory = worker.ask("memory")
            result.imported_mb, result.peak_mb = memory["imported_mb"], memory["peak_mb"]
    finally:
        for worker in workers:
            worker.close()
    return results


def _take_block(worker: Worker, result: Result, seconds: float) -> None:
    """Add one block; of several tries, the first quiet one, else the quietest."""
    blocks = []
    for _ in range(1 + RETAKES):
        time.sleep(SETTLE_SECONDS)
        blocks.append(worker.ask("block", seconds=seconds))
        if blocks[-1]["foreign"] <= QUIET_SHARE:
            break
    block = min(blocks, key=lambda taken: taken["foreign"])
    result.seconds.append(block["seconds"])
    result.loud_blocks += block["foreign"] > QUIET_SHARE
    result.device_mb = max(result.device_mb, *(taken["device_mb"] for taken in blocks))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
