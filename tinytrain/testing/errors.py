"""How the kits object: one error whose words say what is wrong, where, and what to do."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias


class CheckError(AssertionError):
    """What the checks of `tinytrain.testing` raise where they object.

    The text names what was checked, the check, the input or parameter concerned, what was found and
    what was expected, and what to do.

    Examples
    --------
    >>> import tinytrain as tt
    >>> try:
    ...     tt.testing.check_op(lambda x: x.detach() * 2, tt.ones(2))
    ... except CheckError as error:
    ...     print(error)
    <lambda>: result: output 0 is float64 (2,) on cpu and requires no gradient, though an input
    does; compute with tt.apply(...) and tensors, not with .data or detach(), or say
    differentiable=False
    """


WRITES = (
    "work on a copy: nobody writes into an array that it did not allocate (an input, what was "
    "saved, the output, a gradient)"
)

Step: TypeAlias = "tuple[str, Callable[[], object], str]"
"""The name of a check, the check, and what to do where it raises something else than CheckError."""


def run_steps(subject: str, steps: Iterable[Step]) -> list[str]:
    """Run checks in their order; the first that objects ends the run.

    Parameters
    ----------
    subject : str
        What is checked, as the error calls it.
    steps : iterable of (name, check, remedy)

    Returns
    -------
    list of str
        The names of the checks, all of which passed.

    Raises
    ------
    CheckError
        From the first check that objects, or in place of any other error that comes out of one.

    Examples
    --------
    >>> run_steps("Scale", [("shape", lambda: None, "")])
    ['shape']
    >>> run_steps("Scale", [("shape", lambda: 1 / 0, "divide by something else")])
    Traceback (most recent call last):
        ...
    tinytrain.testing.errors.CheckError: Scale: shape: it raised ZeroDivisionError: division by
    zero; divide by something else
    """
    passed = []
    for name, check, remedy in steps:
        try:
            check()
        except Exception as error:
            words = str(error)
            if not isinstance(error, CheckError):
                writes = isinstance(error, ValueError) and "read-only" in words
                words = f"it raised {type(error).__name__}: {words}; {WRITES if writes else remedy}"
            objection = CheckError(f"{subject}: {name}: {words}")
            for note in getattr(error, "__notes__", ()):
                objection.add_note(note)
            raise objection from error
        passed.append(name)
    return passed


def name_of(function: Any) -> str:
    """Return what a message calls a function, a class or an object.

    Examples
    --------
    >>> name_of(len), name_of(int), name_of(3)
    ('len', 'int', 'int')
    """
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
