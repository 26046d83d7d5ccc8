"""How a benchmark prints and saves what it measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from harness import QUIET_SHARE, Result


def print_report(
    header: dict[str, str],
    results: dict[str, list[Result]],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """The header as a list, how quiet the machine was, and the table, all in Markdown."""
    taken = [result for workload in results.values() for result in workload]
    loud = sum(result.loud_blocks for result in taken)
    blocks = sum(len(result.seconds) for result in taken)
    for key, value in header.items():
        print(f"- {key}: {value}")
    share = f"{QUIET_SHARE:.0%} of the machine"
    print(f"- noise: in {loud} of {blocks} blocks other processes used more than {share}")
    print(f"\n{markdown_table(columns, rows)}")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their headings, in columns that line up."""
    cells = [columns, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def as_json(header: dict[str, str], results: dict[str, list[Result]]) -> str:
    """Header and results, with every round, as a JSON document."""
    by_workload = {name: [asdict(result) for result in rows] for name, rows in results.items()}
    return json.dumps({"header": header, "results": by_workload}, indent=1)
