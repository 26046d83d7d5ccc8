"""Sample inputs of the functions of tensors that are not in op_samples_elementary.py."""

import numpy as np
from op_sample import coin, integers, normal, positive, sample

from tinytrain.ops.accumulate import Cumsum, Prod
from tinytrain.ops.arithmetic import Add, Div, Pow
from tinytrain.ops.clamp import ClampTensors
from tinytrain.ops.index import Index, TakeAlong
from tinytrain.ops.logic import All, Any, Classify, Not, Truth
from tinytrain.ops.matmul import Matmul
from tinytrain.ops.norm import Norm
from tinytrain.ops.order import Argsort
from tinytrain.ops.rearrange import Diagonal, Flip, Roll, Tril, Triu
from tinytrain.ops.reduce import Std, Var
from tinytrain.ops.scatter import IndexAdd, Scatter, ScatterAdd, ScatterFill
from tinytrain.ops.selection import Where
from tinytrain.ops.shape import Expand, Permute
from tinytrain.ops.special import Cos, Erf, Expm1, Log1p, Rsqrt, Sin
from tinytrain.ops.steps import Ceil, Floor, Round, RoundedQuotient, Sign, Trunc

BIG = float("inf")
SPECIAL = np.array([1.0, -BIG, BIG, np.nan, 0.0])

SMOOTH = [
    sample(Expm1, "", lambda t, x: t.expm1(x), normal(2, 3)),
    sample(Expm1, "near_zero", lambda _, x: x.expm1(), normal(3) * 1e-9),
    sample(Log1p, "", lambda t, x: t.log1p(x), positive(2, 3)),
    sample(Log1p, "near_zero", lambda _, x: x.log1p(), normal(3) * 1e-9),
    sample(Rsqrt, "", lambda t, x: t.rsqrt(x), positive(2, 3)),
    sample(Sin, "", lambda t, x: t.sin(x), normal(2, 3) * 3),
    sample(Cos, "", lambda t, x: t.cos(x), normal(2, 3) * 3),
    sample(Sin, "zero_dim", lambda _, x: x.sin() + x.cos(), normal()),
    sample(Erf, "", lambda t, x: t.erf(x), normal(2, 3)),
    sample(Erf, "tails", lambda _, x: x.erf(), np.array([-9.0, -3.0, 0.0, 0.45, 5.0])),
    sample(Erf, "empty", lambda _, x: x.erf(), normal(0, 2)),
    sample(Pow, "square", lambda t, x: t.square(x), normal(2, 3)),
    sample(Div, "reciprocal", lambda t, x: t.reciprocal(x), positive(2, 3)),
]

STEPS = [
    *(
        sample(operation, label, lambda t, x, n=n: getattr(t, n)(x), values)
        for operation, n in [(Floor, "floor"), (Ceil, "ceil"), (Trunc, "trunc"), (Round, "round")]
        for label, values in [("", normal(2, 3) * 3), ("zero_dim", normal()), ("none", normal(0))]
    ),
    sample(Sign, "", lambda t, x: t.sign(x), normal(2, 3)),
    sample(Round, "decimals", lambda t, x: t.round(x, decimals=1), normal(2, 3) * 3),
    sample(Round, "tens", lambda t, x: t.round(x, decimals=-1), normal(2, 3) * 30),
    *(
        sample(
            RoundedQuotient,
            f"{mode}_{label}",
            lambda t, x, y, m=mode: t.div(x, y, rounding_mode=m),
            x,
            y,
        )
        for mode in ("floor", "trunc")
        for label, x, y in [("floats", normal(2, 3) * 9, positive(3))]
    ),
    sample(
        RoundedQuotient,
        "number",
        lambda _, x: x.div(2, rounding_mode="trunc"),
        normal(2, 3) * 9,
    ),
]

ENDS = [
    sample(
        ClampTensors,
        "both",
        lambda _, x, a, b: x.clamp(a, b),
        normal(4, 3),
        -positive(3),
        positive(4, 1),
    ),
    sample(ClampTensors, "low", lambda _, x, a: x.clamp(min=a), normal(4, 3), normal(3)),
    sample(ClampTensors, "high", lambda t, x, b: t.clamp(x, max=b), normal(4, 3), normal(3)),
    sample(
        ClampTensors,
        "crossed",
        lambda _, x, a, b: x.clamp(a, b),
        normal(4, 3),
        positive(3),
        -positive(3),
    ),
    sample(
        Add,
        "alpha",
        lambda t, x, y: t.add(x, y, alpha=2) - t.sub(y, x, alpha=0.5),
        normal(2),
        normal(2),
    ),
    sample(Where, "method", lambda _, x, m: x.where(m, 0.0), normal(3), coin(3)),
    sample(
        Where,
        "masked_fill_by_tensor",
        lambda _, x, m, v: x.masked_fill(m, v),
        normal(2, 3),
        coin(2, 3),
        normal(),
    ),
]

