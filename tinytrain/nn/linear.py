"""Linear and embedding layers."""

import math

from tinytrain.creation import zeros
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.module import Module, Parameter
from tinytrain.tensor import Tensor


class Linear(Module):
    """y = x W^T + b, from (..., in_features) to (..., out_features).

    Weight (out_features, in_features) and bias (out_features,) start uniform in
    ±1 / sqrt(in_features), as in PyTorch.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool

    Examples
    --------
    >>> import tinytrain as tt
    >>> Linear(3, 2)(tt.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear needs positive sizes, got {in_features} -> {out_features}")
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(zeros(out_features, in_features))
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias = Parameter(zeros(out_features)) if bias else None
        if self.bias is not None:
            bound = 1 / math.sqrt(in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Show the sizes."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Embedding(Module):
    """A table with one row per id, from ids (...) to rows (..., embedding_dim).

    The weight (num_embeddings, embedding_dim) starts standard normal, as in PyTorch.

    Parameters
    ----------
    num_embeddings : int
        The number of ids.
    embedding_dim : int
        The width of a row.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Embedding(10, 4)(tt.tensor([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(
                f"Embedding needs positive sizes, got {num_embeddings} rows of {embedding_dim}"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = Parameter(zeros(num_embeddings, embedding_dim))
        init.normal_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Look up ids of any shape: (...) to (..., embedding_dim)."""
        return F.embedding(input, self.weight)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
