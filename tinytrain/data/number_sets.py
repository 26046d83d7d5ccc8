"""Sets of batch numbers as short lists for ``json``: even runs, and one text for scattered ones."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

__all__ = ["from_compact", "from_runs", "is_compact", "to_compact", "to_runs"]

_SHORT = 8  # a run of so few numbers takes no more space among the scattered ones
_READABLE = 4  # but so few runs are written out


def to_runs(numbers: Iterable[int]) -> list[list[int]]:
    """Different numbers as a short list of [first, stop, step], each a ``range``.

    Examples
    --------
    >>> to_runs({7, 3, 4, 5}), to_runs(range(0, 100, 2))
    ([[3, 6, 1], [7, 8, 1]], [[0, 99, 2]])
    """
    left = sorted(numbers)
    runs: list[list[int]] = []
    start = 0
    while start < len(left):
        step = left[start + 1] - left[start] if start + 1 < len(left) else 1
        end = start + 1
        while end < len(left) and left[end] - left[end - 1] == step:
            end += 1
        # Two numbers that are no neighbours may each belong to a longer run.
        if end - start == 2 and step > 1:
            end, step = start + 1, 1
        elif end - start == 1:
            step = 1
        runs.append([left[start], left[end - 1] + 1, step])
        start = end
    return runs


def from_runs(runs: Iterable[Iterable[int]]) -> set[int]:
    """The numbers that `to_runs` has written."""
    return {number for run in runs for number in range(*run)}


def to_compact(numbers: Iterable[int]) -> list[Any]:
    """Different numbers >= 0 as runs, and a text of those that make no long run.

    The text is base64. After ``gaps:`` come the differences from one number to the next, the
    first from 0, each in groups of seven bits, the lowest first, a set eighth bit meaning that
    another group follows. After ``bits:`` comes the first number in this way, and then a bit for
    every number from it on. The shorter one is taken.

    Examples
    --------
    >>> to_compact(range(3, 100))
    [[3, 100, 1]]
    >>> to_compact([2, 3, 50, 80, 130, 210, 340, *range(500, 900)])
    [[500, 900, 1], 'gaps:AgEvHjJQggE']
    """
    runs = to_runs(numbers)
    short = [run for run in runs if len(range(*run)) <= _SHORT]
    if len(short) <= _READABLE:
        return runs
    text = _text_of(sorted(from_runs(short)))
    if len(text) > len(json.dumps(short)):
        return runs
    return [*(run for run in runs if len(range(*run)) > _SHORT), text]


def from_compact(parts: Iterable[Any]) -> set[int]:
    """The numbers that `to_compact` has written.

    Raises
    ------
    ValueError
        If a text is none of its.
    """
    found: set[int] = set()
    for part in parts:
        found.update(_numbers_of(part) if isinstance(part, str) else range(*part))
    return found


def is_compact(part: Any) -> bool:
    """Whether it can be one part of what `to_compact` returns."""
    if isinstance(part, str):
        try:
            _numbers_of(part)
        except ValueError:
            return False
        return True
    return _is_run(part)


def _is_run(run: Any) -> bool:
    if not isinstance(run, list | tuple) or len(run) != 3:
        return False
    if any(isinstance(value, bool) or not isinstance(value, int) for value in run):
        return False
    first, stop, step = run
    return bool(0 <= first < stop and step > 0)


def _text_of(numbers: Sequence[int]) -> str:
    differences = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    gaps = b"".join(map(_groups, [numbers[0], *differences]))
    size = (numbers[-1] - numbers[0]) // 8 + 1
    start = _groups(numbers[0])
    if len(gaps) <= len(start) + size:
        return "gaps:" + _base64(gaps)
    bits = bytearray(size)
    for number in numbers:
        place, bit = divmod(number - numbers[0], 8)
        bits[place] |= 1 << bit
    return "bits:" + _base64(start + bits)


def _numbers_of(text: str) -> list[int]:
    kind, colon, encoded = text.partition(":")
    try:
        content = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content or not colon or kind not in ("gaps", "bits"):
        raise ValueError(f"not a text of numbers: {text!r}")
    values = _integers(content)
    if kind == "gaps":
        numbers = list(itertools.accumulate(value for value, _ in values))
        if content[-1] < 0x80:
            return numbers
    for first, end in values:
        places = range(8 * (len(content) - end))
        return [first + n for n in places if content[end + n // 8] >> n % 8 & 1]
    raise ValueError(f"not a text of numbers, it breaks off: {text!r}")


def _groups(value: int) -> bytes:
    """An integer as groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _integers(content: bytes) -> Iterator[tuple[int, int]]:
    """The integers that `_groups` has written, each with the place where it ends."""
    value, place = 0, 0
    for end, byte in enumerate(content, start=1):
        value |= (byte & 0x7F) << place
        place += 7
        if byte < 0x80:
            yield value, end
            value, place = 0, 0


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")
