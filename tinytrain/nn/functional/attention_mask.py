"""The masks of attention: who may look at whom."""

import math

import numpy as np

from tinytrain import backend
from tinytrain.functions.checks import checked
from tinytrain.kernels import attention as kernels
from tinytrain.ops.promotion import is_float
from tinytrain.tensor import Tensor


def causal_mask(input: Tensor) -> Tensor:
    """Return the additive mask (T, T) that hides later positions of an input (B, T, D).

    It has the input's dtype, holds 0 where position s <= t, else -inf, and fits any number of
    heads: a model makes it once for all its layers.

    Raises
    ------
    ValueError, TypeError
        The input has fewer than two axes, or is not of floating point.

    Examples
    --------
    >>> import tinytrain as tt
    >>> causal_mask(tt.ones(1, 2, 4))
    tensor([[  0., -inf],
            [  0.,   0.]], dtype=float32, device=cpu)
    """
    checked(input, "causal_mask", "input")
    if input.ndim < 2:
        raise ValueError(f"causal_mask expects an input (B, T, D), got shape {input.shape}")
    if not is_float(input.dtype):
        raise TypeError(f"causal_mask needs a floating-point input, got {input.dtype}")
    return Tensor(kernels.causal_mask(input.shape[1], input.shape[1], input.data))


def segment_mask(
    segment_ids: Tensor, is_causal: bool = True, dtype: "np.dtype[np.floating] | None" = None
) -> Tensor:
    """Return the additive mask of packed rows: block-diagonal by segment, causal where asked for.

    Parameters
    ----------
    segment_ids : Tensor (B, T), integer
        Equal for the positions of one sequence; 0 marks padding, which attends to nothing.
    is_causal : bool
    dtype : floating-point dtype
        float32 by default.

    Returns
    -------
    Tensor (B, 1, T, T)
        0 where query t may attend to key s, else -inf. The axis of size 1 is for the heads.

    Examples
    --------
    >>> import tinytrain as tt
    >>> segment_mask(tt.tensor([[1, 1, 2]]))[0, 0]
    tensor([[  0., -inf, -inf],
            [  0.,   0., -inf],
            [-inf, -inf,   0.]], dtype=float32, device=cpu)
    """
    checked(segment_ids, "segment_mask", "segment_ids")
    ids = segment_ids.data
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(f"segment_ids must be integers (B, T), got {ids.dtype} {ids.shape}")
    xp = backend.xp_of(ids)
    number = np.dtype(dtype or np.float32).type
    allowed = (ids[:, :, None] == ids[:, None, :]) & (ids != 0)[:, None, :]
    mask = xp.where(allowed, number(0), number(-math.inf))
    if is_causal:
        mask += kernels.causal_mask(ids.shape[1], ids.shape[1], mask)
    return Tensor(mask[:, None])


def within_segments(
    segment_ids: Tensor,
    shape: tuple[int, ...],
    dtype: "np.dtype[np.floating]",
    attn_mask: Tensor | None,
) -> Tensor:
    """Return the mask of the segments, combined with another one, where there is one."""
    if not isinstance(segment_ids, Tensor):
        raise TypeError("segment_ids must be a tensor: wrap them with tt.from_numpy")
    if segment_ids.shape != shape:
        raise ValueError(
            f"segment_ids must have the shape {shape}, (B, T), got {segment_ids.shape}"
        )
    within = segment_mask(segment_ids, is_causal=False, dtype=dtype)
    if attn_mask is None:
        return within
    return (within == 0) & attn_mask if attn_mask.dtype == np.bool_ else within + attn_mask
