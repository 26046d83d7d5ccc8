"""The command line of the package: ``python -m tinytrain doctor``, ``python -m tinytrain plan``."""

import argparse
import sys
from collections.abc import Sequence

from tinytrain.testing.doctor import run_doctor
from tinytrain.testing.doctor.machine import tinytrain_version
from tinytrain.train import add_device_flag
from tinytrain.train.plan_command import add_plan_flags, print_plan


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each command stores in `run` what it does.

    Examples
    --------
    >>> make_parser().parse_args(["doctor", "--device", "cpu"]).device
    'cpu'
    """
    parser = argparse.ArgumentParser(
        prog="python -m tinytrain", description="Deep-learning training from scratch on NumPy."
    )
    parser.add_argument("--version", action="version", version=f"tinytrain {tinytrain_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="report on this machine, and try a device",
        description="Report on this machine, and try a device: train, check gradients, resume. "
        "The exit status is 0 if everything that the device needs works.",
    )
    add_device_flag(doctor)
    doctor.set_defaults(run=lambda options: run_doctor(options.device))
    plan = commands.add_parser(
        "plan",
        help="work out the micro-batches of an optimizer step",
        description="Work out total = micro-batch x sequence length x accumulation x world size "
        "for the one that is not given. The exit status is 1 if the plan has a flaw, and 2 if "
        "there is none.",
    )
    add_plan_flags(plan)
    plan.set_defaults(run=print_plan)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; without a command, print the help and return 2."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help(sys.stderr)
        return 2
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
