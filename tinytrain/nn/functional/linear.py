"""Products with a weight matrix: by vectors (linear) and by rows picked with ids (embedding)."""

from tinytrain.functions.checks import checked, checked_optional
from tinytrain.ops.adjusted_embedding import AdjustedEmbedding
from tinytrain.ops.index import Embedding
from tinytrain.ops.matmul import Linear
from tinytrain.tensor import Tensor, apply


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return y = x W^T + b.

    Parameters
    ----------
    input : Tensor (..., I)
        Floating point.
    weight : Tensor (O, I)
    bias : Tensor (O,), optional

    Returns
    -------
    Tensor (..., O)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> linear(tt.ones(2, 3), tt.ones(4, 3)).shape
    (2, 4)
    """
    checked(input, "linear", "input")
    checked(weight, "linear", "weight")
    checked_optional(bias, "linear", "bias")
    return apply(Linear(), input, weight, bias)


def linear_simple(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compose `linear` from a product and a sum: (..., I), (O, I) and (O,) to (..., O).

    Examples
    --------
    >>> import tinytrain as tt
    >>> linear_simple(tt.ones(2, 3), tt.ones(4, 3)).shape
    (2, 4)
    """
    checked(input, "linear_simple", "input")
    checked(weight, "linear_simple", "weight")
    checked_optional(bias, "linear_simple", "bias")
    product = input @ weight.T
    return product if bias is None else product + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return one row of the weight for each id.

    Parameters
    ----------
    input : Tensor (...), integer
        Each in 0 .. V - 1.
    weight : Tensor (V, D)
    padding_idx : int, optional
        The id whose row gets no gradient; a negative one counts from V down.
    max_norm : None
        Must stay None: to shorten rows, PyTorch writes into the weight.
    norm_type : float
        Which norm `max_norm` would limit; without one it says nothing, as in PyTorch.
    scale_grad_by_freq : bool
        Whether the gradient of a row is the mean over the places of its id, instead of the sum.
    sparse : bool
        Must stay False: gradients are dense.

    Returns
    -------
    Tensor (..., D)

    Raises
    ------
    IndexError
        An id is out of range; negative ids are too.
    TypeError
        The ids are no integers.
    ValueError
        The padding id is no row, or max_norm or sparse is given.

    Examples
    --------
    >>> import tinytrain as tt
    >>> embedding(tt.tensor([1, 1]), tt.tensor([[1.0], [2.0]]))
    tensor([[2.],
            [2.]], dtype=float32, device=cpu)
    """
    checked(input, "embedding", "input")
    checked(weight, "embedding", "weight")
    refuse_renormalising(max_norm, sparse)
    extremes = getattr(input, "extremes", None)
    if padding_idx is None and not scale_grad_by_freq:
        return apply(Embedding(extremes), input, weight)
    row = None if padding_idx is None else padding_row(padding_idx, weight.shape[0])
    return apply(AdjustedEmbedding(row, scale_grad_by_freq, extremes), input, weight)


def padding_row(padding_idx: int, count: int) -> int:
    """Return the row that a padding id means in a weight of shape (count, ...).

    Raises
    ------
    ValueError
        There is no such row.

    Examples
    --------
    >>> padding_row(-1, 10)
    9
    """
    if not -count <= padding_idx < count:
        raise ValueError(f"padding_idx {padding_idx} is none of the {count} rows of an embedding")
    return padding_idx % count


def refuse_renormalising(max_norm: float | None, sparse: bool) -> None:
    """Raise where an embedding of any shape is to write into its weight, or to be sparse.

    Examples
    --------
    >>> refuse_renormalising(1.0, sparse=False)
    Traceback (most recent call last):
        ...
    ValueError: embedding has no max_norm, which would write into the weight: shorten rows yourself
    """
    if max_norm is not None:
        raise ValueError(
            "embedding has no max_norm, which would write into the weight: shorten rows yourself"
        )
    if sparse:
        raise ValueError("embedding has no sparse gradients: leave out sparse=True")


def embedding_simple(input: Tensor, weight: Tensor) -> Tensor:
    """Say `embedding` as indexing: ids (...) and weight (V, D) to (..., D).

    Examples
    --------
    >>> import tinytrain as tt
    >>> embedding_simple(tt.tensor([1, 1]), tt.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [2.0]]
    """
    checked(input, "embedding_simple", "input")
    checked(weight, "embedding_simple", "weight")
    return weight[input]