LOGIC = [
    *(
        sample(Classify, n, lambda t, x, n=n: getattr(t, n)(x), SPECIAL)
        for n in ("isnan", "isinf", "isfinite")
    ),
    *(
        sample(Classify, f"{n}_of_integers", lambda t, x, n=n: getattr(t, n)(x), integers(0, 1))
        for n in ("isnan", "isinf", "isfinite")
    ),
    *(
        sample(Truth, n, lambda t, x, y, n=n: getattr(t, n)(x, y), coin(2, 3), integers(0, 1, 2))
        for n in ("logical_and", "logical_or", "logical_xor")
    ),
    sample(Truth, "of_floats", lambda _, x, y: x.logical_and(y), SPECIAL, normal(5)),
    sample(Not, "", lambda t, x: t.logical_not(x), SPECIAL),
    sample(Not, "of_booleans", lambda t, x: t.logical_not(x), coin(3)),
    *(
        sample(operation, label, lambda t, x, n=n, k=k: getattr(t, n)(x, **k), coin(2, 3, 4))
        for operation, n in [(All, "all"), (Any, "any")]
        for label, k in [
            ("every", {}),
            ("one", {"dim": 1}),
            ("two", {"dim": (0, 2)}),
            ("kept", {"dim": -1, "keepdim": True}),
        ]
    ),
    sample(All, "of_nothing", lambda t, x: t.all(x, 0), normal(0, 2)),
    sample(Any, "of_nothing", lambda t, x: t.any(x, 0), normal(0, 2)),
]

ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 4.0]])

REDUCTIONS = [
    sample(Prod, "all", lambda t, x: t.prod(x), normal(2, 3)),
    sample(Prod, "one", lambda t, x: t.prod(x, 1), normal(2, 3, 2)),
    sample(Prod, "kept", lambda _, x: x.prod(0, keepdim=True), normal(2, 3, 2)),
    sample(Prod, "zeros", lambda _, x: x.prod(1), ZEROS),
    sample(Prod, "zero_dim", lambda _, x: x.prod(), normal()),
    sample(Prod, "of_nothing", lambda _, x: x.prod(0), normal(0, 2)),
    *(
        sample(Std, label, lambda t, x, k=k: t.std(x, **k), normal(2, 3, 4))
        for label, k in [
            ("all", {}),
            ("one", {"dim": 1}),
            ("two_kept", {"dim": (2, 0), "keepdim": True}),
            ("biased", {"dim": -1, "unbiased": False}),
            ("corrected", {"dim": 0, "correction": 0.5}),
        ]
    ),
    sample(Var, "unbiased_alone", lambda t, x: t.var(x, False), normal(2, 3)),
    sample(Var, "positional", lambda _, x: x.var(1, False, True), normal(2, 3)),
    *(
        sample(Norm, f"{p}_{label}", lambda t, x, p=p, k=k: t.norm(x, p, **k), normal(2, 3, 4))
        for p in ("fro", 1, 2, 3, 1.5, 0.5, BIG, -BIG, -1)
        for label, k in [("all", {}), ("two_kept", {"dim": (0, 2), "keepdim": True})]
    ),
    sample(Norm, "vector_norm", lambda t, x: t.linalg.vector_norm(x, 3, 1), normal(2, 3)),
    sample(Norm, "zero_dim", lambda t, x: t.linalg.vector_norm(x), normal()),
    sample(Norm, "of_nothing", lambda t, x: t.linalg.vector_norm(x, dim=0), normal(0, 2)),
    *(
        sample(Cumsum, label, lambda t, x, d=d: t.cumsum(x, d), normal(*shape))
        for label, shape, d in [
            ("first", (3, 2), 0),
            ("last", (2, 3, 2), -1),
            ("zero_dim", (), 0),
            ("empty", (0, 2), 0),
        ]
    ),
]

SHUFFLED = np.array([[3.0, -1.0, 2.0, 0.5], [0.0, 4.0, -2.0, 1.0], [5.0, 6.0, -7.0, 8.0]])

ORDER = [
    sample(Argsort, "", lambda t, x: t.argsort(x), SHUFFLED),
    sample(Argsort, "descending", lambda t, x: t.argsort(x, 0, True), SHUFFLED),
    sample(
        Argsort,
        "ties",
        lambda t, x: t.argsort(x, descending=True, stable=True),
        integers(2, 1, 2, 1, 3),
    ),
    sample(Argsort, "nan", lambda t, x: t.argsort(x, descending=True), SPECIAL),
    sample(Argsort, "zero_dim", lambda _, x: x.argsort(), normal()),
    sample(TakeAlong, "sort", lambda t, x: t.sort(x)[0], SHUFFLED),
    sample(TakeAlong, "sort_down", lambda _, x: x.sort(0, descending=True)[0], SHUFFLED),
    sample(TakeAlong, "sort_zero_dim", lambda _, x: x.sort()[0], normal()),
    sample(TakeAlong, "topk", lambda t, x: t.topk(x, 2).values, SHUFFLED),
    sample(TakeAlong, "topk_smallest", lambda _, x: x.topk(2, 0, False)[0], SHUFFLED),
    sample(TakeAlong, "topk_none", lambda _, x: x.topk(0)[0], SHUFFLED),
]

