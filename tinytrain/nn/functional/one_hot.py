"""Class numbers as vectors."""

from tinytrain.functions.checks import checked
from tinytrain.ops.one_hot import OneHot
from tinytrain.tensor import Tensor, apply


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Return a 1 at the place of each class number, among zeros.

    Parameters
    ----------
    input : Tensor (...), integer
        Each in 0 .. C - 1.
    num_classes : int
        C; or -1 for one more than the largest class there is, which reads the values, and on a GPU
        waits for them if their range is not known.

    Returns
    -------
    Tensor (..., C), int64

    Raises
    ------
    IndexError
        A class is out of range.
    TypeError
        The classes are no integers.
    ValueError
        The number of classes is 0 or below -1, or is to be read off no values.

    Examples
    --------
    >>> import tinytrain as tt
    >>> one_hot(tt.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    checked(input, "one_hot", "input")
    return apply(OneHot(num_classes, getattr(input, "extremes", None)), input)
