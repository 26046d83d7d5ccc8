"""Linear and embedding layers, and the layer that does nothing."""

import math
from typing import Any

from tinytrain.creation import zeros
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.functional.linear import padding_row, refuse_renormalising
from tinytrain.nn.module import Module, Parameter
from tinytrain.ops.promotion import check_float
from tinytrain.tensor import Tensor


class Identity(Module):
    """Nothing: input and output of any shape are the same tensor.

    It takes, and does not look at, whatever arguments another layer in its place would take.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Identity(54, unused=True)(tt.ones(1)).tolist()
    [1.0]
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """Hand the input on."""
        return input


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

    The weight (num_embeddings, embedding_dim) starts standard normal, as in PyTorch, but for the
    padding row, which starts at 0 and stays as it is.

    Parameters
    ----------
    num_embeddings : int
        The number of ids.
    embedding_dim : int
        The width of a row.
    padding_idx : int, optional
        The id whose row gets no gradient; a negative one counts from the end.
    max_norm : None
        Must stay None; see `functional.embedding`.
    norm_type : float
        Says nothing without `max_norm`.
    scale_grad_by_freq : bool
        Whether the gradient of a row is the mean over the places of its id, instead of the sum.
    sparse : bool
        Must stay False.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Embedding(10, 4)(tt.tensor([[1, 2, 3]])).shape
    (1, 3, 4)
    >>> Embedding(10, 2, padding_idx=0)(tt.tensor([0])).tolist()
    [[0.0, 0.0]]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        _weight: Tensor | None = None,
    ) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(
                f"Embedding needs positive sizes, got {num_embeddings} rows of {embedding_dim}"
            )
        refuse_renormalising(max_norm, sparse)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_row(padding_idx, num_embeddings)
        self.scale_grad_by_freq = scale_grad_by_freq
        if _weight is not None:
            self.weight = Parameter(_weight)
            return
        self.weight = Parameter(zeros(num_embeddings, embedding_dim))
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> "Embedding":
        """Make a table of given rows (num_embeddings, embedding_dim), which it copies.

        Parameters
        ----------
        embeddings : Tensor (num_embeddings, embedding_dim)
            Floating point.
        freeze : bool
            Whether the rows shall not be trained.
        padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
            As for `Embedding`; the padding row keeps its given values.

        Raises
        ------
        ValueError, TypeError
            The rows are no matrix of floating-point numbers.

        Examples
        --------
        >>> import tinytrain as tt
        >>> table = Embedding.from_pretrained(tt.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> table(tt.tensor(1)).tolist(), table.weight.requires_grad
        ([3.0, 4.0], False)
        """
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained needs a matrix, got {embeddings.shape}")
        check_float("Embedding.from_pretrained", embeddings.data)
        rows, width = embeddings.shape
        table = cls(
            rows,
            width,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings.detach().clone(),
        )
        table.weight.requires_grad_(not freeze)
        return table

    def forward(self, input: Tensor) -> Tensor:
        """Look up ids of any shape: (...) to (..., embedding_dim)."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        """Show the sizes, and the padding id where there is one."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
