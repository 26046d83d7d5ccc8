"""Matrix products, and the linear layer's product with its bias as one operation."""

import numpy as np

from tinytrain.autograd import Function, describe, unbroadcast
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.promotion import check_broadcast


class Matmul(Function):
    """z = x y over the last two axes; the axes before them are broadcast.

    dL/dx = g y^T,  dL/dy = x^T g. A vector on the left counts as a row, on the right as a column,
    and the axis added for it is taken away again.
    """

    def forward(self, x: Array, y: Array) -> Array:
        """Multiply."""
        check_matmul(x, y)
        xp = xp_of(x, y)
        self.save(x, y)
        return xp.matmul(x, y)

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None]:
        """Multiply the gradient by the other factor, transposed."""
        x, y = self.saved
        xp = xp_of(x)
        left = x[None, :] if x.ndim == 1 else x
        right = y[:, None] if y.ndim == 1 else y
        if x.ndim == 1:
            gradient = xp.expand_dims(gradient, -1 if y.ndim == 1 else -2)
        if y.ndim == 1:
            gradient = xp.expand_dims(gradient, -1)
        return (
            _back_to(xp.matmul(gradient, right.swapaxes(-1, -2)), left, x)
            if self.needs[0]
            else None,
            _back_to(xp.matmul(left.swapaxes(-1, -2), gradient), right, y)
            if self.needs[1]
            else None,
        )


def _back_to(gradient: Array, matrix: Array, original: Array) -> Array:
    """Sum over broadcast axes and take away the axis that stood in for a vector."""
    return unbroadcast(gradient, matrix.shape).reshape(original.shape)


def check_matmul(x: Array, y: Array) -> None:
    """Raise an error that names the shapes where two arrays cannot be multiplied.

    Examples
    --------
    >>> import numpy as np
    >>> check_matmul(np.ones((2, 3)), np.ones((4, 2)))
    Traceback (most recent call last):
        ...
    ValueError: matmul of shapes (2, 3) and (4, 2): 3 columns meet 4 rows
    """
    if not (hasattr(x, "shape") and hasattr(y, "shape")):
        raise TypeError(
            f"matmul needs two tensors, got {describe(x)} and {describe(y)}; a number scales with *"
        )
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul needs at least one axis, got shapes {x.shape} and {y.shape}")
    if x.dtype != y.dtype:
        raise TypeError(f"matmul of {x.dtype} and {y.dtype}: bring both to one dtype with .to(...)")
    if x.dtype == np.bool_:
        raise TypeError("matmul is for numbers, not for booleans: use .float() or .long() first")
    rows = y.shape[0] if y.ndim == 1 else y.shape[-2]
    if x.shape[-1] != rows:
        raise ValueError(
            f"matmul of shapes {x.shape} and {y.shape}: {x.shape[-1]} columns meet {rows} rows"
        )
    check_broadcast(x.shape[:-2], y.shape[:-2])


class Linear(Function):
    """y = x W^T + b.

    dL/dx = g W,  dL/dW = g^T x,  dL/db = the sum of g over all rows. Shapes: x (..., I), W (O, I),
    b (O,) or None, y (..., O).
    """

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Multiply all rows in one product and add the bias in place."""
        _check_linear(x, weight, bias)
        xp = xp_of(x, weight, bias)
        rows = x.reshape(-1, x.shape[-1])  # (N, I)
        self.save(rows if self.needs and self.needs[1] else None, weight, x.shape)
        y = xp.matmul(rows, weight.T)  # (N, O)
        if bias is not None:
            y += bias
        return y.reshape(*x.shape[:-1], weight.shape[0])

    def backward(self, gradient: Array) -> tuple[Array | None, Array | None, Array | None]:
        """Three products; the sum over rows is a product with ones, which is the fastest way."""
        rows, weight, shape = self.saved
        xp = xp_of(weight)
        g = gradient.reshape(-1, weight.shape[0])  # (N, O)
        return (
            xp.matmul(g, weight).reshape(shape) if self.needs[0] else None,
            xp.matmul(g.T, rows) if self.needs[1] else None,
            kernels_for(g).column_sums(g) if self.needs[2] else None,
        )


def _check_linear(x: Array, weight: Array, bias: Array | None) -> None:
    if not hasattr(x, "shape") or not hasattr(weight, "shape"):
        raise TypeError(f"linear needs tensors, got {describe(x)} and {describe(weight)}")
    if weight.ndim != 2:
        raise ValueError(f"linear needs a weight of shape (out, in), got shape {weight.shape}")
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        last = "a 0-d tensor" if x.ndim == 0 else str(x.shape[-1])
        raise ValueError(
            f"linear ({weight.shape[1]} -> {weight.shape[0]}) expects {weight.shape[1]} features "
            f"on the last axis, got {last} (input shape {x.shape})"
        )
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"linear needs a bias of shape ({weight.shape[0]},), got {bias.shape}")
    if x.dtype != weight.dtype or (bias is not None and x.dtype != bias.dtype):
        raise TypeError(
            f"linear: input is {x.dtype}, weight is {weight.dtype}"
            + (f", bias is {bias.dtype}" if bias is not None else "")
            + "; bring them to one dtype with .to(...)"
        )
