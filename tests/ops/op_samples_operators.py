"""Sample inputs of the operators that count in whole numbers: ``//``, ``%`` and those of bits."""

from op_sample import coin, integers, normal, positive, sample

from tinytrain.ops.arithmetic import Remainder
from tinytrain.ops.selection import Logical
from tinytrain.ops.steps import RoundedQuotient

REMAINDERS = [
    sample(Remainder, "tensors", lambda _, x, y: x % y, normal(2, 3) * 4, positive(2, 3)),
    sample(Remainder, "broadcast", lambda _, x, y: x % y, normal(2, 1, 3) * 4, -positive(4, 1)),
    sample(Remainder, "number", lambda _, x: x % 0.75, normal(5)),
    sample(
        Remainder,
        "number_left",
        lambda _, x: 2 % x,
        positive(5),
        oracle=lambda t, x: t.full_like(x, 2.0) % x,
    ),
    sample(Remainder, "zero_dim", lambda _, x, y: x % y, normal() * 4, positive()),
    sample(Remainder, "integer_tensor", lambda _, x, y: x % y, normal(3) * 9, integers(3, -3, 2)),
    sample(Remainder, "empty", lambda _, x, y: x % y, normal(0, 3), positive(3)),
    sample(
        RoundedQuotient,
        "operator",
        lambda _, x: x // 0.75 + 3 // x,
        positive(5),
        oracle=lambda t, x: (
            x.div(0.75, rounding_mode="floor") + t.full_like(x, 3.0).div(x, rounding_mode="floor")
        ),
    ),
]

BITS = [
    sample(Logical, f"{label}_{operands}", function, *arrays)
    for label, function in [
        ("xor", lambda _, x, y: x ^ y),
        ("and", lambda _, x, y: x & y),
        ("or", lambda _, x, y: x | y),
    ]
    for operands, arrays in [
        ("booleans", (coin(2, 3), coin(3))),
        ("integers", (integers(5, -6, 0), integers(3, 3, -1))),
    ]
] + [
    sample(Logical, "left_shift", lambda _, x: (x << 2) + (2 << x), integers(5, 6, 0)),
    sample(Logical, "right_shift", lambda _, x: (x >> 2) + (-9 >> abs(x)), integers(5, -6, 0)),
]

OPERATORS = [*REMAINDERS, *BITS]
