"""What to think of a batch plan: its accumulation, memory, learning rate and noise."""

import math
from typing import NamedTuple

from tinytrain.checks import whole_number
from tinytrain.memory.units import format_bytes
from tinytrain.optim.scaling import linear_scaling, square_root_scaling
from tinytrain.train.batch_plan import BatchPlan, counted

FEWEST, MOST = 2, 64
"""Between these numbers of micro-batches accumulation is worth its while."""
LARGEST_GROWTH = 32
"""Times the items for which the rules for the learning rate were shown to hold, more or less: the
paper on the linear one goes from 256 rows to 8,192."""


class Remark(NamedTuple):
    """One finding: whether all is well, and what there is to say.

    Examples
    --------
    >>> all(remark.fine for remark in judge_plan(BatchPlan(micro_batch=16, accumulation_steps=8)))
    True
    """

    fine: bool
    text: str


def judge_plan(
    plan: BatchPlan,
    *,
    memory: int | None = None,
    bytes_per_row: int | None = None,
    fixed_bytes: int = 0,
    lr: float | None = None,
    lr_total: int | None = None,
    noise_scale: float | None = None,
) -> list[Remark]:
    """Judge a plan by what is known.

    Parameters
    ----------
    plan : BatchPlan
    memory, bytes_per_row, fixed_bytes : int, optional
        Bytes that there are; that a row's activations take; and that weights, gradients and the
        optimizer's state take. `tinytrain.explain.memory` measures them.
    lr, lr_total : float and int, optional
        A learning rate that is known to be good, at so many items per optimizer step.
    noise_scale : float, optional
        The gradient noise scale in items; see `tinytrain.train.noise_scale`.

    Returns
    -------
    list of Remark

    Raises
    ------
    ValueError
        Of two numbers that need each other only one is given, or one is out of range.

    Examples
    --------
    >>> plan = BatchPlan(micro_batch=16, seq_len=256, accumulation_steps=8)
    >>> for remark in judge_plan(plan, lr=1e-3, lr_total=8192):
    ...     print(remark.text)
    8 micro-batches per step: between 2 and 64, as it should be
    learning rate 0.001 at 8,192 items: 0.002 for Adam with betas 0.6 and 0.996 (root rule), ...
    """
    remarks = [_judge_accumulation(plan)]
    if (memory is None) != (bytes_per_row is None):
        raise ValueError("to judge the memory give both memory and bytes_per_row")
    if memory is not None and bytes_per_row is not None:
        if min(memory, bytes_per_row) < 1 or fixed_bytes < 0:
            raise ValueError(
                "memory and bytes_per_row must be above 0, and fixed_bytes not below, got "
                f"{memory}, {bytes_per_row} and {fixed_bytes}"
            )
        remarks.append(_judge_memory(plan, memory, bytes_per_row, fixed_bytes))
    elif fixed_bytes:
        raise ValueError("fixed_bytes says nothing without memory and bytes_per_row: give them too")
    if (lr is None) != (lr_total is None):
        raise ValueError("to scale the learning rate give both lr and lr_total")
    if lr is not None and lr_total is not None:
        whole_number("lr_total", lr_total)
        if not 0 < lr < math.inf:
            raise ValueError(f"lr must be above 0 and finite, got {lr}")
        remarks.append(_judge_learning_rate(plan, lr, lr_total))
    if noise_scale is not None:
        if not 0 < noise_scale < math.inf:
            raise ValueError(f"noise_scale must be above 0 and finite, got {noise_scale}")
        remarks.append(_judge_noise(plan, noise_scale))
    return remarks


def _judge_accumulation(plan: BatchPlan) -> Remark:
    steps = plan.accumulation_steps
    if steps < FEWEST:
        return Remark(True, "1 micro-batch per step: no accumulation, if the memory is enough")
    if steps <= MOST:
        return Remark(
            True, f"{steps} micro-batches per step: between {FEWEST} and {MOST}, as it should be"
        )
    return Remark(
        False,
        f"{steps} micro-batches per step are more than {MOST}: every one costs a pass of small "
        "operations; take larger micro-batches, or a smaller total",
    )


def _judge_memory(plan: BatchPlan, memory: int, bytes_per_row: int, fixed_bytes: int) -> Remark:
    needed = fixed_bytes + plan.micro_batch * bytes_per_row
    text = f"a micro-batch needs {format_bytes(needed)} of {format_bytes(memory)}"
    if needed <= memory:
        return Remark(True, text)
    largest = (memory - fixed_bytes) // bytes_per_row
    if largest < 1:
        return Remark(False, f"{text}: not even one row fits")
    rows = counted(largest, "row fits", "rows fit")
    return Remark(False, f"{text}: at most {largest:,} {rows}, with more accumulation")


def _judge_learning_rate(plan: BatchPlan, lr: float, lr_total: int) -> Remark:
    grown = plan.total / lr_total
    items = counted(lr_total, "item", "items")
    text = (
        f"learning rate {lr:g} at {lr_total:,} {items}: {_root_rule(plan, lr, lr_total)}, "
        f"{linear_scaling(lr, lr_total, plan.total):.3g} for SGD (linear rule)"
        f"{', after a warm-up' if grown > 1 else ''}"
    )
    if grown > LARGEST_GROWTH:
        return Remark(False, f"{text}; {grown:.3g} times the items is far to go by a rule")
    return Remark(True, text)


def _root_rule(plan: BatchPlan, lr: float, lr_total: int) -> str:
    """Say what `square_root_scaling` makes of the usual betas, or that it cannot."""
    try:
        settings = square_root_scaling(lr, lr_total, plan.total)
    except ValueError:  # beyond 1 / (1 - beta) times
        return "nothing for Adam, whose first beta of 0.9 the root rule scales up to 10 times only"
    beta1, beta2 = settings.betas
    return f"{settings.lr:.3g} for Adam with betas {beta1:.3g} and {beta2:.4g} (root rule)"


def _judge_noise(plan: BatchPlan, noise_scale: float) -> Remark:
    ratio = plan.total / noise_scale
    # S_min (1 + B_noise / B) steps and E_min (1 + B / B_noise) items, equations 2.10 and 2.11
    steps, items = 1 + 1 / ratio, 1 + ratio
    scale = f"{noise_scale:,.0f}" if noise_scale >= 10 else f"{noise_scale:.2g}"
    unit = "item" if scale == "1" else "items"
    return Remark(
        ratio <= 4,
        f"{ratio:.3g} times the noise scale of {scale} {unit}: about {steps:.3g} times the fewest "
        f"possible steps, and {items:.3g} times the fewest possible items",
    )
