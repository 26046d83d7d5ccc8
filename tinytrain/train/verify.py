"""Proving, on a user's own model and data, that a split batch gives the gradient of the whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.autograd import no_grad
from tinytrain.creation import to_device
from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor
from tinytrain.train.accumulation import (
    LossFunction,
    divide_gradients,
    pooled_statistics,
    sum_gradients,
)
from tinytrain.train.exact_batch_norm import Summing
from tinytrain.train.host import on_host
from tinytrain.train.random_state import generators_of
from tinytrain.train.split_batch import count_rows, split_batch
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
    """

    micro_batches: int
    gradient: float
    loss: float


@dataclass(frozen=True)
class Culprit:
    """A layer whose output for a row depends on which other rows are in the micro-batch.

    Attributes
    ----------
    name : str
        The path of the layer in the model.
    layer : str
        Its class.
    difference : float
        |split - whole| / |whole| of its output, for the same input.
    reason : str
    """

    name: str
    layer: str
    difference: float
    reason: str


@dataclass(frozen=True)
class AccumulationReport:
    """What `verify_accumulation` found; printed, it is a table.

    Attributes
    ----------
    exact : bool
        Whether every split gives the gradient of the whole batch, up to rounding.
    rows, items : int
        Of the whole batch.
    tolerance : float
        What counts as rounding.
    splits : tuple of SplitDifference
    culprits : tuple of Culprit
        The layers that break it, in the order of the forward pass.
    without_culprits : float or None
        The largest difference of the gradients with those layers in evaluation mode; where it is
        within the tolerance, nothing else breaks it.

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
    items: int
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
            lines.append(
                f"  with {'these layers' if self.culprits else 'the model'} in evaluation mode: "
                f"relative difference {self.without_culprits:.1e}"
                + ("" if self.without_culprits <= self.tolerance else f"; {ELSEWHERE}")
            )
        return "\n".join(lines)


BATCH_NORM = (
    "it normalises each micro-batch by itself: batch_norm='exact' gives the whole batch's "
    "normalisation; nn.GroupNorm and nn.LayerNorm do not mix rows"
)
RANDOM = (
    "it draws other random numbers for another split, as for another seed: right on average, and "
    "no error"
)
MIXING = "it mixes the rows of a batch"
ELSEWHERE = (
    "the loss function is the reason then: is its sum one over items, and the number that of the "
    "items? Does it draw random numbers, or mix rows?"
)


def verify_accumulation(
    model: Module,
    loss_function: LossFunction,
    batch: Any,
    micro_batches: Sequence[int] = (2, 4),
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
    micro_batches : sequence of int
        Into how many to split the rows; numbers above the number of rows are left out.
    summing : callable
        How gradients are added up: `tinytrain.train.accumulation.sum_gradients` or
        `tinytrain.train.exact_batch_norm.sum_gradients_exactly`.

    Raises
    ------
    ValueError
        The batch cannot be split, has no items, or no gradient comes out.

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
    counts = sorted({count for count in micro_batches if 2 <= count <= rows})
    if not counts:
        raise ValueError(
            f"a batch of {rows} rows cannot be split into {list(micro_batches)} micro-batches: "
            "give a batch of more rows, or other numbers from 2"
        )
    check = _Check(model, loss_function, batch, counts, summing)
    with untouched(model):
        model.train()
        items, splits = check.differences()
        worst = max(split.gradient for split in splits)
        if worst <= check.tolerance:
            return AccumulationReport(True, rows, items, check.tolerance, splits)
        culprits = check.find_culprits()
        if not culprits:
            model.eval()
        without = max(split.gradient for split in check.differences()[1])
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
        rows = count_rows(batch)
        # The largest micro-batches of which there are so many; the last one may be smaller.
        self.splits = [split_batch(batch, -(-rows // count)) for count in counts]
        self.batch = batch
        self.generators = generators_of(model)
        self.random_state = [generator.get_state() for generator in self.generators]
        names = {str(parameter.dtype) for parameter in model.parameters()}
        self.tolerance = max(TOLERANCES.get(name, 1e-4) for name in names or {"float32"})

    def differences(self) -> tuple[int, tuple[SplitDifference, ...]]:
        """Return the items of the batch, and how far each split is from it."""
        gradient, loss, items = self._gradient([self.batch])
        scale, found = np.linalg.norm(gradient), []
        for micro_batches in self.splits:
            other, other_loss, _ = self._gradient(micro_batches)
            found.append(
                SplitDifference(
                    len(micro_batches),
                    float(np.linalg.norm(other - gradient) / (scale or 1.0)),
                    abs(other_loss - loss) / (abs(loss) or 1.0),
                )
            )
        return items, tuple(found)

    def _gradient(self, micro_batches: Sequence[Any]) -> tuple[Any, float, int]:
        """Return the gradient of the mean loss as one vector, that loss, and the items."""
        self._restart()
        self.model.zero_grad()
        buffers = [(buffer, buffer.data.copy()) for buffer in self.model.buffers()]
        with pooled_statistics(self.model):
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

    def _restart(self) -> None:
        for generator, state in zip(self.generators, self.random_state, strict=True):
            generator.set_state(state)

    def find_culprits(self) -> list[Culprit]:
        """Find, one after the other, the layers that break it, and put them in evaluation mode.

        The first layer whose output differs though its input does not is one. What comes after it
        can only be told once it is out of the way; where evaluation mode does not help, the search
        ends.
        """
        culprits: list[Culprit] = []
        modules = dict(self.model.named_modules())
        while True:
            found = self._first_culprit(self.splits[-1])
            if found is None or found.name in {culprit.name for culprit in culprits}:
                return culprits
            culprits.append(found)
            modules[found.name].eval()

    def _first_culprit(self, micro_batches: Sequence[Any]) -> Culprit | None:
        whole, parts = self._trace([self.batch]), self._trace(micro_batches)
        for call, other in zip(whole, parts, strict=False):  # up to where they go other ways
            same_input = _difference(call.inputs, other.inputs) <= self.tolerance
            difference = _difference(call.outputs, other.outputs)
            if same_input and difference > self.tolerance:
                return Culprit(call.name, type(call.layer).__name__, difference, _reason(call))
        return None

    def _trace(self, micro_batches: Sequence[Any]) -> list["_Call"]:
        """Run forward passes, and return the calls of the layers, with the rows joined again."""
        self._restart()
        joined: list[_Call] = []
        with no_grad(), pooled_statistics(self.model):
            for micro_batch in micro_batches:
                calls: list[_Call] = []
                with _recorded(self.model, self.generators, calls):
                    self.loss_function(self.model, to_device(micro_batch))
                pairs = zip(joined, calls, strict=False)  # up to where they go other ways
                joined = [above.joined(below) for above, below in pairs] if joined else calls
        return joined


@dataclass
class _Call:
    """One call of a layer: its inputs and outputs in host memory, row by row."""

    name: str
    layer: Module
    inputs: list[Any]
    outputs: list[Any]
    drew: bool

    def joined(self, other: "_Call") -> "_Call":
        """Return this call with the rows of another micro-batch's below its own."""
        return _Call(
            self.name,
            self.layer,
            [np.concatenate(pair) for pair in zip(self.inputs, other.inputs, strict=True)],
            [np.concatenate(pair) for pair in zip(self.outputs, other.outputs, strict=True)],
            self.drew or other.drew,
        )


