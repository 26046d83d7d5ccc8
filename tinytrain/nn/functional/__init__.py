"""Layers as functions. Beside each fused one stands its `*_simple` twin, composed of basic steps.

The twin shows the formula and is the oracle of the fast version: a test holds the two equal.
"""

from tinytrain.nn.functional.activation import (
    dropout,
    gelu,
    gelu_simple,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softmax_simple,
    tanh,
)
from tinytrain.nn.functional.attention import (
    causal_mask,
    packed_self_attention,
    packed_self_attention_simple,
    scaled_dot_product_attention,
    scaled_dot_product_attention_simple,
    segment_mask,
)
from tinytrain.nn.functional.linear import embedding, embedding_simple, linear, linear_simple
from tinytrain.nn.functional.loss import cross_entropy, cross_entropy_simple, mse_loss
from tinytrain.nn.functional.normalization import (
    batch_norm,
    batch_norm_simple,
    layer_norm,
    layer_norm_simple,
)

__all__ = [
    "batch_norm",
    "batch_norm_simple",
    "causal_mask",
    "cross_entropy",
    "cross_entropy_simple",
    "dropout",
    "embedding",
    "embedding_simple",
    "gelu",
    "gelu_simple",
    "layer_norm",
    "layer_norm_simple",
    "linear",
    "linear_simple",
    "log_softmax",
    "mse_loss",
    "packed_self_attention",
    "packed_self_attention_simple",
    "relu",
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_simple",
    "segment_mask",
    "sigmoid",
    "softmax",
    "softmax_simple",
    "tanh",
]
