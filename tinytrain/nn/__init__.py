"""Layers and models' building blocks, with PyTorch's names."""

from tinytrain.nn import functional, init, utils
from tinytrain.nn.activation import GELU, Dropout, ReLU, Sigmoid, Tanh
from tinytrain.nn.attention import CausalSelfAttention
from tinytrain.nn.container import ModuleList, Sequential
from tinytrain.nn.linear import Embedding, Linear
from tinytrain.nn.loss import CrossEntropyLoss, MSELoss
from tinytrain.nn.module import Module, Parameter
from tinytrain.nn.multihead import MultiheadAttention
from tinytrain.nn.norm import BatchNorm1d, LayerNorm

__all__ = [
    "GELU",
    "BatchNorm1d",
    "CausalSelfAttention",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
    "utils",
]
