"""Sample inputs of arithmetic, elementwise functions, reductions, shapes, indexing and choosing."""

import numpy as np
from op_sample import coin, integers, normal, positive, sample

from tinytrain.ops.activation import GELU
from tinytrain.ops.arithmetic import Add, Div, Maximum, Minimum, Mul, Pow, Sub
from tinytrain.ops.elementwise import (
    Abs,
    Cast,
    Clamp,
    Copy,
    Exp,
    Log,
    Neg,
    ReLU,
    Sigmoid,
    Sqrt,
    Tanh,
)
from tinytrain.ops.index import Index, TakeAlong
from tinytrain.ops.matmul import Matmul
from tinytrain.ops.reduce import Amax, Amin, Argmax, Argmin, Mean, Sum, Var
from tinytrain.ops.selection import Comparison, Invert, Logical, MaskedFill, Where
from tinytrain.ops.shape import Cat, Expand, Permute, Reshape, Stack
from tinytrain.ops.softmax import LogSoftmax, LogSumExp, Softmax
from tinytrain.ops.transfer import ToDevice, ToHost

ARITHMETIC = [
    sample(Add, "same_shape", lambda _, x, y: x + y, normal(2, 3), normal(2, 3)),
    sample(Add, "broadcast", lambda _, x, y: x + y, normal(2, 1, 3), normal(4, 1)),
    sample(Add, "to_itself", lambda _, x: x + x, normal(3)),
    sample(Add, "float", lambda _, x: x + 2.5, normal(3)),
    sample(Add, "int_left", lambda _, x: 2 + x, normal(3)),
    sample(Add, "numpy_number", lambda _, x: x + np.float64(2), normal(3)),
    sample(Add, "zero_dim", lambda _, x, y: x + y, normal(), normal()),
    sample(Add, "zero_dim_to_matrix", lambda _, x, y: x + y, normal(), normal(2, 3)),
    sample(Add, "integer_tensor", lambda _, x, y: x + y, normal(3), integers(1, 2, 3)),
    sample(Add, "empty", lambda _, x, y: x + y, normal(0, 3), normal(3)),
    sample(Sub, "broadcast", lambda _, x, y: x - y, normal(3), normal(2, 1)),
    sample(Sub, "from_itself", lambda _, x: x - x, normal(3)),
    sample(Sub, "float", lambda _, x: x - 2.5, normal(3)),
    sample(Sub, "float_left", lambda _, x: 2.5 - x, normal(3)),
    sample(Sub, "numpy_number", lambda _, x: x - np.float64(2), normal(3)),
    sample(Mul, "same_shape", lambda _, x, y: x * y, normal(2, 3), normal(2, 3)),
    sample(Mul, "broadcast", lambda _, x, y: x * y, normal(2, 1, 3), normal(1, 4, 1)),
    sample(Mul, "with_itself", lambda _, x: x * x, normal(3)),
    sample(Mul, "float", lambda _, x: x * 2.5, normal(3)),
    sample(Mul, "numpy_number", lambda _, x: x * np.float64(2), normal(3)),
    sample(Mul, "numpy_number_left", lambda _, x: np.float64(2) * x, normal(3), oracle=None),
    sample(Mul, "boolean_tensor", lambda _, x, y: x * y, normal(2, 3), coin(2, 3)),
    sample(Div, "broadcast", lambda _, x, y: x / y, normal(3), positive(2, 1)),
    sample(Div, "by_itself", lambda _, x: x / x, positive(3)),
    sample(Div, "float", lambda _, x: x / 2.5, normal(3)),
    sample(Div, "int_left", lambda _, x: 1 / x, positive(3)),
    sample(Div, "numpy_number", lambda _, x: x / np.float64(2), normal(3)),
    sample(Pow, "tensors", lambda _, x, y: x**y, positive(3), normal(2, 3)),
    sample(Pow, "float_left", lambda _, x: 2.0**x, normal(3)),
    sample(Pow, "numpy_number", lambda _, x: x ** np.float64(2), normal(3)),
    *(
        sample(Pow, f"to_{n}", lambda _, x, n=n: x**n, positive(2, 3))
        for n in (-2, -0.5, 0, 0.5, 1, 2, 3, 4)
    ),
    sample(Pow, "cube_of_negative", lambda _, x: x**3, -positive(3)),
    sample(Maximum, "broadcast", lambda t, x, y: t.maximum(x, y), normal(5), normal(4, 1)),
    sample(Maximum, "float", lambda t, x: t.maximum(x, 0.1), normal(4), oracle=None),
    sample(Maximum, "tie", lambda t, x: t.maximum(x, x), normal(4)),
    sample(Minimum, "broadcast", lambda t, x, y: t.minimum(x, y), normal(5), normal(4, 1)),
    sample(Minimum, "float_left", lambda t, x: t.minimum(0.1, x), normal(4), oracle=None),
]

