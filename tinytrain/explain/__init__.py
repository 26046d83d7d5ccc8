"""What explains training: where memory goes, and pictures of packed rows."""

from tinytrain.explain.memory_report import LayerMemory, MemoryReport
from tinytrain.explain.memory_use import memory
from tinytrain.explain.packing import draw_packed_rows, draw_segment_mask

__all__ = ["LayerMemory", "MemoryReport", "draw_packed_rows", "draw_segment_mask", "memory"]
