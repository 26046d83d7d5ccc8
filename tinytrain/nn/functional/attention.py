"""Attention: dense, by tiles, over packed projections, and composed of basic operations."""

import math

import numpy as np

from tinytrain import backend
from tinytrain.functions.checks import checked, checked_optional
from tinytrain.kernels import attention as kernels
from tinytrain.kernels.tiled_attention import tiling_pays
from tinytrain.nn.functional.attention_mask import (
    check_segment_ids,
    check_segments_of,
    within_segments,
)
from tinytrain.nn.functional.dropout import dropout
from tinytrain.ops import attention as ops
from tinytrain.ops.tiled_attention import TiledAttention, TiledSelfAttention
from tinytrain.tensor import Tensor, apply


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    segment_ids: Tensor | None = None,
    tiled: bool | None = None,
) -> Tensor:
    """Return softmax(scale Q K^T + mask) V.

    Unlike in PyTorch, `is_causal` may be combined with a mask.

    Parameters
    ----------
    query, key, value : Tensor (..., T, D), (..., S, D), (..., S, E)
        Leading axes are broadcast where they differ.
    attn_mask : Tensor, optional
        Broadcastable to (..., T, S): boolean (True: may attend) or added to the scores.
    dropout_p : float
        The probability of dropping a weight, in evaluation too: a layer passes 0 there. With it,
        attention is composed of basic operations; without it, it is a single one.
    is_causal : bool
        Hide positions s > t. It adds to the mask.
    scale : float, optional
        1 / sqrt(D) by default.
    enable_gqa : bool
        Whether query (..., H, T, D) may have several times as many heads as key and value
        (..., H', S, D): consecutive ones share theirs (grouped-query attention).
    segment_ids : Tensor (B, T), integer, optional
        Positions attend only within their own segment; 0 marks padding. For query, key and value
        of shape (B, H, T, D) with equal lengths; where B differs, it is that of the output.
    tiled : bool, optional
        Whether only a tile of the scores is in memory at a time, which grows with T then instead of
        T^2, and in which segments that do not meet cost nothing. There is no `attn_mask` then. By
        default where that pays: on a CPU for long rows, with `segment_ids` sooner, with many heads
        sooner; `tinytrain.kernels.tiled_attention.tiling_pays` has the rule and its figures.

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
    A. Vaswani et al., arXiv 1706.03762, section 3.2.1; J. Ainslie et al., arXiv 2305.13245,
    section 2.2 (grouped queries); T. Dao et al., arXiv 2205.14135 (tiles).

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(1, 2, 3, 4)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 3, 4)
    """
    checked(query, "scaled_dot_product_attention", "query")
    checked(key, "scaled_dot_product_attention", "key")
    checked(value, "scaled_dot_product_attention", "value")
    checked_optional(attn_mask, "scaled_dot_product_attention", "attn_mask")
    checked_optional(segment_ids, "scaled_dot_product_attention", "segment_ids")
    if segment_ids is not None:
        check_segments_of(query, key, value, segment_ids)
    if enable_gqa:
        key, value = _repeat_heads("key", key, query), _repeat_heads("value", value, query)
    if dropout_p and tiled:
        raise ValueError(
            "attention by tiles never has all weights at once and takes no dropout_p: drop parts "
            "of its output instead, or use tiled=False"
        )
    shape = (1, 1, 1, *query.shape)  # queries (..., T, D) as (B, H, T, D)
    shape = (math.prod(shape[:-3]), *shape[-3:])
    keys = key.shape[-2] if key.ndim > 1 else 0
    if not dropout_p and _is_tiled(tiled, query.data, shape, keys, attn_mask, segment_ids):
        return apply(TiledAttention(is_causal, scale), query, key, value, segment_ids)
    if segment_ids is not None:
        attn_mask = within_segments(segment_ids, query.dtype, attn_mask)
    if dropout_p:
        return _attention_with_dropout(query, key, value, attn_mask, dropout_p, is_causal, scale)
    return apply(ops.ScaledDotProductAttention(is_causal, scale), query, key, value, attn_mask)


