"""Products with a weight matrix: by vectors (linear) and by rows picked with ids (embedding)."""

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
    return apply(Linear(), input, weight, bias)


def linear_simple(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compose `linear` from a product and a sum: (..., I), (O, I) and (O,) to (..., O).

    Examples
    --------
    >>> import tinytrain as tt
    >>> linear_simple(tt.ones(2, 3), tt.ones(4, 3)).shape
    (2, 4)
    """
    product = input @ weight.T
    return product if bias is None else product + bias


def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """Return one row of the weight for each id.

    Parameters
    ----------
    input : Tensor (...), integer
        Each in 0 .. V - 1.
    weight : Tensor (V, D)

    Returns
    -------
    Tensor (..., D)

    Raises
    ------
    IndexError
        An id is out of range; negative ids are too.
    TypeError
        The ids are no integers.

    Examples
    --------
    >>> import tinytrain as tt
    >>> embedding(tt.tensor([1, 1]), tt.tensor([[1.0], [2.0]]))
    tensor([[2.],
            [2.]], dtype=float32, device=cpu)
    """
    return apply(Embedding(getattr(input, "extremes", None)), input, weight)


def embedding_simple(input: Tensor, weight: Tensor) -> Tensor:
    """Say `embedding` as indexing: ids (...) and weight (V, D) to (..., D).

    Examples
    --------
    >>> import tinytrain as tt
    >>> embedding_simple(tt.tensor([1, 1]), tt.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [2.0]]
    """
    return weight[input]
