"""The mock GPU's kernels: in place of CUDA C it runs the NumPy twin of each kernel.

A compiled module of CuPy takes source text and hands out functions by name. So does the one here,
but of the source it reads only which kernels are declared. What they compute is said by
`REFERENCES`: one function per kernel, with the arguments in the kernel's order, which writes into
the arrays that it is given. `set_runner` puts something else in their place, such as the kernels
themselves, compiled for the CPU.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytrain.kernels import cpu
from tinytrain.kernels.adamw import StepFactors, apply_factors
from tinytrain.kernels.attention import causal_mask
from tinytrain.kernels.launch import declarations
from tinytrain.testing.mock.ledger import count_launch

Values: TypeAlias = NDArray[Any]

Runner: TypeAlias = Callable[[str, str, int, int, tuple[Any, ...]], None]
"""Gets the source, the kernel's name, the blocks, the threads per block and the arguments: NumPy
arrays, and NumPy scalars, of which one in the place of an array is a null pointer."""

_runner: list[Runner] = []  # empty, or the one that replaces the references


def set_runner(runner: Runner | None) -> None:
    """Let all kernels be run by `runner` from now on, or by their references again (None)."""
    _runner[:] = [] if runner is None else [runner]


class RawModule:
    """The kernels of one source text, as ``cupy.RawModule`` offers them.

    Parameters
    ----------
    code : str
        CUDA C.
    options : sequence of str
        For the compiler, which there is none of here.

    Examples
    --------
    >>> module = RawModule(code='extern "C" __global__ void unheard_of(int* x) {}')
    >>> module.get_function("unheard_of")
    Traceback (most recent call last):
        ...
    NotImplementedError: the mock GPU has no reference for the kernel 'unheard_of'
    """

    def __init__(self, code: str, options: Sequence[str] = ()) -> None:
        self.code, self.options = code, tuple(options)
        self.kernels = declarations(code)

    def get_function(self, name: str) -> Callable[..., None]:
        """Return one kernel, to be called with the grid, the block and the arguments.

        Raises
        ------
        KeyError
            The source declares no such kernel.
        NotImplementedError
            The kernel has no reference here.
        """
        if name not in self.kernels:
            raise KeyError(f"the source declares no kernel {name!r}, only {list(self.kernels)}")
        if name not in REFERENCES:
            raise NotImplementedError(f"the mock GPU has no reference for the kernel {name!r}")

        def start(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
            count_launch(name)
            hosts = tuple(getattr(argument, "_host", argument) for argument in arguments)
            if _runner:
                _runner[0](self.code, name, grid[0], block[0], hosts)
            else:
                REFERENCES[name](*hosts)

        return start


def _or_none(pointer: Any) -> Values | None:
    """Return the array of a pointer that may be null."""
    return pointer if isinstance(pointer, np.ndarray) else None


def _write(results: Sequence[Values | None], *outputs: Any) -> None:
    """Copy results to where the kernel would have written them; one that is not wanted is null."""
    for result, output in zip(results, outputs, strict=True):
        if isinstance(output, np.ndarray):
            output[...] = result


def _gelu(function: Callable[..., tuple[Values, Values | None]]) -> Callable[..., None]:
    def reference(x: Values, y: Values, slope: Any, count: np.int64) -> None:
        _write(function(x.reshape(-1), _or_none(slope) is not None), y.reshape(-1), slope)

    return reference


def _softmax_rows(x: Values, p: Values, maxima: Values, sums: Values, width: np.int64) -> None:
    _write(cpu.softmax_rows(x), p, maxima, sums)


def _cross_entropy(
    logits: Values,
    targets: Values,
    losses: Values,
    slope: Values,
    width: np.int64,
    ignore_index: np.int64,
    smoothing: np.floating[Any],
) -> None:
    results = cpu.cross_entropy(logits, targets, int(ignore_index), float(smoothing))
    _write(results, losses, slope)


def _layer_norm(
    x: Values,
    weight: Any,
    bias: Any,
    output: Values,
    normalized: Values,
    inverse_std: Values,
    width: np.int64,
    eps: np.floating[Any],
) -> None:
    results = cpu.layer_norm(x, _or_none(weight), _or_none(bias), float(eps))
    _write(results, output, normalized, inverse_std)


def _layer_norm_backward(
    gradient: Values,
    normalized: Values,
    inverse_std: Values,
    weight: Any,
    dx: Values,
    width: np.int64,
) -> None:
    result, _, _ = cpu.layer_norm_backward(gradient, normalized, inverse_std, _or_none(weight))
    _write([result], dx)


def _layer_norm_columns(
    gradient: Values,
    normalized: Values,
    dweight: Values,
    dbias: Values,
    count: np.int64,
    width: np.int64,
    rows_per_group: np.int64,
) -> None:
    for group in range(len(dbias)):
        rows = slice(group * int(rows_per_group), (group + 1) * int(rows_per_group))
        dweight[group] = cpu.column_sums(gradient[rows] * normalized[rows])
        dbias[group] = cpu.column_sums(gradient[rows])


def _adamw(p: Values, g: Values, m: Values, v: Values, count: np.int64, *factors: Any) -> None:
    apply_factors(p, g, m, v, StepFactors(*map(float, factors)))


def _scatter_add_rows(
    sorted_ids: Values,
    order: Values,
    rows: Values,
    total: Values,
    ids: np.int64,
    count: np.int64,
    width: np.int64,
) -> None:
    total[...] = cpu.scatter_add_rows(sorted_ids, rows[order], int(count))


def _keep_mask(
    keep: Values, count: np.int64, key_0: np.uint64, key_1: np.uint64, threshold: np.uint64
) -> None:
    keep[...] = cpu.keep_mask(keep, int(threshold) / 2**32, (int(key_0), int(key_1)))


def _attention_softmax(
    scores: Values,
    mask: Any,
    heads: np.int64,
    queries: np.int64,
    keys: np.int64,
    *others: Any,
) -> None:
    *strides, scale, is_causal = others
    scores *= scale
    if isinstance(mask, np.ndarray):
        steps = [int(stride) * mask.itemsize for stride in strides]
        scores += np.lib.stride_tricks.as_strided(mask, scores.shape, steps)
    if is_causal:
        scores += causal_mask(int(queries), int(keys), scores)
    rows = scores.reshape(-1, int(keys))
    rows[...] = cpu.softmax_rows(rows)[0]


def _attention_softmax_backward(
    probabilities: Values,
    gradient: Values,
    scores_gradient: Any,
    keys: np.int64,
    scale: np.floating[Any],
) -> None:
    along = (probabilities * gradient).sum(axis=-1, keepdims=True)
    ds = probabilities * (gradient - along)
    _write([ds, ds * scale], scores_gradient, gradient)


REFERENCES: dict[str, Callable[..., None]] = {
    "adamw": _adamw,
    "attention_softmax": _attention_softmax,
    "attention_softmax_backward": _attention_softmax_backward,
    "cross_entropy": _cross_entropy,
    "gelu_exact": _gelu(cpu.gelu_exact),
    "gelu_tanh": _gelu(cpu.gelu_tanh),
    "keep_mask": _keep_mask,
    "layer_norm": _layer_norm,
    "layer_norm_backward": _layer_norm_backward,
    "layer_norm_columns": _layer_norm_columns,
    "scatter_add_rows": _scatter_add_rows,
    "softmax_rows": _softmax_rows,
}
"""What each kernel computes, in NumPy."""
