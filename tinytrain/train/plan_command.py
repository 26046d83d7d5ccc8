"""``python -m tinytrain plan``: the arithmetic of batches on the command line."""

import argparse
import re
import sys
from typing import Any

from tinytrain.memory.units import parse_bytes
from tinytrain.train.batch_plan import ROUNDINGS, BatchPlan, counted
from tinytrain.train.plan_remarks import judge_plan

FLAGS = {
    "micro_batch": "--micro-batch",
    "seq_len": "--seq-len",
    "accumulation_steps": "--grad-accum",
    "world_size": "--world-size",
    "bytes_per_row": "--bytes-per-row",
    "fixed_bytes": "--fixed-bytes",
    "lr_total": "--lr-total",
    "noise_scale": "--noise-scale",
}
"""What the quantities of a plan are called on the command line."""


def add_plan_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the quantities of a plan, and what it is to be judged by."""
    parser.epilog = (
        "exit status: 0 if all is fine, 1 if there is something to look at, 2 if the numbers make "
        "no plan"
    )
    add = parser.add_argument
    add("--total-tokens", "--total", dest="total", type=int, help="items per optimizer step")
    add("--micro-batch", type=int, help="rows per micro-batch")
    add("--seq-len", type=int, help="items per row (default: 1)")
    add("--grad-accum", type=int, help="micro-batches per optimizer step")
    add("--world-size", type=int, help="processes that each do this (default: 1)")
    add(
        "--rounding",
        choices=ROUNDINGS,
        default="refuse",
        help="where no whole number gives the total (default: refuse)",
    )
    judge = parser.add_argument_group("to judge the plan by")
    add = judge.add_argument
    add("--memory", type=_bytes, help="what there is, such as 8GB; needs --bytes-per-row")
    add("--bytes-per-row", type=_bytes, help="activations of one row")
    add("--fixed-bytes", type=_bytes_or_none, default=0, help="weights, gradients, optimizer state")
    add("--lr", type=float, help="a learning rate known to be good, at --lr-total items")
    add("--lr-total", type=int, help="items per optimizer step that --lr was good at")
    add("--noise-scale", type=float, help="the gradient noise scale, in items")


def print_plan(options: argparse.Namespace) -> int:
    """Print the plan and the remarks about it; return the exit status.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_plan_flags(parser)
    >>> print_plan(parser.parse_args(["--total", "256", "--micro-batch", "64"]))
    batch plan
      micro-batch              64 rows
      sequence length           1 item per row
      accumulation              4 micro-batches per step
      world size                1 process
      rows per step           256
      items per step          256
    fine     4 micro-batches per step: between 2 and 64, as it should be
    0
    """
    try:
        plan = BatchPlan.solve(**_quantities(options), rounding=options.rounding)
        remarks = judge_plan(
            plan,
            memory=options.memory,
            bytes_per_row=options.bytes_per_row,
            fixed_bytes=options.fixed_bytes,
            lr=options.lr,
            lr_total=options.lr_total,
            noise_scale=options.noise_scale,
        )
    except OverflowError:
        print("error: these numbers are too large to judge", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"error: {_in_flags(str(error))}", file=sys.stderr)
        return 2
    print(plan)
    if options.total is not None and plan.total != options.total:
        items = counted(options.total, "item was", "items were")
        print(f"rounded  {options.total:,} {items} asked for")
    for remark in remarks:
        print(f"{'fine' if remark.fine else 'look':<8} {remark.text}")
    return 0 if all(remark.fine for remark in remarks) else 1


def _quantities(options: argparse.Namespace) -> dict[str, Any]:
    """Return the quantities, with None for the one to solve for.

    Length of rows and number of processes are 1 where they are not given, unless all else is.
    """
    given = {
        "total": options.total,
        "micro_batch": options.micro_batch,
        "seq_len": options.seq_len,
        "accumulation_steps": options.grad_accum,
        "world_size": options.world_size,
    }
    missing = [name for name in given if given[name] is None]
    for name in ("world_size", "seq_len"):
        if name in missing and len(missing) > 1:
            given[name] = 1
            missing.remove(name)
    if len(missing) != 1:
        flags = ", ".join(FLAGS.get(name, "--total-tokens") for name in missing)
        raise ValueError(
            f"of {flags} all but one are needed"
            if missing
            else "nothing is left to solve for: leave one quantity out"
        )
    return given


def _in_flags(message: str) -> str:
    """Call the quantities by their flags."""
    return re.sub(r"\b[a-z]+(_[a-z]+)*\b", lambda word: FLAGS.get(word[0], word[0]), message)


def _bytes_or_none(text: str) -> int:
    return 0 if re.fullmatch(r"0\s*[a-z]*", text.lower()) else _bytes(text)


def _bytes(text: str) -> int:
    try:
        return parse_bytes(f"{text}B" if text.isascii() and text.isdigit() else text)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
