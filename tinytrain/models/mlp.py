"""A multi-layer perceptron, with batch normalisation where asked for."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinytrain import nn
from tinytrain.nn import functional as F
from tinytrain.tensor import Tensor


class MLP(nn.Module):
    """Linear layers with ReLU, and optionally batch normalisation and dropout, between them.

    Parameters
    ----------
    sizes : sequence of int
        The widths from the input to the output, at least two.
    batch_norm : bool
        Whether to normalise before each ReLU.
    dropout : float
        After each ReLU.

    Examples
    --------
    >>> import tinytrain as tt
    >>> MLP([4, 8, 3])(tt.ones(5, 4)).shape
    (5, 3)
    """

    def __init__(
        self, sizes: Sequence[int], batch_norm: bool = False, dropout: float = 0.0
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"an MLP needs an input and an output size, got {list(sizes)}")
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise(sizes[:-1]):
            self.layers.append(nn.Linear(inputs, outputs))
            if batch_norm:
                self.layers.append(nn.BatchNorm1d(outputs))
            self.layers.append(nn.ReLU())
            if dropout:
                self.layers.append(nn.Dropout(dropout))
        self.layers.append(nn.Linear(sizes[-2], sizes[-1]))

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, sizes[0]) to (N, sizes[-1])."""
        output: Tensor = self.layers(input)
        return output


def classification_loss(model: nn.Module, batch: tuple[Any, Any]) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of a batch (inputs, classes), and the number of rows.

    Examples
    --------
    >>> import tinytrain as tt
    >>> loss_sum, rows = classification_loss(MLP([2, 3]), (tt.ones(4, 2), tt.tensor([0, 1, 2, 0])))
    >>> rows
    4
    """
    inputs, classes = batch
    return F.cross_entropy(model(inputs), classes, reduction="sum"), len(classes)
