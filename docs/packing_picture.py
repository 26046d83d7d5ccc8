"""Draws the pictures of packing that the pages show: ``python -m docs.packing_picture``."""

from pathlib import Path

import numpy as np

from tinytrain.data import PackedDataset, collate_packed, plan_packing
from tinytrain.explain import draw_packed_rows, draw_segment_mask

STATIC = Path(__file__).resolve().parent / "_static"
LENGTHS = (25, 14, 12, 9, 8, 7, 7, 6, 5, 5, 4, 3, 3, 2, 2, 1)
CAPACITY = 32


def main() -> None:
    """Write both pictures."""
    data = PackedDataset([np.arange(n) for n in LENGTHS], plan_packing(LENGTHS, CAPACITY))
    batch = collate_packed([data[row] for row in range(len(data))])
    draw_packed_rows(batch).savefig(STATIC / "packed_rows.png", dpi=100)
    draw_segment_mask(batch, row=2).savefig(STATIC / "segment_mask.png", dpi=100)


if __name__ == "__main__":
    main()