@contextmanager
def _recorded(model: Module, generators: Sequence[Any], calls: list[_Call]) -> Iterator[None]:
    """Write down each call of a layer in the block, inner layers before those they are part of."""
    layers = list(model.named_modules())
    for name, layer in layers:
        vars(layer)["forward"] = _recording(name, layer, generators, calls)
    try:
        yield
    finally:
        for _, layer in layers:
            del vars(layer)["forward"]  # the method of the class is in sight again


def _recording(
    name: str, layer: Module, generators: Sequence[Any], calls: list[_Call]
) -> Callable[..., Any]:
    forward = layer.forward

    def record(*inputs: Any, **settings: Any) -> Any:
        before = [generator.get_state() for generator in generators]
        output = forward(*inputs, **settings)
        drew = before != [generator.get_state() for generator in generators]
        calls.append(_Call(name, layer, _rows_of(inputs), _rows_of(output), drew))
        return output

    return record


def _rows_of(values: Any) -> list[Any]:
    """List the tensors with rows among some nested values, as arrays in host memory."""
    if isinstance(values, Tensor):
        return [on_host(values)] if values.ndim else []
    if isinstance(values, list | tuple):
        return [array for value in values for array in _rows_of(value)]
    return []


def _difference(arrays: Sequence[Any], others: Sequence[Any]) -> float:
    """Return |others - arrays| / |arrays|; infinity where they are not of the same shapes."""
    if [array.shape for array in arrays] != [other.shape for other in others]:
        return float("inf")
    pairs = list(zip(arrays, others, strict=True))
    distance = sum(float(np.square(np.subtract(b, a, dtype=np.float64)).sum()) for a, b in pairs)
    length = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
    return float(np.sqrt(distance / (length or 1.0)))


def _reason(call: _Call) -> str:
    if isinstance(call.layer, BatchNormBase):
        return BATCH_NORM
    return RANDOM if call.drew else MIXING
