"""A run on the mock GPU, told: what a training step would have asked of a GPU, and what that costs.

The costs are those of *asking*. A GPU computes while the host goes on asking, so on a small model
the launches are what a step takes, and on a large one they disappear behind the computing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinytrain.testing.mock.ledger import EXPLICIT, Ledger

LAUNCH_SECONDS = 11e-6
"""Processor time of one call of a CuPy function (its benchmark of `abs`: github.com/cupy/cupy,
pull request 3298). A copy costs such a call too, before its first byte moves."""

BYTES_PER_SECOND = 12e9
"""Between page-locked host memory and a device over PCIe 3.0 x16, one way (Intel oneAPI FPGA
handbook, "Prepinning Memory"; the theoretical peak is 16 GB/s: CUDA C++ Best Practices Guide, "Data
Transfer Between Host and Device")."""

WAIT_SECONDS = 20e-6
"""From the launch of a small kernel to its end, on a V100 (NVIDIA's blog, "Understanding the
Visualization of Overhead and Latency in NVIDIA Nsight Systems"): what the shortest wait takes.
Worse, the GPU has nothing to do afterwards until the next launch arrives."""

SHOWN_OPERATIONS = 12


@dataclass(frozen=True)
class Line:
    """One line of the table: how often per step, how many bytes, what it typically costs."""

    title: str
    count: float
    size: float | None
    seconds: float

    def __str__(self) -> str:
        size = "" if self.size is None else _bytes(self.size)
        cost = f"{self.seconds * 1e3:.3f} ms" if self.count else "-"
        return f"  {self.title:<30}{_count(self.count):>10}{size:>12}{cost:>14}"


def step_report(steps: Sequence[Ledger]) -> str:
    """Say what a training step asked of the GPU on average.

    Parameters
    ----------
    steps : sequence of Ledger
        One per step. Where there are several the first is left out: it also made the optimizer's
        state and other things that last.

    Returns
    -------
    str
        A table of several lines.

    Raises
    ------
    ValueError
        There are no steps.

    Examples
    --------
    >>> from tinytrain.testing.mock import ledger
    >>> with ledger.record() as step:
    ...     ledger.count_copy_to_device(4096)
    ...     ledger.count_launch("matmul")
    >>> print(step_report([step]))
    what a GPU would have been asked to do, per training step (1 step counted)
                                         count       bytes  typical cost
      copies to the GPU                      1      4.1 kB      0.011 ms
      copies back to the host                0         0 B             -
      waits on purpose                       0                         -
      waits nobody asked for                 0                         -
      kernel launches                        1                  0.011 ms
    ...
    """
    if not steps:
        raise ValueError("a report needs at least one step")
    counted = steps[1:] or steps
    total = Ledger()
    for step in counted:
        total.add(step)
    number = len(counted)
    heading = f"{number} step{'s' if number > 1 else ''} counted"
    if len(steps) > 1:
        heading += ", the first left out"
    return "\n".join(
        [
            f"what a GPU would have been asked to do, per training step ({heading})",
            f"  {'':<30}{'count':>10}{'bytes':>12}{'typical cost':>14}",
            *_table(total, number),
            *_operations(total, number),
            "  Typical costs: 11 us for a call of CuPy (cupy/cupy pull request 3298), 12 GB/s over",
            "  PCIe 3.0 x16 (Intel's handbook for its FPGA boards), 20 us for a wait on a V100",
            "  (NVIDIA, Nsight Systems blog). They were not measured here, and the time that the",
            "  GPU computes is not among them.",
        ]
    )


def _table(total: Ledger, steps: int) -> list[str]:
    """Return the lines of the table, with what made the host wait under the unwanted waits."""
    *before, launches = map(str, _lines(total, steps))
    return [*before, *_reasons(total, steps), launches]


def _lines(total: Ledger, steps: int) -> list[Line]:
    to_device, to_host = total.copies_to_device / steps, total.copies_to_host / steps
    bytes_to_device, bytes_to_host = total.bytes_to_device / steps, total.bytes_to_host / steps
    on_purpose = total.waits[EXPLICIT] / steps
    implicit = total.implicit_waits.total() / steps
    launches = total.launch_count / steps
    return [
        Line("copies to the GPU", to_device, bytes_to_device, _copying(to_device, bytes_to_device)),
        Line("copies back to the host", to_host, bytes_to_host, _copying(to_host, bytes_to_host)),
        Line("waits on purpose", on_purpose, None, on_purpose * WAIT_SECONDS),
        Line("waits nobody asked for", implicit, None, implicit * WAIT_SECONDS),
        Line("kernel launches", launches, None, launches * LAUNCH_SECONDS),
    ]


def _copying(count: float, size: float) -> float:
    return count * LAUNCH_SECONDS + size / BYTES_PER_SECOND


def _reasons(total: Ledger, steps: int) -> list[str]:
    """Name what made the host wait."""
    reasons = total.implicit_waits.most_common()
    return [f"    because of {reason}: {_count(count / steps)}" for reason, count in reasons]


def _operations(total: Ledger, steps: int) -> list[str]:
    """List the operations that launched most."""
    found = total.launches_by_operation().most_common()
    shown, rest = found[:SHOWN_OPERATIONS], found[SHOWN_OPERATIONS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(count for _, count in rest)))
    listed = ((f"  {name}", count / steps) for name, count in shown)
    lines = [Line(name, count, None, count * LAUNCH_SECONDS) for name, count in listed]
    return ["  launches by operation", *map(str, lines)]


def _count(count: float) -> str:
    """Write a number per step: 4, 2.5, 1,234, or ``1 in 8`` where it does not happen in each."""
    if 0 < count < 1:
        return f"1 in {1 / count:.2g}"
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.2g} {unit}" if size < 10 else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