def _attention_with_dropout(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    """Compose attention of basic operations, with dropout of its weights."""
    scores = query @ key.transpose(-2, -1)
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == np.bool_:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    if is_causal:
        queries, keys = scores.shape[-2:]
        scores = scores + Tensor(kernels.causal_mask(queries, keys, scores.data))
    return dropout(scores.softmax(-1), dropout_p) @ value


def _repeat_heads(name: str, x: Tensor, query: Tensor) -> Tensor:
    """Repeat each head of keys or values (..., H', S, D) for the queries' heads that share it."""
    if x.ndim < 3 or query.ndim < 3 or not x.shape[-3] or query.shape[-3] % x.shape[-3]:
        raise ValueError(
            f"enable_gqa needs queries (..., H, T, D) whose number of heads is a multiple of that "
            f"of the {name}s, got query {query.shape} and {name} {x.shape}"
        )
    group = query.shape[-3] // x.shape[-3]
    *lead, heads, length, width = x.shape
    repeated = x.unsqueeze(-3).expand(*lead, heads, group, length, width)
    return repeated.reshape(*lead, heads * group, length, width)


def _is_tiled(
    tiled: bool | None,
    like: backend.Array,
    shape: tuple[int, ...],
    keys: int,
    attn_mask: Tensor | None,
    segment_ids: Tensor | None,
) -> bool:
    if tiled is None:
        if attn_mask is not None:
            return False
        return tiling_pays(like, shape, keys, segment_ids is not None)
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
    checked(query, "scaled_dot_product_attention_simple", "query")
    checked(key, "scaled_dot_product_attention_simple", "key")
    checked(value, "scaled_dot_product_attention_simple", "value")
    checked_optional(additive_mask, "scaled_dot_product_attention_simple", "additive_mask")
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if additive_mask is not None:
        scores = scores + additive_mask
    return scores.softmax(-1) @ value


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
        Shapes or dtypes do not fit, there is no head, the mask wants a gradient, or there are
        tiles and a mask.

    Examples
    --------
    >>> import tinytrain as tt
    >>> packed_self_attention(tt.ones(1, 4, 12), num_heads=2).shape
    (1, 4, 4)
    """
    checked(qkv, "packed_self_attention", "qkv")
    checked_optional(attn_mask, "packed_self_attention", "attn_mask")
    checked_optional(segment_ids, "packed_self_attention", "segment_ids")
    if attn_mask is not None and attn_mask.requires_grad:
        raise ValueError(
            "packed_self_attention gives its mask no gradient: "
            "use scaled_dot_product_attention for a learned mask"
        )
    if segment_ids is not None and qkv.ndim == 3:
        check_segment_ids(segment_ids, *qkv.shape[:2])
    batch, length, width = qkv.shape if qkv.ndim == 3 else (0, 0, 0)  # refused later
    shape = (batch, num_heads, length, width // max(3 * num_heads, 1))
    if _is_tiled(tiled, qkv.data, shape, length, attn_mask, segment_ids):
        return apply(TiledSelfAttention(num_heads, is_causal), qkv, segment_ids)
    if segment_ids is not None:
        attn_mask = within_segments(segment_ids, qkv.dtype, attn_mask)
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
    checked(qkv, "packed_self_attention_simple", "qkv")
    checked_optional(additive_mask, "packed_self_attention_simple", "additive_mask")
    ops.check_packed(qkv.data, num_heads)
    batch, length, width = qkv.shape
    split = qkv.reshape(batch, length, 3, num_heads, width // (3 * num_heads))
    query, key, value = (split[:, :, i].transpose(1, 2) for i in range(3))  # (B, H, T, D / H)
    heads = scaled_dot_product_attention_simple(query, key, value, additive_mask)
    return heads.transpose(1, 2).reshape(batch, length, width // 3)
