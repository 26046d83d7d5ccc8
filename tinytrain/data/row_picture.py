"""A picture, in text, of which positions of a row belong to which sequence."""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_rows"]

SIGNS = string.digits[1:] + string.ascii_lowercase
"""The signs of the sequences of a row, in turn."""

WIDTH = 72
"""Signs in a line."""

MOST_ROWS = 16
"""Rows that are drawn; of the others their number is told."""


def draw_rows(segment_ids: NDArray[np.integer]) -> str:
    """Return a line for each row, with a sign for each position.

    Rows of more than `WIDTH` positions are drawn to scale: a sign is then for several positions,
    and tells whose the one in their middle is.

    Parameters
    ----------
    segment_ids
        Integers (B, T): 1, 2, ... for the sequences of a row, 0 for padding.

    Examples
    --------
    >>> print(draw_rows(np.array([[1, 1, 2, 0], [1, 2, 2, 2]])))
    row 0  112.
    row 1  1222
    """
    rows, length = segment_ids.shape
    width = min(length, WIDTH)
    middles = (2 * np.arange(width) + 1) * length // (2 * max(width, 1))
    digits = len(str(max(min(rows, MOST_ROWS) - 1, 0)))
    lines = []
    for number, ids in enumerate(segment_ids[:MOST_ROWS, middles].tolist()):
        signs = ("." if segment == 0 else SIGNS[(segment - 1) % len(SIGNS)] for segment in ids)
        lines.append(f"row {number:{digits}}  {''.join(signs)}")
    if rows > MOST_ROWS:
        lines.append(f"and {rows - MOST_ROWS:,} more")
    return "\n".join(lines)
