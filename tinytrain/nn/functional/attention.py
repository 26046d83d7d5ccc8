"""Attention, and the masks that say who may look at whom."""

import math

import numpy as np

from tinytrain import backend
from tinytrain.kernels import attention as kernels
from tinytrain.nn.functional.dropout import dropout
from tinytrain.ops import attention as ops
from tinytrain.ops.promotion import is_float
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
        of shape (B, H, T, D) with equal lengths.

    Returns
    -------
    Tensor (..., T, E)
        A query that may attend to nothing gets 0, and finite gradients.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    References
    ----------
    A. Vaswani et al., arXiv 1706.03762, section 3.2.1; J. Ainslie et al., arXiv 2305.13245,
    section 2.2 (grouped queries).

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.ones(1, 2, 3, 4)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 3, 4)
    """
    if segment_ids is not None:
        if not isinstance(segment_ids, Tensor):
            raise TypeError("segment_ids must be a tensor: wrap them with tt.from_numpy")
        batch_and_length = (query.shape[0], query.shape[-2])
        if (
            query.ndim != 4
            or segment_ids.shape != batch_and_length
            or key.shape[2] != query.shape[2]
        ):
            raise ValueError(
                f"segment_ids of shape {segment_ids.shape} are for queries and keys (B, H, T, D) "
                f"with segment_ids (B, T), got queries {query.shape} and keys {key.shape}"
            )
        within = segment_mask(segment_ids, is_causal=False, dtype=query.dtype)
        if attn_mask is not None and attn_mask.dtype == np.bool_:
            attn_mask = (within == 0) & attn_mask
        else:
            attn_mask = within if attn_mask is None else within + attn_mask
    if enable_gqa:
        key, value = _repeat_heads("key", key, query), _repeat_heads("value", value, query)
    if not dropout_p:
        return apply(ops.ScaledDotProductAttention(is_causal, scale), query, key, value, attn_mask)
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
    qkv: Tensor, num_heads: int, attn_mask: Tensor | None = None, is_causal: bool = False
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

    Returns
    -------
    Tensor (B, T, D)

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
