"""Amounts of memory as people write them: ``"512MB"`` is 512,000,000 bytes, ``"512MiB"`` more."""

import re
from fractions import Fraction

UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""The units, as IEC 80000-13 defines them: powers of 1000, and, with an i, of 1024."""

LARGEST = 2**63 - 1
_MOST_CHARACTERS = 60

_by_lower_case = {name.lower(): factor for name, factor in UNITS.items()}


def parse_bytes(amount: str | int) -> int:
    """Return an amount of memory in bytes.

    Parameters
    ----------
    amount : str or int
        A number and a unit, in any case: ``"512MB"``, ``"1.5 GiB"``. A plain integer is bytes.

    Raises
    ------
    ValueError
        It is no whole number of bytes from 1 to 2^63 - 1 with one of the units.
    TypeError
        It is neither text nor an integer.

    Examples
    --------
    >>> parse_bytes("512MB"), parse_bytes("1.5 KiB"), parse_bytes(4096)
    (512000000, 1536, 4096)
    """
    if isinstance(amount, bool) or not isinstance(amount, str | int):
        raise TypeError(
            f"an amount of memory is text such as '512MB' or a number of bytes, got {amount!r:.80}"
        )
    if isinstance(amount, int):
        if amount < 1:
            raise ValueError(f"an amount of memory must be positive, got {amount} bytes")
        if amount > LARGEST:
            raise ValueError("that is more than any memory has")
        return amount
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", amount.lower(), re.ASCII)
    factor = _by_lower_case.get(found.group(2)) if found else None
    if found is None or factor is None:
        raise ValueError(
            f"{amount!r} is no amount of memory: write a number and one of {', '.join(UNITS)}"
        )
    value = Fraction(found.group(1)) * factor if len(amount) <= _MOST_CHARACTERS else None
    if value is None or value > LARGEST:
        raise ValueError(f"{amount!r:.60} is more than any memory has")
    if value < 1 or value.denominator > 1:
        raise ValueError(
            f"an amount of memory must be a whole number of bytes from 1, and {amount!r} are "
            f"{float(value):g}"
        )
    return int(value)


def format_bytes(amount: int) -> str:
    """Write a number of bytes in the decimal unit that suits it, with three digits.

    Examples
    --------
    >>> [format_bytes(n) for n in (0, 999, 1000, 1_234_567, 512_000_000, 20_500_000_000)]
    ['0 B', '999 B', '1.00 KB', '1.23 MB', '512 MB', '20.5 GB']
    """
    value, unit = float(amount), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            break
        value /= 1000
    if unit == "B":
        return f"{amount} B"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"
