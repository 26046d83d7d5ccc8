"""The encoder of a transformer: attention and a two-layer network, with residual connections."""

import copy
from collections.abc import Callable

from tinytrain.nn import functional as F
from tinytrain.nn.container import ModuleList
from tinytrain.nn.dropout import Dropout
from tinytrain.nn.linear import Linear
from tinytrain.nn.module import Module
from tinytrain.nn.multihead import MultiheadAttention
from tinytrain.nn.norm import LayerNorm
from tinytrain.tensor import Tensor

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}


class TransformerEncoderLayer(Module):
    """x = norm1(x + attention(x)), x = norm2(x + W_2 f(W_1 x)); the norms may come first instead.

    Names, argument order, defaults and parameters are PyTorch's. With `norm_first`,
    x = x + attention(norm1(x)) and x = x + W_2 f(W_1 norm2(x)).

    Parameters
    ----------
    d_model : int
        The width E of input and output.
    nhead : int
        The number of heads, which divides E.
    dim_feedforward : int
        The width between the two products.
    dropout : float
        Of the attention weights, of what each half adds, and between the two products.
    activation : {"relu", "gelu"} or callable
    layer_norm_eps : float
    batch_first : bool
        Whether tensors are (B, T, E) rather than (T, B, E).
    norm_first : bool
    bias : bool
        Whether products and norms have biases.

    Raises
    ------
    ValueError
        The heads do not divide the width, or a setting is not possible.

    References
    ----------
    A. Vaswani et al., arXiv 1706.03762, section 3.1; R. Xiong et al., arXiv 2002.04745, section 3
    (norms first).

    Examples
    --------
    >>> import tinytrain as tt
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(tt.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ValueError(f"activation must be 'relu', 'gelu' or callable, got {activation!r}")
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Map (T, B, E), (B, T, E) with `batch_first`, or (T, E) to the same shape.

        The masks are those of `MultiheadAttention.forward`: `attn_mask` (T, T) or (B * H, T, T),
        and `key_padding_mask` (B, T). `is_causal` hides later positions, beside the mask.
        """
        if self.norm_first:
            normalized = self.norm1(src)
            x = src + self._attend(normalized, src_mask, src_key_padding_mask, is_causal)
            output: Tensor = x + self._feed_forward(self.norm2(x))
        else:
            x = self.norm1(src + self._attend(src, src_mask, src_key_padding_mask, is_causal))
            output = self.norm2(x + self._feed_forward(x))
        return output

    def _attend(
        self, x: Tensor, mask: Tensor | None, padding: Tensor | None, is_causal: bool
    ) -> Tensor:
        attended, _ = self.self_attn(
            x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal
        )
        added: Tensor = self.dropout1(attended)
        return added

    def _feed_forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.activation(self.linear1(x)))
        added: Tensor = self.dropout2(self.linear2(hidden))
        return added


class TransformerEncoder(Module):
    """Encoder layers one after the other, and a norm at the end where one is given.

    Parameters
    ----------
    encoder_layer : Module
        Copied `num_layers` times, so that all layers start from the same values, as in PyTorch.
    num_layers : int
    norm : Module, optional

    Raises
    ------
    ValueError
        The number of layers is not positive.

    Examples
    --------
    >>> import tinytrain as tt
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(tt.randn(5, 3, 8), is_causal=True).shape
    (5, 3, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        if num_layers < 1:
            raise ValueError(f"TransformerEncoder needs at least one layer, got {num_layers}")
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Map (T, B, E), or what the layers take, through all of them, with the same masks.

        Without `is_causal`, which PyTorch guesses from the mask, the mask alone decides.
        """
        output = src
        for layer in self.layers:
            output = layer(output, mask, src_key_padding_mask, bool(is_causal))
        return output if self.norm is None else self.norm(output)
