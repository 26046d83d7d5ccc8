"""Attention, and the masks that say who may look at whom."""

import math

import numpy as np

from tinytrain import backend
from tinytrain.kernels import attention as kernels
from tinytrain.kernels.tiled_attention import tiling_pays
from tinytrain.ops import attention as ops
from tinytrain.ops.promotion import is_float
from tinytrain.ops.tiled_attention import TiledAttention, TiledSelfAttention
from tinytrain.tensor import Tensor, apply


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    segment_ids: Tensor | None = None,
    tiled: bool | None = None,
) -> Tensor:
    """Return softmax(scale Q K^T + mask) V.

    Differences from PyTorch: `is_causal` may be combined with a mask, settings are given by name,
    and there is no dropout of the weights (`nn.MultiheadAttention` has it).

    Parameters
    ----------
    query, key, value : Tensor (..., T, D), (..., S, D), (..., S, E)
        Leading axes are broadcast where they differ.
    attn_mask : Tensor, optional
        Broadcastable to (..., T, S): boolean (True: may attend) or added to the scores.
    is_causal : bool
        Hide positions s > t. It adds to the mask.
    scale : float, optional
        1 / sqrt(D) by default.
    segment_ids : Tensor (B, T), integer, optional
        Positions attend only within their own segment; 0 marks padding. For query, key and value
        of shape (B, H, T, D) with equal lengths.
    tiled : bool, optional
        Whether only a tile of the scores is in memory at a time, which grows with T then instead of
        T^2, and in which segments that do not meet cost nothing. There is no `attn_mask` then. By
        default that is so on a CPU from 1024 queries and keys on, 512 with `segment_ids`.

    Returns
    -------
    Tensor (..., T, E)
        A query that may attend to nothing gets 0, and finite gradients.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, or there are tiles and a mask.

    References
    ----------
    A. Vaswani et al., arXiv 1706.03762, section 3.2.1; T. Dao et al., arXiv 2205.14135, for tiles.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(1, 2, 3, 4)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 3, 4)
    """
    if segment_ids is not None and not (
        query.ndim == key.ndim == 4 and query.shape[2] == key.shape[2]
    ):
        raise ValueError(
            "segment_ids are for queries and keys (B, H, T, D) of one length, got queries "
            f"{query.shape} and keys {key.shape}"
        )
    if _is_tiled(tiled, query.data, key.data, attn_mask, segment_ids):
        return apply(TiledAttention(is_causal, scale), query, key, value, segment_ids)
    if segment_ids is not None:
        shape = (query.shape[0], query.shape[2])
        attn_mask = _within_segments(segment_ids, shape, query.dtype, attn_mask)
    return apply(ops.ScaledDotProductAttention(is_causal, scale), query, key, value, attn_mask)


def _within_segments(
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


def _is_tiled(
    tiled: bool | None,
    query: backend.Array,
    key: backend.Array,
    attn_mask: Tensor | None,
    segment_ids: Tensor | None,
) -> bool:
    if tiled is None:
        if attn_mask is not None or min(query.ndim, key.ndim) < 2:
            return False
        return tiling_pays(query, query.shape[-2], key.shape[-2], segment_ids is not None)
    if tiled and attn_mask is not None:
        raise ValueError(
            "attention by tiles takes no attn_mask, an array as large as the scores it avoids: say "
            "it by is_causal and segment_ids, or use tiled=False"
        )
    return tiled


def scaled_dot_product_attention_simple(
    query: Tensor, key: Tensor, value: Tensor, additive_mask: Tensor | None = None
) -> Tensor:
    """Compose attention from two products and a softmax.

    Shapes (..., T, D), (..., S, D), (..., S, E), mask (..., T, S), to (..., T, E).

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(1, 2, 3, 4)
    >>> scaled_dot_product_attention_simple(x, x, x).shape
    (1, 2, 3, 4)
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if additive_mask is not None:
        scores = scores + additive_mask
    return scores.softmax(-1) @ value


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


def packed_self_attention(
    qkv: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    *,
    segment_ids: Tensor | None = None,
    tiled: bool | None = None,
) -> Tensor:
    """Return self-attention from queries, keys and values that lie side by side.

    The same as cutting the last axis in three, splitting heads, `scaled_dot_product_attention`,
    and joining the heads, but without rearranging memory.

    Parameters
    ----------
    qkv : Tensor (B, T, 3 D)
    num_heads : int
        Divides D.
    attn_mask : Tensor, optional
        Boolean or additive, broadcastable to (B, H, T, T); gets no gradient.
    is_causal : bool
        Hide positions s > t. It adds to the mask, and saves the work for what it hides.
    segment_ids : Tensor (B, T), integer, optional
        Positions attend only within their own segment; 0 marks padding. It adds to the mask.
    tiled : bool, optional
        Whether memory grows with T instead of T^2; see `scaled_dot_product_attention`.

    Returns
    -------
    Tensor (B, T, D)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, the mask wants a gradient, or there are tiles and a mask.

    Examples
    --------
    >>> import tinytrain as tt
    >>> packed_self_attention(tt.ones(1, 4, 12), num_heads=2).shape
    (1, 4, 4)
    """
    if attn_mask is not None and attn_mask.requires_grad:
        raise ValueError(
            "packed_self_attention gives its mask no gradient: "
            "use scaled_dot_product_attention for a learned mask"
        )
    if _is_tiled(tiled, qkv.data, qkv.data, attn_mask, segment_ids):
        return apply(TiledSelfAttention(num_heads, is_causal), qkv, segment_ids)
    if segment_ids is not None:
        attn_mask = _within_segments(segment_ids, qkv.shape[:2], qkv.dtype, attn_mask)
    return apply(ops.PackedSelfAttention(num_heads, is_causal), qkv, attn_mask)


def packed_self_attention_simple(
    qkv: Tensor, num_heads: int, additive_mask: Tensor | None = None
) -> Tensor:
    """Compose `packed_self_attention`, (B, T, 3 D) to (B, T, D), from basic steps.

    Examples
    --------
    >>> import tinytrain as tt
    >>> packed_self_attention_simple(tt.ones(1, 4, 12), num_heads=2).shape
    (1, 4, 4)
    """
    batch, length, width = qkv.shape
    split = qkv.reshape(batch, length, 3, num_heads, width // (3 * num_heads))
    query, key, value = (split[:, :, i].transpose(1, 2) for i in range(3))  # (B, H, T, D / H)
    heads = scaled_dot_product_attention_simple(query, key, value, additive_mask)
    return heads.transpose(1, 2).reshape(batch, length, width // 3)
