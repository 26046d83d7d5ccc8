"""Layers as functions. Beside each fused one stands its `*_simple` twin, composed of basic steps.

The twin shows the formula and is the oracle of the fast version: a test holds the two equal.
"""

from tinytrain.nn.functional.activation import (
    elu,
    gelu,
    gelu_simple,
    hardtanh,
    leaky_relu,
    logsigmoid,
    relu,
    relu6,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from tinytrain.nn.functional.attention import (
    packed_self_attention,
    packed_self_attention_simple,
    scaled_dot_product_attention,
    scaled_dot_product_attention_simple,
)
from tinytrain.nn.functional.attention_mask import causal_mask, segment_mask
from tinytrain.nn.functional.batch_normalization import batch_norm, batch_norm_simple
from tinytrain.nn.functional.convolution import conv1d, conv2d, conv2d_simple
from tinytrain.nn.functional.dropout import dropout, dropout1d, dropout2d
from tinytrain.nn.functional.group_normalization import group_norm, instance_norm
from tinytrain.nn.functional.linear import embedding, embedding_simple, linear, linear_simple
from tinytrain.nn.functional.loss import cross_entropy, cross_entropy_simple, nll_loss
from tinytrain.nn.functional.masked_loss import masked_mean, masked_mean_simple, masked_sum
from tinytrain.nn.functional.normalization import (
    layer_norm,
    layer_norm_simple,
    rms_norm,
    rms_norm_simple,
)
from tinytrain.nn.functional.one_hot import one_hot
from tinytrain.nn.functional.padding import pad
from tinytrain.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from tinytrain.nn.functional.probability_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_simple,
    kl_div,
)
from tinytrain.nn.functional.recurrent import (
    gru_recurrence,
    gru_recurrence_simple,
    lstm_recurrence,
    lstm_recurrence_simple,
    rnn_recurrence,
    rnn_recurrence_simple,
)
from tinytrain.nn.functional.regression_loss import (
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from tinytrain.nn.functional.softmax import log_softmax, softmax, softmax_simple
from tinytrain.nn.functional.vector_normalization import normalize

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_simple",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_simple",
    "causal_mask",
    "conv1d",
    "conv2d",
    "conv2d_simple",
    "cross_entropy",
    "cross_entropy_simple",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "embedding_simple",
    "gelu",
    "gelu_simple",
    "group_norm",
    "gru_recurrence",
    "gru_recurrence_simple",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "layer_norm_simple",
    "leaky_relu",
    "linear",
    "linear_simple",
    "log_softmax",
    "logsigmoid",
    "lstm_recurrence",
    "lstm_recurrence_simple",
    "masked_mean",
    "masked_mean_simple",
    "masked_sum",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "packed_self_attention",
    "packed_self_attention_simple",
    "pad",
    "relu",
    "relu6",
    "rms_norm",
    "rms_norm_simple",
    "rnn_recurrence",
    "rnn_recurrence_simple",
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_simple",
    "segment_mask",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmax_simple",
    "softplus",
    "tanh",
]
