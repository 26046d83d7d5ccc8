"""Which of CuPy's functions the mock GPU offers, and what each of them asks of the host.

CuPy has some three hundred functions. Offered are those of which it is known whether they wait for
the GPU; the others are refused, so that none of them waits unnoticed.
"""

MAKING = {
    "arange", "empty", "empty_like", "eye", "full", "full_like", "identity", "indices",
    "linspace", "ones", "ones_like", "tri", "zeros", "zeros_like",
}  # fmt: skip
"""Functions that make an array from numbers and shapes."""

DOORS = {
    "array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray",
}  # fmt: skip
"""Functions that take host values, and copy them to the device."""

OF_SEVERAL = {
    "broadcast_arrays", "column_stack", "concat", "concatenate", "dstack", "hstack", "ix_",
    "lexsort", "meshgrid", "select", "stack", "vstack",
}  # fmt: skip
"""Functions of a sequence of arrays, or of as many as one likes."""

OF_ARRAYS = {
    "all", "amax", "amin", "any", "argmax", "argmin", "argpartition", "argsort", "around",
    "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes",
    "broadcast_to", "can_cast", "clip", "copy", "copyto", "count_nonzero", "cross", "cumprod",
    "cumsum", "diag", "diagonal", "diff", "dot", "dsplit", "einsum", "expand_dims", "flip",
    "fliplr", "flipud", "hsplit", "imag", "inner", "isclose", "isscalar", "issubdtype", "kron",
    "matmul", "matrix_transpose", "max", "may_share_memory", "mean", "median", "min", "moveaxis",
    "nan_to_num", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nansum",
    "ndim", "outer", "pad", "partition", "permute_dims", "prod", "promote_types", "ptp", "ravel",
    "real", "repeat", "reshape", "result_type", "roll", "rollaxis", "rot90", "round",
    "searchsorted", "shape", "shares_memory", "size", "sort", "split", "squeeze", "std", "sum",
    "swapaxes", "take", "take_along_axis", "tensordot", "tile", "trace", "transpose", "tril",
    "triu", "var", "vdot", "vsplit", "where",
}  # fmt: skip
"""Functions of one or two arrays for which the host does not wait."""

WAITING = {
    "allclose", "argwhere", "array_equal", "array_repr", "array_str", "average", "bincount",
    "compress", "extract", "flatnonzero", "histogram", "in1d", "isin", "nonzero", "percentile",
    "place", "quantile", "unique", "unravel_index",
}  # fmt: skip
"""Functions for which the host waits: they need to know a size or a truth, or read the values."""

NO_LAUNCH = {
    "can_cast", "empty", "empty_like", "may_share_memory", "ndim", "promote_types", "result_type",
    "shape", "shares_memory", "size",
}  # fmt: skip
"""Functions that start no kernel."""

OFFERED = MAKING | DOORS | OF_SEVERAL | OF_ARRAYS | WAITING

WAITING_METHODS = {"compress", "nonzero"}
READING_METHODS = {"tobytes", "tofile", "dump", "dumps"}
"""Methods that copy the values to the host, for which it waits."""

METHODS = {
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "clip", "compress",
    "conj", "copy", "cumprod", "cumsum", "diagonal", "dot", "dump", "dumps", "flatten", "max",
    "mean", "min", "nonzero", "partition", "prod", "ptp", "ravel", "repeat", "reshape", "round",
    "searchsorted", "sort", "squeeze", "std", "sum", "swapaxes", "take", "tobytes", "tofile",
    "trace", "transpose", "var", "view",
}  # fmt: skip
"""Methods of an array that are offered, beside `fill`, `get`, `item` and `tolist`."""

SORT_KINDS = (None, "stable")
"""What CuPy's `argsort` and `sort` take as ``kind``."""

AT_DTYPES = {
    "add": ("int32", "int64", "uint32", "uint64", "float16", "float32", "float64"),
    "subtract": ("int32", "uint32"),
    "maximum": ("int32", "int64", "uint32", "uint64", "float32", "float64"),
    "minimum": ("int32", "int64", "uint32", "uint64", "float32", "float64"),
}
"""The dtypes that the atomic operations behind ``ufunc.at`` know."""
