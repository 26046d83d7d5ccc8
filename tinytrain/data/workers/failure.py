"""An exception on its way from a worker to the loader: as text that always arrives."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["Failure", "failure_of", "find_unpicklable", "raise_failure", "unsendable"]


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker.

    Attributes
    ----------
    pickled_type
        The pickled class of the exception; None if it cannot be pickled or must not be raised
        as it is.
    text
        "Caught KeyError in DataLoader worker process 1." and the worker's traceback.
    """

    pickled_type: bytes | None
    text: str


class _Shown(str):
    """A text that a KeyError shows as it is, where it would show the repr of a plain one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def failure_of(error: BaseException, worker: int) -> Failure:
    """Describe an exception caught in a worker.

    Only the text and the class travel: the attributes of an exception may hold anything, such as
    what cannot be pickled.
    """
    original = "".join(traceback.format_exception(error))
    return Failure(
        _pickled_type(type(error)),
        f"Caught {type(error).__name__} in DataLoader worker process {worker}.\n"
        f"Original {original}",
    )


def _pickled_type(kind: type[BaseException]) -> bytes | None:
    # A SystemExit or a StopIteration would end the main program or its loop without a word.
    if not issubclass(kind, Exception) or issubclass(kind, (StopIteration, StopAsyncIteration)):
        return None
    try:
        return pickle.dumps(kind)
    except Exception:  # a class of a function's own, for example
        return None


def raise_failure(failure: Failure) -> NoReturn:
    """Raise the exception of a worker in this process.

    Raises
    ------
    Exception
        Of the type that the worker caught, with its text; RuntimeError if that type cannot be
        brought here or made from one text.

    Examples
    --------
    >>> try:
    ...     {}["x"]
    ... except KeyError as error:
    ...     failure = failure_of(error, worker=1)
    >>> raise_failure(failure)
    Traceback (most recent call last):
        ...
    KeyError: Caught KeyError in DataLoader worker process 1.
    Original Traceback (most recent call last):
        ...
    KeyError: 'x'
    """
    raise _rebuilt(failure)


def _rebuilt(failure: Failure) -> Exception:
    if failure.pickled_type is not None:
        try:
            error = pickle.loads(failure.pickled_type)(_Shown(failure.text))
            if isinstance(error, Exception):
                return error
        except Exception:  # it wants other arguments, or its module cannot be imported here
            pass
    return RuntimeError(failure.text)


def unsendable(error: BaseException, batch: Any, task: object, worker: int) -> Failure:
    """Describe a batch, the result of a task, that a worker could not send."""
    where, culprit = find_unpicklable(batch)
    return Failure(
        None,
        f"DataLoader worker process {worker} cannot send {task} to the main process: "
        f"batch{where} is a {type(culprit).__qualname__}, which cannot be pickled "
        f"({type(error).__name__}: {error}). Return arrays, numbers, strings, or objects of "
        "classes defined at the top level of a module.",
    )


def find_unpicklable(value: Any, depth: int = 8) -> tuple[str, Any]:
    """The innermost part of a nested value that cannot be pickled, and the path to it.

    Examples
    --------
    >>> find_unpicklable({"x": [1, print, lambda: 0]})[0]
    "['x'][2]"
    """
    if depth:
        for step, part in _parts(value):
            try:
                pickle.dumps(part, protocol=5, buffer_callback=lambda _: None)
            except Exception:
                path, culprit = find_unpicklable(part, depth - 1)
                return step + path, culprit
    return "", value


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{number}]", part) for number, part in enumerate(value)]
    return [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
