"""The flags that all training scripts share."""

import argparse
import difflib
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tinytrain.backend import DEVICE_NAMES, set_device
from tinytrain.checks import whole_number
from tinytrain.generator import manual_seed
from tinytrain.train.run_folder import choose_folder
from tinytrain.train.say import say


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def add_device_flag(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flag ``--device``; hand its value to `tinytrain.set_device`.

    Without the flag the value is None, and the environment variable ``TINYTRAIN_DEVICE`` decides.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_device_flag(parser)
    >>> parser.parse_args(["--device", "mock"]).device
    'mock'
    """
    parser.add_argument(
        "--device",
        choices=DEVICE_NAMES,
        help="cuda: an NVIDIA GPU; mock: the CPU behind an array type as strict as a GPU's, which "
        "counts what a GPU would do; auto: the GPU if there is one (default: the environment "
        "variable TINYTRAIN_DEVICE, else cpu)",
    )


class TrainingParser(argparse.ArgumentParser):
    """An argument parser with the flags of a training script.

    Underscores in option names count as hyphens, and an unknown option gets a suggestion.

    Parameters
    ----------
    description : str
    defaults : mapping
        The values of the flags that are not given, by name: ``{"lr": 1e-3, "max_steps": 100}``.
    quick : mapping
        Other defaults, which ``--quick`` chooses: a run of a few seconds, for tests.

    Examples
    --------
    >>> parser = TrainingParser("demo", {"lr": 1e-3, "max_steps": 100}, quick={"max_steps": 2})
    >>> arguments = parser.parse_args(["--quick", "--batch_size", "4"])
    >>> arguments.max_steps, arguments.batch_size, arguments.lr
    (2, 4, 0.001)
    """

    def __init__(
        self, description: str, defaults: Mapping[str, Any], quick: Mapping[str, Any]
    ) -> None:
        super().__init__(
            description=description,
            allow_abbrev=False,
            formatter_class=_HelpFormatter,
        )
        self.own_defaults, self.quick = dict(defaults), dict(quick)
        self._add_flags()
        self.set_defaults(**defaults)

    def _add_flags(self) -> None:
        add = self.add_argument
        add_device_flag(self)
        add("--seed", type=int, default=0, help="of weights, data order and dropout")
        add("--batch-size", type=_positive, default=16, help="rows per micro-batch")
        add("--grad-accum", type=_positive, default=1, help="micro-batches per optimizer step")
        length = self.add_mutually_exclusive_group()
        length.add_argument("--max-steps", type=_positive, help="optimizer steps")
        length.add_argument(
            "--epochs", type=_positive, help="passes over the data, instead of steps"
        )
        add("--lr", type=_amount, default=1e-3, help="the highest learning rate")
        add("--weight-decay", type=_amount, default=0.01, help="of AdamW")
        add("--warmup-steps", type=_count, default=0, help="steps of rising learning rate")
        add(
            "--clip-grad",
            type=_amount,
            default=1.0,
            help="the largest norm of the gradient; 0: any",
        )
        add("--log-every", type=_positive, default=10, help="steps between log records")
        add("--eval-every", type=_positive, help="steps between evaluations; always at the end")
        add("--save-every", type=_positive, help="steps between checkpoints; always at the end")
        add(
            "--out",
            default="runs/run",
            help="the folder for results; a number is added for later runs",
        )
        add("--resume", metavar="PATH|auto", help="continue from a checkpoint, or the newest")
        add("--quick", action="store_true", help="a run of a few seconds")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, with underscores as hyphens and the quick defaults where asked for.

        Raises
        ------
        ValueError
            A default is of a flag that does not exist.
        """
        flags = {action.dest for action in self._actions}
        if unknown_defaults := {*self.own_defaults, *self.quick} - flags:
            raise ValueError(f"defaults of no flag: {', '.join(sorted(unknown_defaults))}")
        words = [_hyphenated(word) for word in (sys.argv[1:] if args is None else args)]
        quick = self.quick if "--quick" in words else {}
        namespace = argparse.Namespace() if namespace is None else namespace
        for name, value in quick.items():  # what a namespace has already, no default replaces
            setattr(namespace, name, value)
        parsed, unknown = super().parse_known_args(words, namespace)
        options = (word.partition("=")[0] for word in words if word.startswith("--"))
        given = {flag[2:].replace("-", "_") for flag in options}
        for choice in (given, quick):  # a flag outweighs what --quick says, and that the defaults
            if "max_steps" in choice or "epochs" in choice:
                setattr(parsed, "epochs" if "max_steps" in choice else "max_steps", None)
                break
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with a message; an option that is nearly one of ours gets a suggestion."""
        known = [option for action in self._actions for option in action.option_strings]
        for word in message.split():
            option = word.partition("=")[0].rstrip(":,")
            close = difflib.get_close_matches(option, known, n=1)
            if option.startswith("--") and option not in known and close:
                message += f" (did you mean {close[0]}?)"
        super().error(message)


def _positive(text: str) -> int:
    """Read a whole number of at least 1."""
    return _whole(text, 1)


def _count(text: str) -> int:
    """Read a whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        return whole_number("it", int(text), least)
    except ValueError:
        message = f"must be a whole number of at least {least}, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _amount(text: str) -> float:
    """Read a finite number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text!r}")
    return number


def _hyphenated(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose the device and the folder, set the seed, and print and return the configuration.

    A run that resumes nothing gets a folder that no other run has used.

    Examples
    --------
    >>> parser = TrainingParser("demo", {"max_steps": 1}, quick={})
    >>> start(parser.parse_args(["--device", "cpu", "--seed", "1"]))["seed"]
    configuration
      device         cpu
      seed           1
      ...
    1
    """
    try:
        arguments.device = set_device(arguments.device)
    except (RuntimeError, ValueError) as error:  # a message for the terminal, not a traceback
        raise SystemExit(f"error: {error}") from error
    arguments.out = str(choose_folder(arguments.out, arguments.resume))
    manual_seed(arguments.seed)
    configuration = dict(vars(arguments))
    say("configuration")
    for name, value in configuration.items():
        say(f"  {name:<14} {value}")
    return configuration