ELEMENTWISE = [
    sample(Neg, "", lambda _, x: -x, normal(2, 3)),
    sample(Abs, "", lambda _, x: abs(x) + x.abs(), normal(2, 3)),
    sample(Exp, "", lambda _, x: x.exp(), normal(2, 3)),
    sample(Log, "", lambda _, x: x.log(), positive(2, 3)),
    sample(Sqrt, "", lambda _, x: x.sqrt(), positive(2, 3)),
    sample(Tanh, "", lambda _, x: x.tanh(), normal(2, 3)),
    sample(Sigmoid, "", lambda _, x: x.sigmoid(), normal(2, 3) * 4),
    sample(Sigmoid, "zero_dim", lambda _, x: x.sigmoid(), normal()),
    sample(ReLU, "", lambda _, x: x.relu(), normal(4, 5)),
    sample(GELU, "exact", lambda t, x: t.nn.functional.gelu(x), normal(2, 3) * 3),
    sample(
        GELU,
        "tanh",
        lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
        normal(2, 3) * 3,
    ),
    sample(GELU, "zero_dim", lambda t, x: t.nn.functional.gelu(x), normal()),
    sample(GELU, "empty", lambda t, x: t.nn.functional.gelu(x), normal(0, 2)),
    sample(Clamp, "both", lambda _, x: x.clamp(-0.5, 0.5), normal(3, 4)),
    sample(Clamp, "low", lambda _, x: x.clamp(min=0.0), normal(3, 4)),
    sample(Clamp, "high", lambda _, x: x.clamp(max=0), normal(3, 4)),
    sample(Clamp, "numpy_number", lambda _, x: x.clamp(np.float64(-0.5)), normal(3, 4)),
    sample(
        Cast,
        "to_float64",
        lambda t, x: t.apply(Cast(np.dtype(np.float64)), x).to(x.dtype),
        normal(2, 3),
        oracle=lambda _, x: x.clone(),
    ),
    sample(Cast, "to_int", lambda _, x: (x * 10).long(), normal(2, 3)),
    sample(Cast, "from_bool", lambda t, x, m: x * m.to(x.dtype), normal(4), coin(4)),
    sample(Copy, "", lambda _, x: x.clone(), normal(2, 3)),
]

PRODUCTS = [
    sample(Matmul, label, lambda _, x, y: x @ y, normal(*left), normal(*right))
    for label, left, right in [
        ("vector_vector", (3,), (3,)),
        ("vector_matrix", (3,), (3, 2)),
        ("matrix_vector", (2, 3), (3,)),
        ("matrices", (2, 3), (3, 4)),
        ("batched", (5, 2, 3), (5, 3, 4)),
        ("broadcast", (2, 1, 2, 3), (4, 3, 2)),
        ("matrix_batch", (2, 3), (4, 3, 2)),
        ("vector_batch", (3,), (4, 3, 2)),
        ("batch_vector", (4, 2, 3), (3,)),
        ("batch_of_one", (1, 2, 3), (4, 3, 2)),
        ("no_rows", (0, 3), (3, 2)),
        ("no_inner", (2, 0), (0, 3)),
    ]
] + [sample(Matmul, "with_itself", lambda _, x: x @ x, normal(3, 3))]

