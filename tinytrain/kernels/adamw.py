"""The AdamW step on the CPU, and the numbers that the step on every device shares."""

import math
from typing import Any, NamedTuple

import numpy as np

from tinytrain.backend import Array
from tinytrain.kernels.blocks import BLOCK_ELEMENTS, blocks

FLUSH_EVERY = 20
"""Optimizer steps between two looks for numbers that are nearly denormal."""


def adamw(
    parameter: Array,
    gradient: Array,
    first_moment: Array,
    second_moment: Array,
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None:
    """Make one AdamW step on flat arrays, in place; `tinytrain.optim.AdamW` has the formula.

    Parameters
    ----------
    parameter, gradient, first_moment, second_moment : array (N,)
        Contiguous; all but the gradient are overwritten.
    step : int
        The number of this step, from 1.
    """
    factors = step_factors(parameter.dtype, learning_rate, beta1, beta2, eps, weight_decay, step)
    apply_factors(parameter, gradient, first_moment, second_moment, factors)


class StepFactors(NamedTuple):
    """All that one step multiplies, divides and compares with; the same for every element."""

    decay: float  # of the parameter, by weight decay
    new_first: float  # the weight of the gradient in the first moment
    old_second: float
    new_second: float  # the weight of the squared gradient in the second moment
    root_correction: float
    eps: float
    step_size: float
    smallest_first: float  # moments nearer to 0 than this become 0
    smallest_second: float


def step_factors(
    dtype: np.dtype[Any],
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> StepFactors:
    """Compute, once per step and in Python's double precision, what all elements share.

    Examples
    --------
    >>> step_factors(np.dtype("float64"), 0.1, 0.5, 0.75, 1e-8, 0.0, 1)[:7]
    (1.0, 0.5, 0.75, 0.25, 0.5, 1e-08, 0.2)
    """
    return StepFactors(
        decay=1 - learning_rate * weight_decay,
        new_first=1 - beta1,
        old_second=beta2,
        new_second=1 - beta2,
        root_correction=math.sqrt(1 - beta2**step),
        eps=eps,
        step_size=learning_rate / (1 - beta1**step),
        smallest_first=flush_limit(dtype, beta1, step),
        smallest_second=flush_limit(dtype, beta2, step),
    )


def flush_limit(dtype: np.dtype[Any], decay: float, step: int) -> float:
    """Return the size below which a moment becomes 0 in this step; mostly 0: none does.

    A moment without new gradients (of a dead unit, of a rare token) shrinks by `decay` a step,
    until it is denormal: so small that processors compute with it many times slower, and for ever,
    since rounding stops it short of 0. Cutting it off every `FLUSH_EVERY` steps lets none get
    there; what is lost is below 1e-31 in float32. Decays of at most a half end at 0 by themselves.

    Examples
    --------
    >>> flush_limit(np.dtype("float32"), 0.9, step=19)
    0.0
    >>> flush_limit(np.dtype("float32"), 0.9, step=20) < 1e-31
    True
    """
    if step % FLUSH_EVERY or decay <= 0.5:
        return 0.0
    return float(np.finfo(dtype).tiny) / decay**FLUSH_EVERY


def apply_factors(
    parameter: Array, gradient: Array, first_moment: Array, second_moment: Array, by: StepFactors
) -> None:
    """Walk over the arrays block by block, with one block of scratch memory."""
    scratch = np.empty(min(parameter.size, BLOCK_ELEMENTS), dtype=parameter.dtype)
    for block in blocks(parameter):
        p, g, m, v = parameter[block], gradient[block], first_moment[block], second_moment[block]
        s = scratch[: p.size]
        if by.decay != 1:
            p *= by.decay
        np.subtract(g, m, out=s)
        s *= by.new_first
        m += s  # m = beta1 m + (1 - beta1) g
        np.multiply(g, g, out=s)
        s *= by.new_second
        v *= by.old_second
        v += s  # v = beta2 v + (1 - beta2) g^2
        np.sqrt(v, out=s)
        s /= by.root_correction
        s += by.eps
        np.divide(m, s, out=s)
        s *= by.step_size
        p -= s
        if by.smallest_first:
            m *= abs(m) >= by.smallest_first
        if by.smallest_second:
            v *= abs(v) >= by.smallest_second
