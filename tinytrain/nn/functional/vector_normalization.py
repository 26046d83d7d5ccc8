"""Vectors brought to length 1."""

from tinytrain.functions.checks import checked
from tinytrain.linalg import vector_norm
from tinytrain.tensor import Tensor


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divide each vector by its norm: y = x / max(|x|_p, eps).

    Parameters
    ----------
    input : Tensor (...)
        Floating point.
    p : float
        Of the norm |x|_p = (sum |x_i|^p)^(1/p).
    dim : int
        The axis along which the vectors lie.
    eps : float
        The smallest divisor, so that a vector of zeros stays one.

    Returns
    -------
    Tensor (...)

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> import tinytrain as tt
    >>> normalize(tt.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0. , 0. ]], dtype=float32, device=cpu)
    """
    checked(input, "normalize", "input")
    return input / vector_norm(input, p, dim, keepdim=True).clamp(min=eps)