DIMS = [("all", {}), ("one", {"dim": 1}), ("last_kept", {"dim": -1, "keepdim": True})]
TUPLES = [("two", {"dim": (0, 2)}), ("two_kept", {"dim": (2, 0), "keepdim": True})]

REDUCTIONS = [
    *(
        sample(operation, label, lambda _, x, m=method, k=k: getattr(x, m)(**k), normal(2, 3, 4))
        for operation, method in [(Sum, "sum"), (Mean, "mean"), (Var, "var")]
        for label, k in [*DIMS, *TUPLES]
    ),
    *(
        sample(operation, label, lambda _, x, m=method, k=k: getattr(x, m)(**k), normal(2, 3, 4))
        for operation, method in [(Amax, "amax"), (Amin, "amin"), (LogSumExp, "logsumexp")]
        for label, k in [*DIMS[1:], *TUPLES]
    ),
    *(
        sample(
            TakeAlong,
            f"{m}_{label}",
            lambda _, x, m=m, k=k: getattr(x, m)(**k).values,
            normal(3, 4),
        )
        for m in ("max", "min")
        for label, k in DIMS[1:]
    ),
    *(
        sample(operation, label, lambda _, x, m=method, k=k: getattr(x, m)(**k), normal(3, 4))
        for operation, method in [(Argmax, "argmax"), (Argmin, "argmin")]
        for label, k in DIMS
    ),
    sample(Sum, "zero_dim", lambda _, x: x.sum(), normal()),
    sample(Sum, "empty_axis", lambda _, x: x.sum(0), normal(0, 3)),
    sample(Sum, "names_of_numpy", lambda _, x: x.sum(axis=1, keepdims=True), normal(2, 3)),
    sample(Mean, "no_results", lambda _, x: x.mean(1), normal(0, 3)),
    sample(Mean, "of_nothing", lambda _, x: x.mean(0), normal(0, 3)),
    sample(Mean, "of_nothing_kept", lambda _, x: x.mean((0, 2), keepdim=True), normal(0, 3, 2)),
    sample(Var, "biased", lambda _, x: x.var(1, correction=0), normal(2, 3)),
    sample(Var, "numpy_number", lambda _, x: x.var(1, correction=np.float64(1)), normal(2, 3)),
    sample(Var, "constant", lambda _, x: x.var(1), np.ones((2, 3))),
    sample(Amax, "all", lambda _, x: x.max(), normal(2, 3)),
    sample(Amin, "all", lambda _, x: x.min(), normal(2, 3)),
    sample(Amax, "zero_dim", lambda _, x: x.max(), normal()),
    sample(LogSumExp, "of_large", lambda _, x: x.logsumexp(1), normal(2, 3) * 1000),
    sample(LogSumExp, "zero_dim", lambda _, x: x.logsumexp(0), normal()),
    sample(TakeAlong, "zero_dim", lambda _, x: x.max(0).values, normal()),
]