SHAPES = [
    sample(Flip, "one", lambda t, x: t.flip(x, [1]), normal(2, 3)),
    sample(Flip, "two", lambda _, x: x.flip(0, -1), normal(2, 3, 2)),
    sample(Flip, "no_axes", lambda t, x: t.flip(x, []), normal(2, 3)),
    sample(Roll, "row", lambda t, x: t.roll(x, 4), normal(2, 3)),
    sample(Roll, "one", lambda t, x: t.roll(x, -1, 1), normal(2, 3)),
    sample(Roll, "two", lambda _, x: x.roll((1, 5), (0, 1)), normal(2, 3)),
    sample(Permute, "movedim", lambda t, x: t.movedim(x, 0, -1), normal(2, 3, 4)),
    sample(Permute, "movedims", lambda _, x: x.movedim((2, 0), (0, 1)), normal(2, 3, 4)),
    sample(Expand, "broadcast_to", lambda t, x: t.broadcast_to(x, (2, 3)), normal(3)),
    sample(Expand, "repeat", lambda _, x: x.repeat(2, 1, 3), normal(2, 3)),
    sample(Expand, "repeat_none", lambda _, x: x.repeat(0, 2), normal(2, 3)),
    sample(Expand, "tile", lambda t, x: t.tile(x, (2,)), normal(2, 3)),
    *(
        sample(operation, label, lambda t, x, n=n, k=k: getattr(t, n)(x, k), normal(*shape))
        for operation, n in [(Tril, "tril"), (Triu, "triu")]
        for label, shape, k in [
            ("main", (3, 4), 0),
            ("right", (4, 3), 1),
            ("left", (2, 3, 3), -1),
            ("outside", (2, 2), 7),
        ]
    ),
    *(
        sample(Diagonal, label, lambda t, x, a=a: t.diagonal(x, *a), normal(3, 4, 2))
        for label, a in [
            ("main", ()),
            ("right", (1,)),
            ("left", (-1, 0, 1)),
            ("last_axes", (0, -1, -2)),
            ("outside", (9,)),
        ]
    ),
    sample(Index, "chunk", lambda t, x: t.chunk(x, 2)[1], normal(5, 2)),
    sample(Index, "unbind", lambda t, x: t.unbind(x, 1)[2], normal(2, 3)),
    sample(Index, "narrow", lambda t, x: t.narrow(x, 1, -2, 2), normal(2, 4)),
]

ROWS = integers([[0, 2, 2], [1, 0, 2]])  # one position for each place of a (2, 3)
APART = integers([[2, 0, 1], [3, 1, 0]])  # no place of an axis is named twice

POSITIONS = [
    sample(TakeAlong, "gather", lambda t, x, i: t.gather(x, 1, i), normal(2, 3), ROWS),
    sample(
        ScatterAdd,
        "repeats",
        lambda t, x, i, y: t.scatter_add(x, 1, i, y),
        normal(2, 3),
        ROWS,
        normal(2, 3),
    ),
    sample(
        ScatterAdd,
        "smaller",
        lambda _, x, i, y: x.scatter_add(0, i, y),
        normal(3, 4),
        ROWS,
        normal(2, 3),
    ),
    sample(
        Scatter, "last", lambda _, x, i, y: x.scatter(-1, i, y), normal(2, 4), APART, normal(2, 3)
    ),
    sample(ScatterFill, "", lambda t, x, i: t.scatter(x, 1, i, 7.0), normal(2, 3), ROWS),
    sample(ScatterFill, "value", lambda _, x, i: x.scatter(0, i, value=-1), normal(3, 4), ROWS),
    sample(
        IndexAdd,
        "repeats",
        lambda t, x, i, y: t.index_add(x, 0, i, y),
        normal(4, 2),
        integers(3, 0, 3),
        normal(3, 2),
    ),
    sample(
        IndexAdd,
        "alpha",
        lambda _, x, i, y: x.index_add(1, i, y, alpha=-0.5),
        normal(2, 3),
        integers(1, 1),
        normal(2, 2),
    ),
    sample(
        Index, "select", lambda t, x, i: t.index_select(x, 1, i), normal(2, 3), integers(2, 0, 2)
    ),
]

PRODUCTS = [
    sample(Matmul, "mm", lambda t, x, y: t.mm(x, y), normal(2, 3), normal(3, 4)),
    sample(Matmul, "bmm", lambda t, x, y: t.bmm(x, y), normal(2, 2, 3), normal(2, 3, 1)),
    sample(Matmul, "mv", lambda t, x, y: t.mv(x, y), normal(2, 3), normal(3)),
    sample(Matmul, "dot", lambda t, x, y: t.dot(x, y), normal(3), normal(3)),
]

TENSOR = [
    *SMOOTH,
    *STEPS,
    *ENDS,
    *LOGIC,
    *REDUCTIONS,
    *ORDER,
    *SHAPES,
    *POSITIONS,
    *PRODUCTS,
]
