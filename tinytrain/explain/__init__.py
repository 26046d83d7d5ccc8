"""Pictures that explain what training does."""

from tinytrain.explain.packing import draw_packed_rows, draw_segment_mask

__all__ = ["draw_packed_rows", "draw_segment_mask"]
