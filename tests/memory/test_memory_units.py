"""Amounts of memory: read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.memory import format_bytes, parse_bytes
from tinytrain.memory.units import UNITS


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1B", 1),
        ("2KB", 2000),
        ("2kib", 2048),
        ("512MB", 512_000_000),
        ("0.5 MiB", 524_288),
        (" 3gb ", 3 * 10**9),
        ("1TiB", 2**40),
        (17, 17),
    ],
)
def test_reading(text, amount):
    assert parse_bytes(text) == amount


@pytest.mark.parametrize(
    "text", ["", "MB", "12", "-1MB", "1e3MB", "5M", "5 MB 6", "0MB", "0.1B", 0, -4, "٣MB"]
)
def test_what_is_no_amount(text):
    with pytest.raises(ValueError, match="amount of memory"):
        parse_bytes(text)


@pytest.mark.parametrize("value", [1.5, None, True, b"1MB"])
def test_what_is_no_text(value):
    with pytest.raises(TypeError, match="amount of memory"):
        parse_bytes(value)


@given(st.integers(1, 10**15))
def test_writing_is_exact_to_three_digits(amount):
    number, unit = format_bytes(amount).split()
    assert float(number) * UNITS[unit] == pytest.approx(amount, rel=0.00501)
    assert float(number) < 1000 or unit == "TB"


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)))
def test_what_is_written_with_a_unit_is_read(number, unit):
    assert parse_bytes(f"{number}{unit}") == parse_bytes(f"{number} {unit.lower()}")
    assert parse_bytes(f"{number}{unit}") == number * UNITS[unit]


@pytest.mark.parametrize(
    "amount", ["9" * 400 + "MB", "1e9MB", "0." + "0" * 400 + "1GB", "9223372036854775808B", 2**63]
)
def test_what_is_more_than_any_memory_or_no_number(amount):
    with pytest.raises(ValueError, match="memory"):
        parse_bytes(amount)


@pytest.mark.parametrize("amount", ["1.5B", "1.0005KB", "0.1KiB"])
def test_fractions_of_bytes_are_refused(amount):
    with pytest.raises(ValueError, match="a whole number of bytes from 1"):
        parse_bytes(amount)


def test_decimal_fractions_are_exact():
    assert parse_bytes("1.001KB") == 1001
    assert parse_bytes("0.3TB") == 300_000_000_000
    assert parse_bytes("9223372036854775807B") == 2**63 - 1
