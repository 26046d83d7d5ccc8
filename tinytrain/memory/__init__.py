"""Memory: what the tape holds, a limit for it, and recomputing instead of holding."""

from tinytrain.memory.errors import OutOfMemoryError, is_out_of_memory
from tinytrain.memory.ledger import MemoryLedger, count_memory
from tinytrain.memory.limit import memory_limit
from tinytrain.memory.recompute import checkpoint
from tinytrain.memory.units import format_bytes, parse_bytes

__all__ = [
    "MemoryLedger",
    "OutOfMemoryError",
    "checkpoint",
    "count_memory",
    "format_bytes",
    "is_out_of_memory",
    "memory_limit",
    "parse_bytes",
]
