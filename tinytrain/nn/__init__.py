"""Layers and models' building blocks, with PyTorch's names."""

from tinytrain.nn import functional, init, utils
from tinytrain.nn.activation import (
    ELU,
    GELU,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from tinytrain.nn.attention import CausalSelfAttention
from tinytrain.nn.batch_norm import BatchNorm1d, BatchNorm2d
from tinytrain.nn.container import ModuleList, Sequential
from tinytrain.nn.container_dict import ModuleDict, ParameterDict
from tinytrain.nn.conv import Conv1d, Conv2d
from tinytrain.nn.dropout import Dropout, Dropout1d, Dropout2d
from tinytrain.nn.flatten import Flatten, Unflatten
from tinytrain.nn.group_norm import GroupNorm, InstanceNorm1d, InstanceNorm2d
from tinytrain.nn.linear import Embedding, Identity, Linear
from tinytrain.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, KLDivLoss, NLLLoss
from tinytrain.nn.lstm import LSTM
from tinytrain.nn.module import Module, Parameter
from tinytrain.nn.multihead import MultiheadAttention
from tinytrain.nn.norm import LayerNorm, RMSNorm
from tinytrain.nn.padding import (
    CircularPad1d,
    CircularPad2d,
    ConstantPad1d,
    ConstantPad2d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReplicationPad1d,
    ReplicationPad2d,
    ZeroPad1d,
    ZeroPad2d,
)
from tinytrain.nn.parameter_list import ParameterList
from tinytrain.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from tinytrain.nn.recurrent import GRU, RNN
from tinytrain.nn.recurrent_cell import GRUCell, LSTMCell, RNNCell
from tinytrain.nn.regression_loss import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from tinytrain.nn.softmax import LogSoftmax, Softmax
from tinytrain.nn.transformer import TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "CausalSelfAttention",
    "CircularPad1d",
    "CircularPad2d",
    "ConstantPad1d",
    "ConstantPad2d",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "ZeroPad1d",
    "ZeroPad2d",
    "functional",
    "init",
    "utils",
]
