"""The tensor that a module trains."""

from tinytrain.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains.

    Parameters
    ----------
    data : Tensor
        Of any shape, floating point. Its array is shared, not copied.
    requires_grad : bool
        False freezes it.

    Raises
    ------
    TypeError
        `data` is no tensor, or its dtype cannot require gradients.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Parameter(tt.zeros(2)).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter takes a Tensor, got {type(data).__name__}: wrap it with tt.tensor(...)"
            )
        super().__init__(data.data, requires_grad)
