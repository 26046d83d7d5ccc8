"""The arithmetic of batches: total = micro_batch x seq_len x accumulation_steps x world_size."""

import math
from dataclasses import dataclass, fields

from tinytrain.checks import whole_number

ROUNDINGS = ("refuse", "down", "up", "nearest")


@dataclass(frozen=True)
class BatchPlan:
    """How the items of one optimizer step are divided.

    total = micro_batch * seq_len * accumulation_steps * world_size.

    Parameters
    ----------
    micro_batch : int
        Rows that go through the model at once.
    seq_len : int
        Items per row: tokens of a sequence, or 1.
    accumulation_steps : int
        Micro-batches whose gradients are added before a step.
    world_size : int
        Processes that each do this.

    Raises
    ------
    ValueError
        A part is no positive whole number.

    Examples
    --------
    >>> print(BatchPlan(micro_batch=16, seq_len=256, accumulation_steps=8))
    batch plan
      micro-batch              16 rows
      sequence length         256 items per row
      accumulation              8 micro-batches per step
      world size                1 process
      rows per step           128
      items per step       32,768
    """

    micro_batch: int
    seq_len: int = 1
    accumulation_steps: int = 1
    world_size: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            number = whole_number(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, number)  # NumPy's would overflow

    @property
    def rows(self) -> int:
        """Rows per optimizer step: the effective batch size."""
        return self.micro_batch * self.accumulation_steps * self.world_size

    @property
    def total(self) -> int:
        """Items per optimizer step."""
        return self.rows * self.seq_len

    @classmethod
    def solve(
        cls,
        *,
        total: int | None = None,
        micro_batch: int | None = None,
        seq_len: int | None = 1,
        accumulation_steps: int | None = None,
        world_size: int | None = 1,
        rounding: str = "refuse",
    ) -> "BatchPlan":
        """Find the one quantity that is None: `total`, or the part that makes the product `total`.

        Parameters
        ----------
        total, micro_batch, seq_len, accumulation_steps, world_size : int, optional
        rounding : {"refuse", "down", "up", "nearest"}
            What to do where no whole number gives exactly `total`: raise, or take the next one
            below, above, or the nearer of the two (of two equally near the lower), from 1.

        Raises
        ------
        ValueError
            Not exactly one quantity is None, or no whole number does it; the message gives the
            totals next to the one asked for that can be reached. Or there is nothing below to round
            down to.

        Examples
        --------
        >>> BatchPlan.solve(total=32_768, micro_batch=16, seq_len=256).accumulation_steps
        8
        >>> BatchPlan.solve(micro_batch=16, seq_len=256, accumulation_steps=8).total
        32768
        >>> BatchPlan.solve(total=250, micro_batch=32)
        Traceback (most recent call last):
            ...
        ValueError: no whole accumulation_steps gives a total of 250 (the other parts multiply
        to 32): 7 gives 224, 8 gives 256; change a part, or choose a rounding
        >>> BatchPlan.solve(total=250, micro_batch=32, rounding="nearest").total
        256
        """
        if rounding not in ROUNDINGS:
            raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}, not {rounding!r}")
        parts = {
            "micro_batch": micro_batch,
            "seq_len": seq_len,
            "accumulation_steps": accumulation_steps,
            "world_size": world_size,
        }
        known = {
            name: whole_number(name, value) for name, value in parts.items() if value is not None
        }
        unknown = [name for name in parts if name not in known] + ["total"] * (total is None)
        if len(unknown) != 1:
            raise ValueError(
                "leave exactly one quantity as None to solve for, not "
                f"{', '.join(unknown) or 'none'}"
            )
        if total is None:
            return cls(**known)
        total = whole_number("total", total)
        product = math.prod(known.values())
        return cls(**{**known, unknown[0]: _quotient(total, product, unknown[0], rounding)})

    def __str__(self) -> str:
        micro_batches = counted(self.accumulation_steps, "micro-batch", "micro-batches")
        lines = [
            ("micro-batch", self.micro_batch, counted(self.micro_batch, "row", "rows")),
            ("sequence length", self.seq_len, counted(self.seq_len, "item", "items") + " per row"),
            ("accumulation", self.accumulation_steps, f"{micro_batches} per step"),
            ("world size", self.world_size, counted(self.world_size, "process", "processes")),
            ("rows per step", self.rows, ""),
            ("items per step", self.total, ""),
        ]
        table = [f"  {name:<17}{value:>10,} {unit}".rstrip() for name, value, unit in lines]
        return "\n".join(["batch plan", *table])


def _quotient(total: int, product: int, name: str, rounding: str) -> int:
    """Return the whole number which times the product of the known parts is the total."""
    below, rest = divmod(total, product)
    if not rest:
        return below
    if rounding == "refuse":
        lower = f"{below} gives {below * product:,}, " if below else ""
        raise ValueError(
            f"no whole {name} gives a total of {total:,} (the other parts multiply to "
            f"{product:,}): {lower}{below + 1} gives {(below + 1) * product:,}; change a part, or "
            "choose a rounding"
        )
    if rounding == "down" and not below:
        raise ValueError(
            f"{name} cannot be rounded down to give a total of {total:,}: with the least, 1, the "
            f"total is {product:,}; change a part, or round up"
        )
    nearer_above = rounding == "nearest" and 2 * rest > product
    return max(below + (rounding == "up" or nearer_above), 1)


def counted(number: int, one: str, several: str) -> str:
    """Return the word for so many.

    Examples
    --------
    >>> counted(1, "row", "rows"), counted(2, "row", "rows")
    ('row', 'rows')
    """
    return one if number == 1 else several
