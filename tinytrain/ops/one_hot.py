"""Class numbers as rows of zeros with a single one."""

import numpy as np

from tinytrain.autograd import Function
from tinytrain.backend import Array, to_host, xp_of
from tinytrain.ops.index import check_range, extremes_of


class OneHot(Function):
    """z[..., c] = 1 where c is the class x[...], else 0, in int64.

    Without a number of classes (-1) it is one more than the largest class: then the values are
    read, for which the host waits on a GPU, unless `extremes`, what `extremes_of` says of them, is
    known.
    """

    differentiable = False

    def __init__(self, num_classes: int = -1, extremes: tuple[int, ...] | None = None) -> None:
        self.num_classes, self.extremes = num_classes, extremes

    def forward(self, x: Array) -> Array:
        """Compare each class with all class numbers."""
        xp, classes = xp_of(x), self.num_classes
        if x.dtype.kind not in "iu":
            raise TypeError(f"one_hot needs integers, got {x.dtype}")
        if classes < -1 or (classes == 0 and x.size):
            raise ValueError(f"one_hot: num_classes must be positive, or -1, got {classes}")
        if classes <= 0 and not x.size:
            raise ValueError(f"one_hot cannot read the number of classes off shape {x.shape}")
        if classes == -1:
            self.extremes = self.extremes or extremes_of(to_host(x))
            classes = self.extremes[-1] + 1
        check_range(x, max(classes, 1), "class", self.extremes)
        return (x[..., None] == xp.arange(classes)).astype(np.int64)
