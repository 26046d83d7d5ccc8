"""Rows picked by ids, with gradients that spare a padding row or weigh rare ids like frequent."""

from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.index import Embedding


class AdjustedEmbedding(Embedding):
    """z = weight[ids], as `Embedding`; only the gradient differs.

    The row at `padding_idx` gets the gradient 0. With `scale_grad_by_freq` the gradient of a row is
    the mean over the places where its id stands, not the sum. Shapes: ids (...), weight (V, D).
    """

    def __init__(
        self,
        padding_idx: int | None = None,
        scale_grad_by_freq: bool = False,
        extremes: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(extremes)
        self.padding_idx, self.scale_grad_by_freq = padding_idx, scale_grad_by_freq

    def backward(self, gradient: Array) -> tuple[None, Array]:
        """Add up the gradient rows by id, and adjust the sums."""
        ids, count = self.saved
        xp, kernels = xp_of(gradient), kernels_for(gradient)
        flat, rows = ids.reshape(-1), gradient.reshape(ids.size, gradient.shape[-1])
        total = kernels.scatter_add_rows(flat, rows, count)
        if self.scale_grad_by_freq:
            ones = xp.ones((ids.size, 1), dtype=gradient.dtype)
            total = total / xp.maximum(kernels.scatter_add_rows(flat, ones, count), 1)
        if self.padding_idx is not None:
            total[self.padding_idx] = 0
        return None, total
