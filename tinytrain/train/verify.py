"""Proving, on a user's own model and data, that a split batch gives the gradient of the whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.data.random_states import random_states_kept
from tinytrain.nn.module import Module
from tinytrain.train.accumulation import (
    LossFunction,
    divide_gradients,
    pooled_statistics,
    sum_gradients,
)
from tinytrain.train.culprits import Culprit as Culprit
from tinytrain.train.culprits import find_culprits
from tinytrain.train.exact_batch_norm import Summing, sum_gradients_exactly
from tinytrain.train.host import on_host
from tinytrain.train.modes import start_training
from tinytrain.train.row_comparison import relative_difference
from tinytrain.train.split_batch import count_rows, split_evenly
from tinytrain.train.untouched import untouched

TOLERANCES = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-9}
"""What rounding may come to; a wrong gradient is off by far more."""


@dataclass(frozen=True)
class SplitDifference:
    """One split, and how far its gradient and loss are from those of the whole batch, relatively.

    Attributes
    ----------
    micro_batches : int
    gradient, loss : float
        |split - whole| / |whole|, of all gradients as one vector, and of the mean loss.

    Examples
    --------
    >>> SplitDifference(micro_batches=4, gradient=2e-8, loss=0.0).micro_batches
    4
    """

    micro_batches: int
    gradient: float
    loss: float


@dataclass(frozen=True)
class AccumulationReport:
    """What `verify_accumulation` found; printed, it is a table.

    Attributes
    ----------
    exact : bool
        Whether every split gives the gradient of the whole batch, up to rounding.
    rows, items : int
        Of the whole batch; items may be a float, the sum of their weights.
    tolerance : float
        What counts as rounding.
    splits : tuple of SplitDifference
    culprits : tuple of Culprit
        The layers that break it, in the order of the forward pass.
    without_culprits : float or None
        How far the loss is from that of the whole batch where those layers give each row what they
        gave it in the whole batch; beyond the tolerance, the loss function breaks it too.

    Examples
    --------
    >>> import numpy as np
    >>> import tinytrain as tt
    >>> model = tt.nn.Linear(2, 1)
    >>> def loss_function(model, batch):
    ...     return (model(batch[0]) ** 2).sum(), len(batch[0])
    >>> report = tt.train.verify_accumulation(model, loss_function, (np.ones((4, 2), np.float32),))
    >>> report.exact, report.rows, report.culprits
    (True, 4, ())
    """

    exact: bool
    rows: int
    items: float
    tolerance: float
    splits: tuple[SplitDifference, ...]
    culprits: tuple[Culprit, ...] = ()
    without_culprits: float | None = None

    def __str__(self) -> str:
        lines = [f"accumulation over {self.rows:,} rows, {self.items:,} items"]
        for split in self.splits:
            verdict = "equal" if split.gradient <= self.tolerance else "NOT equal"
            lines.append(
                f"  {split.micro_batches:>4} micro-batches  gradient {verdict:<9}  "
                f"relative difference {split.gradient:.1e}, of the loss {split.loss:.1e}"
            )
        lines += [
            f"  {culprit.name or 'the model'} ({culprit.layer}): its output differs by "
            f"{culprit.difference:.1e} for the same input; {culprit.reason}"
            for culprit in self.culprits
        ]
        if self.without_culprits is not None:
            lines.append(f"  {self._about_the_loss(self.without_culprits)}")
        return "\n".join(lines)

    def _about_the_loss(self, difference: float) -> str:
        """Say what is left once all layers give what they gave for the whole batch."""
        layers = "these layers'" if self.culprits else "the layers'"
        text = f"with {layers} outputs for the whole batch the loss differs by {difference:.1e}"
        if difference <= self.tolerance:
            return text + ("" if self.culprits else f": {BACKWARD}")
        return f"{text}: {THE_LOSS if math.isfinite(difference) else NOT_FINITE}"


THE_LOSS = (
    "the loss function breaks it: is its sum one over items, and the number that of the items? "
    "Does it draw random numbers, or mix rows?"
)
NOT_FINITE = (
    "the loss of the micro-batches is not finite though that of the whole batch is: does it divide "
    "by the number of items of a micro-batch that has none?"
)
BACKWARD = "no layer and no loss differs, so a backward pass breaks it, or code without a layer"


def verify_accumulation(
    model: Module,
    loss_function: LossFunction,
    batch: Any,
    micro_batches: Sequence[int] | int = (2, 4),
    summing: Summing = sum_gradients,
) -> AccumulationReport:
    """Compare the gradient of a batch with those of its splits, and find the layers that break it.

    Everything stays as it was: gradients, running statistics, random generators, modes. The model
    is put in training mode meanwhile.

    Parameters
    ----------
    model : Module
    loss_function : callable
        ``(model, batch) -> (sum of losses, number of items)``. Once for the whole batch and once
        for each micro-batch it is called, and more often where something has to be found.
    batch : nested arrays
        One batch as a loader gives it, in host memory.
    micro_batches : sequence of int, or int
        Into how many to split the rows, as evenly as possible; numbers above the number of rows are
        left out.
    summing : callable
        How gradients are added up: `tinytrain.train.accumulation.sum_gradients` or
        `tinytrain.train.exact_batch_norm.sum_gradients_exactly`.

    Raises
    ------
    ValueError
        The batch cannot be split, has no items, or its gradient is zero or not finite.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Linear(3, 4), tt.nn.Dropout(0.5), tt.nn.Linear(4, 2))
    >>> batch = (np.ones((8, 3), dtype=np.float32), np.zeros(8, dtype=np.int64))
    >>> report = verify_accumulation(model, tt.models.classification_loss, batch)
    >>> report.exact, [culprit.name for culprit in report.culprits]
    (False, ['1'])
    >>> model[1].p = 0.0
    >>> verify_accumulation(model, tt.models.classification_loss, batch).exact
    True
    """
    rows = count_rows(batch)
    asked = [micro_batches] if isinstance(micro_batches, int) else list(micro_batches)
    counts = sorted({count for count in asked if 2 <= count <= rows})
    if not counts:
        raise ValueError(
            f"a batch of {rows} rows cannot be split into {asked} micro-batches: "
            "give a batch of more rows, or other numbers from 2"
        )
    check = _Check(model, loss_function, batch, counts, summing)
    with untouched(model):
        start_training(model)
        items, splits = check.differences()
        if all(split.gradient <= check.tolerance for split in splits):
            return AccumulationReport(True, rows, items, check.tolerance, splits)
        worst = max(splits, key=lambda split: (np.isnan(split.gradient), split.gradient))
        culprits, without = find_culprits(
            model,
            loss_function,
            batch,
            check.splits[splits.index(worst)],
            check.tolerance,
            excuse_batch_norm=summing is sum_gradients_exactly,
        )
    return AccumulationReport(False, rows, items, check.tolerance, splits, tuple(culprits), without)


class _Check:
    """A model, a batch and its splits, to be compared."""

    def __init__(
        self,
        model: Module,
        loss_function: LossFunction,
        batch: Any,
        counts: Sequence[int],
        summing: Summing,
    ) -> None:
        self.model, self.loss_function, self.summing = model, loss_function, summing
        self.splits = [split_evenly(batch, count) for count in counts]
        self.batch = batch
        names = {str(parameter.dtype) for parameter in model.parameters()}
        self.tolerance = max(TOLERANCES.get(name, 1e-4) for name in names or {"float32"})

    def differences(self) -> tuple[float, tuple[SplitDifference, ...]]:
        """Return the items of the batch, and how far each split is from it."""
        gradient, loss, items = self._gradient([self.batch])
        if not np.isfinite([loss, *gradient]).all():
            raise ValueError(
                f"the loss of the whole batch is {loss}, or its gradient is not finite: there is "
                "nothing to compare with (tt.detect_anomaly() tells where it comes from)"
            )
        if not gradient.any():
            raise ValueError(
                "the gradient of the whole batch is zero everywhere, so no split can differ: "
                "nothing would be proved"
            )
        found = []
        for micro_batches in self.splits:
            other, other_loss, _ = self._gradient(micro_batches)
            found.append(
                SplitDifference(
                    len(micro_batches),
                    relative_difference([gradient], [other]),
                    relative_difference([loss], [other_loss]),
                )
            )
        return items, tuple(found)

    def _gradient(self, micro_batches: Sequence[Any]) -> tuple[Any, float, float]:
        """Return the gradient of the mean loss as one vector, that loss, and the items."""
        self.model.zero_grad()
        buffers = [(buffer, buffer.data.copy()) for buffer in self.model.buffers()]
        with random_states_kept(*self.model.modules()), pooled_statistics(self.model):
            loss_sum, items = self.summing(self.model, self.loss_function, micro_batches)
        for buffer, values in buffers:
            buffer.data[...] = values
        if loss_sum is None:
            raise ValueError("the batch has no supervised items: there is nothing to verify")
        divide_gradients(self.model.parameters(), items)
        pieces = [
            np.zeros(p.numel()) if p.grad is None else on_host(p.grad).ravel()
            for p in self.model.parameters()
        ]
        if not pieces:
            raise ValueError("the model has no parameters: there is no gradient to verify")
        return np.concatenate(pieces), loss_sum.cpu().item() / items, items
