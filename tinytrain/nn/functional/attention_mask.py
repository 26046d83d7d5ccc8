"""The masks of attention: who may look at whom."""

import math

import numpy as np

from tinytrain import backend
from tinytrain.functions.checks import checked
from tinytrain.kernels import attention as kernels
from tinytrain.ops.promotion import is_float
from tinytrain.ops.tiled_attention import check_segments
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
    segment_ids: Tensor, dtype: "np.dtype[np.floating]", attn_mask: Tensor | None
) -> Tensor:
    """Return the mask of the segments, combined with another one, where there is one."""
    within = segment_mask(segment_ids, is_causal=False, dtype=dtype)
    if attn_mask is None:
        return within
    return (within == 0) & attn_mask if attn_mask.dtype == np.bool_ else within + attn_mask


def check_segment_ids(segment_ids: Tensor, batch: int, length: int) -> None:
    """Raise unless they are a tensor of integers (B, T), whichever way attention is computed.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_segment_ids(tt.tensor([[1, 1, 2]]), 2, 3)
    Traceback (most recent call last):
        ...
    ValueError: segment_ids must be integers of shape (2, 3), (B, T), got int64 (1, 3)
    """
    if not isinstance(segment_ids, Tensor):
        raise TypeError(
            "segment_ids must be a tensor, wrapped with tt.from_numpy, got "
            f"{type(segment_ids).__name__}"
        )
    check_segments(segment_ids.data, batch, length)


def check_segments_of(query: Tensor, key: Tensor, value: Tensor, segment_ids: Tensor) -> None:
    """Raise unless the segments are those of queries, keys and values (B, H, T, D) of one length.

    B is what the three have after broadcasting.
    """
    shapes = [x.shape for x in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes) or len({shape[2] for shape in shapes}) != 1:
        raise ValueError(
            "segment_ids are for queries, keys and values (B, H, T, D) of one length, got "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    check_segment_ids(segment_ids, max(shape[0] for shape in shapes), query.shape[2])
