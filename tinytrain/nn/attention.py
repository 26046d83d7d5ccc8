"""Causal self-attention, the mixing layer of a GPT."""

from tinytrain.nn import functional as F
from tinytrain.nn.dropout import Dropout
from tinytrain.nn.linear import Linear
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class CausalSelfAttention(Module):
    """Multi-head self-attention in which a position sees itself and earlier ones.

    One product makes queries, keys and values, another mixes the heads' outputs.

    Parameters
    ----------
    embed_dim : int
        The width D of the input and output.
    num_heads : int
        Divides D.
    dropout : float
        Applied to the output.
    bias : bool
        Whether the two products have biases.

    Raises
    ------
    ValueError
        The heads do not divide the width.

    References
    ----------
    A. Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, section 3.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> CausalSelfAttention(8, 2)(tt.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        check_heads(embed_dim, num_heads)
        self.num_heads = num_heads
        self.qkv = Linear(embed_dim, 3 * embed_dim, bias)
        self.projection = Linear(embed_dim, embed_dim, bias)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        input: Tensor,
        attn_mask: Tensor | None = None,
        segment_ids: Tensor | None = None,
        tiled: bool | None = None,
    ) -> Tensor:
        """Attend.

        Parameters
        ----------
        input : Tensor (B, T, D)
        attn_mask : Tensor, optional
            What else is hidden, broadcastable to (B, H, T, T): other sequences of a packed row
            (`functional.segment_mask`). A model makes it once for all its layers.
        segment_ids : Tensor (B, T), integer, optional
            The sequence that a position of a packed row belongs to, 0 at padding: says the same
            without a mask in memory, where attention is computed by tiles.
        tiled : bool, optional
            Whether it is; see `functional.scaled_dot_product_attention`.

        Returns
        -------
        Tensor (B, T, D)
        """
        if input.ndim != 3:
            raise ValueError(
                f"CausalSelfAttention expects shape (B, T, {self.qkv.in_features}), "
                f"got {input.shape}"
            )
        qkv = self.qkv(input)  # (B, T, 3 D)
        heads = F.packed_self_attention(
            qkv, self.num_heads, attn_mask, is_causal=True, segment_ids=segment_ids, tiled=tiled
        )
        output: Tensor = self.dropout(self.projection(heads))
        return output

    def extra_repr(self) -> str:
        """Show the number of heads."""
        return f"num_heads={self.num_heads}"


def check_heads(embed_dim: int, num_heads: int) -> None:
    """Raise where a width cannot be divided among heads."""
    if num_heads < 1 or embed_dim % num_heads:
        raise ValueError(f"embed_dim {embed_dim} is not divisible into {num_heads} heads")