SHAPES = [
    sample(Reshape, "", lambda _, x: x.reshape(3, 4), normal(2, 6)),
    sample(Reshape, "tuple_with_minus_one", lambda _, x: x.reshape((-1, 2)), normal(2, 6)),
    sample(Reshape, "view_of_transposed", lambda _, x: x.T.reshape(-1), normal(2, 3)),
    sample(Reshape, "flatten", lambda _, x: x.flatten(1), normal(2, 3, 2)),
    sample(Reshape, "flatten_zero_dim", lambda _, x: x.flatten(), normal()),
    sample(Reshape, "squeeze", lambda _, x: x.squeeze(), normal(1, 3, 1)),
    sample(Reshape, "squeeze_one", lambda _, x: x.squeeze(-1), normal(1, 3, 1)),
    sample(Reshape, "squeeze_nothing", lambda _, x: x.squeeze(1), normal(1, 3, 1)),
    sample(Reshape, "unsqueeze", lambda _, x: x.unsqueeze(-1), normal(2, 3)),
    sample(Reshape, "to_zero_dim", lambda _, x: x.reshape(()), normal(1, 1)),
    sample(Permute, "", lambda _, x: x.permute(2, 0, 1), normal(2, 3, 4)),
    sample(Permute, "tuple", lambda _, x: x.permute((1, -1, 0)), normal(2, 3, 4)),
    sample(Permute, "transpose", lambda _, x: x.transpose(-1, 0), normal(2, 3, 4)),
    sample(Permute, "T", lambda _, x: x.T, normal(2, 3)),
    sample(Expand, "", lambda _, x: x.expand(2, 3, 4), normal(3, 1)),
    sample(Expand, "keep", lambda _, x: x.expand(-1, 4), normal(3, 1)),
    sample(Expand, "zero_dim", lambda _, x: x.expand(2, 2), normal()),
    sample(Cat, "rows", lambda t, x, y: t.cat([x, y]), normal(2, 3), normal(1, 3)),
    sample(Cat, "columns", lambda t, x, y: t.cat([x, y, x], dim=-1), normal(2, 3), normal(2, 1)),
    sample(Cat, "empty_piece", lambda t, x, y: t.cat([x, y]), normal(2, 3), normal(0, 3)),
    sample(Cat, "integers_too", lambda t, x, y: t.cat([x, y]), normal(2), integers(3, 4)),
    sample(Stack, "first", lambda t, x, y: t.stack([x, y]), normal(2, 3), normal(2, 3)),
    sample(Stack, "last", lambda t, x, y: t.stack([x, y, x], dim=-1), normal(2), normal(2)),
    sample(Stack, "zero_dim", lambda t, x, y: t.stack([x, y]), normal(), normal()),
    sample(Stack, "integers_too", lambda t, x, y: t.stack([x, y]), normal(2), integers(3, 4)),
]

INDEXING = [
    *(
        sample(Index, label, lambda _, x, where=where: x[where], normal(4, 3, 2))
        for label, where in [
            ("int", 1),
            ("negative", -1),
            ("slice", slice(1, 3)),
            ("step", slice(None, None, 2)),
            ("out_of_range_slice", slice(2, 100)),
            ("none", (None, slice(None), None, 0)),
            ("ellipsis", (..., 1)),
            ("all_ints", (1, -1, 0)),
            ("list", [0, 2]),
            ("list_of_repeats", [0, 2, 0, 0]),
            ("two_lists", ([0, 1, 0], [2, 2, 2])),
            ("lists_apart", ([0, 1], slice(None), [1, 1])),
            ("nested_tuple_of_repeats", ((0, 0, 1), 1)),
            ("list_of_booleans", [True, False, True, True]),
            ("nothing", slice(0, 0)),
            ("mixed", (1, slice(None), [0, 0])),
            ("new_axis_and_list", (None, [1, 1], ..., 0)),
        ]
    ),
    sample(Index, "slice_from_the_end", lambda _, x: x[-2:, ::2], normal(4, 3)),
    sample(
        Index,
        "backwards",
        lambda _, x: x[::-1, 2:0:-1],
        normal(4, 3),
        oracle=lambda _, x: x.flip(0)[:, 1:].flip(1),
    ),
    sample(Index, "tensor_of_repeats", lambda _, x, i: x[i], normal(4, 3), integers([0, 3, -1, 0])),
    sample(
        Index, "matrix_of_ids", lambda _, x, i: x[:, i], normal(2, 3), integers([[0, 2], [2, 2]])
    ),
    sample(Index, "zero_dim_id", lambda _, x, i: x[i], normal(4, 3), integers(2)),
    sample(Index, "no_ids", lambda _, x, i: x[i], normal(4, 3), integers([])),
    sample(Index, "mask", lambda _, x, m: x[m], normal(4, 3), coin(4, 3)),
    sample(Index, "row_mask", lambda _, x, m: x[m], normal(4, 3), coin(4)),
    sample(Index, "column_mask", lambda _, x, m: x[:, m], normal(2, 4), coin(4)),
    sample(Index, "mask_and_int", lambda _, x, m: x[m, 1], normal(4, 3), coin(4)),
    sample(Index, "split", lambda t, x: t.cat(t.split(x, 2)[::-1]), normal(5, 2)),
    sample(Index, "split_sizes", lambda _, x: x.split([1, 0, 3], dim=1)[2], normal(2, 4)),
]

