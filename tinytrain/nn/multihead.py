"""PyTorch's multi-head attention layer: queries may differ from keys and values."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytrain.creation import zeros
from tinytrain.functions import cat, where
from tinytrain.kernels.attention import causal_mask
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.attention import check_heads
from tinytrain.nn.linear import Linear
from tinytrain.nn.module import Module, Parameter
from tinytrain.tensor import Tensor


class MultiheadAttention(Module):
    """Attention of queries to keys and values, in several heads.

    Names, argument order, defaults and the layout of the parameters are PyTorch's.

    Parameters
    ----------
    embed_dim : int
        The width E of queries and output.
    num_heads : int
        Divides E.
    dropout : float
        The probability of dropping an attention weight in training.
    bias : bool
        Whether the projections of queries, keys, values and output have biases.
    add_bias_kv : bool
        Whether a learnt key and value, ``bias_k`` and ``bias_v``, stand behind those of the input.
    add_zero_attn : bool
        Whether a key and a value of zeros stand behind all others: something to look at, with
        score 0, where nothing else fits.
    kdim, vdim : int, optional
        The widths of keys and values; E if not given. Where one differs from E, there are three
        weights (``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight``) instead of the one that
        holds them all (``in_proj_weight``).
    batch_first : bool
        Whether tensors are (B, T, E) rather than (T, B, E).

    Raises
    ------
    ValueError
        The heads do not divide the width, a width is not positive, or the probability is none.

    References
    ----------
    A. Vaswani et al., arXiv 1706.03762, section 3.2.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer = MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> queries, memory = tt.randn(3, 5, 8), tt.randn(3, 7, 8)
    >>> output, weights = layer(queries, memory, memory)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 7))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        check_heads(embed_dim, num_heads)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout probability must lie in 0 to 1, got {dropout}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        if self.kdim < 1 or self.vdim < 1:
            raise ValueError(f"kdim and vdim must be positive, got {self.kdim} and {self.vdim}")
        self.dropout, self.batch_first = dropout, batch_first
        self.add_zero_attn = add_zero_attn
        self._make_weights()
        self.in_proj_bias = Parameter(zeros(3 * embed_dim)) if bias else None
        self.bias_k = _glorot_normal(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = _glorot_normal(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            init.constant_(self.out_proj.bias, 0.0)

    def _make_weights(self) -> None:
        """Make one weight of queries, keys and values where widths are equal, else three."""
        width = self.embed_dim
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == width:
            self.in_proj_weight = _glorot_uniform(3 * width, width)
        else:
            self.q_proj_weight = _glorot_uniform(width, width)
            self.k_proj_weight = _glorot_uniform(width, self.kdim)
            self.v_proj_weight = _glorot_uniform(width, self.vdim)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor (T, B, E), (S, B, kdim), (S, B, vdim)
            With the first two axes exchanged where `batch_first` is set. Without a batch axis in
            all three, masks and results have none either.
        key_padding_mask : Tensor (B, S), optional
            Boolean (True: a key to ignore) or added to the scores.
        need_weights : bool
            Whether the attention weights are returned; without them, and without dropout, one
            fused operation does the work.
        attn_mask : Tensor (T, S) or (B * H, T, S), optional
            Boolean (True: may *not* attend; the opposite of `scaled_dot_product_attention`, as in
            PyTorch) or added to the scores.
        average_attn_weights : bool
            Whether the weights are averaged over the heads.
        is_causal : bool
            Hide keys s > t. It adds to the mask.

        No mask covers what `add_bias_kv` and `add_zero_attn` add: every query may attend to it.

        Returns
        -------
        output : Tensor
            Of the query's shape.
        weights : Tensor (B, T, S) or (B, H, T, S), or None
            S counts the added keys too. A query that may attend to nothing has weights 0, and
            finite gradients.

        Raises
        ------
        ValueError, TypeError
            Shapes or dtypes do not fit.
        """
        if query.ndim == key.ndim == value.ndim == 2:
            settings = (need_weights, attn_mask, average_attn_weights, is_causal)
            return self._attend_without_batch((query, key, value), key_padding_mask, *settings)
        self._check(query, key, value)
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = self._project(query, key, value)  # each (B, H, length, E / H)
        mask = self._mask(q, key.shape[1], key_padding_mask, attn_mask, is_causal)
        if mask is not None:
            mask = F.pad(mask, (0, k.shape[2] - key.shape[1]))
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            weights = (scores if mask is None else scores + mask).softmax(-1)
            weights = F.dropout(weights, self.dropout, self.training)
            heads = weights @ v
        else:
            dropout_p = self.dropout if self.training else 0.0
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout_p)
        output: Tensor = self.out_proj(heads.transpose(1, 2).reshape(query.shape))
        if not self.batch_first:
            output = output.transpose(0, 1)
        if weights is None:
            return output, None
        return output, weights.mean(1) if average_attn_weights else weights

    def _attend_without_batch(
        self, inputs: Sequence[Tensor], padding: Tensor | None, *settings: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within a batch of one: (T, E), (S, E), (S, E) and a mask (S,) of keys."""
        if padding is not None:
            keys = inputs[1].shape[:1]
            if padding.shape != keys:
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask must be {keys}, got {padding.shape}"
                )
            padding = padding.unsqueeze(0)
        axis = 0 if self.batch_first else 1
        query, key, value = (x.unsqueeze(axis) for x in inputs)
        output, weights = self.forward(query, key, value, padding, *settings)
        return output.squeeze(axis), None if weights is None else weights.squeeze(0)

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
        if query.ndim != 3 or key.ndim != 3 or value.ndim != 3:
            raise ValueError(f"MultiheadAttention expects two or three axes each, got {shapes}")
        batch_axis = 0 if self.batch_first else 1
        same_batch = query.shape[batch_axis] == key.shape[batch_axis]
        if key.shape[:2] != value.shape[:2] or not same_batch:
            order = "(B, length, E)" if self.batch_first else "(length, B, E)"
            raise ValueError(
                "MultiheadAttention expects one batch size, and as many keys as values, in tensors "
                f"{order} (batch_first={self.batch_first}), got {shapes}"
            )
        widths = (self.embed_dim, self.kdim, self.vdim)
        if (query.shape[2], key.shape[2], value.shape[2]) != widths:
            raise ValueError(
                f"MultiheadAttention was made for queries, keys and values of widths {widths}, "
                f"got {shapes}"
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values, (B, H, length, E / H), with the keys that are added."""
        weights: Sequence[Any] = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.split(self.embed_dim)
        biases: Sequence[Tensor | None] = (None, None, None)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.split(self.embed_dim)
        inputs = (query, key, value)
        q, k, v = (F.linear(*parts) for parts in zip(inputs, weights, biases, strict=True))
        if self.bias_k is not None and self.bias_v is not None:
            batch = k.shape[0]
            k = cat([k, self.bias_k.expand(batch, 1, -1)], 1)
            v = cat([v, self.bias_v.expand(batch, 1, -1)], 1)
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        return q, k, v

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn (B, length, E) into (B, H, length, E / H)."""
        heads = x.reshape(*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads)
        return heads.transpose(1, 2)

    def _mask(
        self,
        q: Tensor,
        keys: int,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """Combine all masks into one that is added to the scores (B, H, T, keys)."""
        batch, heads, queries = q.shape[:3]
        masks = []
        if key_padding_mask is not None:
            mask = _additive("key_padding_mask", key_padding_mask, q, [(batch, keys)])
            masks.append(mask.reshape(batch, 1, 1, keys))
        if attn_mask is not None:
            shapes = [(queries, keys), (batch * heads, queries, keys)]
            mask = _additive("attn_mask", attn_mask, q, shapes)
            masks.append(mask if mask.ndim == 2 else mask.reshape(batch, heads, queries, keys))
        if is_causal:
            masks.append(Tensor(causal_mask(queries, keys, q.data)))
        return sum(masks[1:], masks[0]) if masks else None

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"{self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )


def _glorot_uniform(rows: int, columns: int) -> Parameter:
    bound = math.sqrt(6 / (rows + columns))
    weight = Parameter(zeros(rows, columns))
    init.uniform_(weight, -bound, bound)
    return weight


def _glorot_normal(*shape: int) -> Parameter:
    """Draw as for a weight of the last two sizes, as PyTorch counts them for a (1, 1, E)."""
    fans = math.prod(shape[1:]) + shape[0] * math.prod(shape[2:])
    weight = Parameter(zeros(*shape))
    init.normal_(weight, std=math.sqrt(2 / fans))
    return weight


def _additive(name: str, mask: Tensor, like: Tensor, shapes: list[tuple[int, ...]]) -> Tensor:
    """Turn a boolean mask in which True forbids into one that is added to the scores."""
    if mask.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"MultiheadAttention: {name} must be {expected}, got {mask.shape}")
    if mask.dtype == like.dtype:
        return mask
    if mask.dtype != np.bool_:
        raise TypeError(
            f"MultiheadAttention: {name} must be bool or, as the input, {like.dtype}, "
            f"got {mask.dtype}"
        )
    return where(mask, -math.inf, 0.0).to(like.dtype)