CHOOSING = [
    sample(Where, "", lambda t, m, x, y: t.where(m, x, y), coin(2, 3), normal(2, 3), normal(2, 3)),
    sample(
        Where,
        "broadcast",
        lambda t, m, x, y: t.where(m, x, y),
        coin(4, 1, 3),
        normal(3),
        normal(2, 1),
    ),
    sample(Where, "float", lambda t, m, x: t.where(m, x, 0.5), coin(2, 3), normal(2, 3)),
    sample(Where, "int_first", lambda t, m, x: t.where(m, 1, x), coin(2, 3), normal(2, 3)),
    sample(Where, "numpy_number", lambda t, m, x: t.where(m, x, np.float64(2)), coin(3), normal(3)),
    sample(MaskedFill, "", lambda _, x, m: x.masked_fill(m, -1e9), normal(2, 3), coin(2, 3)),
    sample(
        MaskedFill, "broadcast_mask", lambda _, x, m: x.masked_fill(m, 0), normal(2, 3), coin(3)
    ),
    sample(MaskedFill, "infinite", lambda _, x, m: x.masked_fill(m, -np.inf), normal(3), coin(3)),
    *(
        sample(Comparison, f"{name}_{label}", function, normal(2, 3), normal(3))
        for label, name, function in [
            ("tensors", "eq", lambda _, x, y: x == y),
            ("tensors", "ne", lambda _, x, y: x != y),
            ("tensors", "lt", lambda _, x, y: x < y),
            ("tensors", "le", lambda _, x, y: x <= y),
            ("tensors", "gt", lambda _, x, y: x > y),
            ("tensors", "ge", lambda _, x, y: x >= y),
            ("with_itself", "le", lambda _, x, y: x <= x),
            ("float", "gt", lambda _, x, y: x > 0.5),
            ("float_left", "lt", lambda _, x, y: y > 0.5),
        ]
    ),
    sample(Logical, "and", lambda _, x, y: x & y, coin(2, 3), coin(3)),
    sample(Logical, "or", lambda _, x, y: x | y, coin(2, 3), coin(3)),
    sample(Logical, "of_integers", lambda _, x: x & 6, integers(5, 6, 7)),
    sample(Invert, "", lambda _, x: ~x, coin(2, 3)),
    sample(Invert, "of_integers", lambda _, x: ~x, integers(0, 1, -5)),
]

SOFTMAX = [
    *(
        sample(operation, label, lambda _, x, m=m, d=d: getattr(x, m)(d), normal(*shape) * 3)
        for operation, m in [(Softmax, "softmax"), (LogSoftmax, "log_softmax")]
        for label, shape, d in [
            ("last", (2, 3), -1),
            ("first", (2, 3, 2), 0),
            ("vector", (4,), 0),
            ("zero_dim", (), 0),
            ("no_rows", (0, 3), 1),
            ("no_columns", (3, 0), 1),
            ("one_column", (3, 1), 1),
        ]
    ),
    sample(Softmax, "of_large", lambda _, x: x.softmax(0), normal(4) * 1e4),
    sample(LogSoftmax, "of_large", lambda _, x: x.log_softmax(0), normal(4) * 1e4),
    sample(
        Softmax,
        "masked",
        lambda _, x, m: x.masked_fill(m, -np.inf).softmax(1),
        normal(3, 3),
        np.array([[False, True, False], [True, False, False], [False, False, False]]),
    ),
]

TRANSFER = [
    sample(
        ToHost,
        "",
        lambda t, x: t.apply(ToHost(), x),
        normal(2, 3),
        oracle=lambda _, x: x.clone(),
    ),
    sample(
        ToDevice,
        "and_to_host",
        lambda t, x: t.apply(ToDevice(), t.apply(ToHost(), x)),
        normal(2, 3),
        oracle=lambda _, x: x.clone(),
    ),
]

ELEMENTARY = [
    *ARITHMETIC,
    *ELEMENTWISE,
    *PRODUCTS,
    *REDUCTIONS,
    *SHAPES,
    *INDEXING,
    *CHOOSING,
    *SOFTMAX,
    *TRANSFER,
]
