"""Finding the layers that make a row's result depend on the other rows of its micro-batch.

The model runs once on the whole batch, and every layer's inputs and outputs are written down. Then
it runs on the micro-batches, and each is compared with its own rows of that. Where they differ
first, something is to blame: a layer whose output differs though its input does not; or, where
inputs differ, what was computed since the last layer, in the layer around or the loss function.
From there on the search goes on with the whole batch's rows in the place of what differed, so that
one culprit does not hide the next.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.autograd import no_grad
from tinytrain.creation import to_device
from tinytrain.data.random_states import random_states_kept
from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.train.accumulation import LossFunction, checked_loss, pooled_statistics, sum_losses
from tinytrain.train.random_state import capture_random, generators_of
from tinytrain.train.rollback import same_random
from tinytrain.train.row_comparison import (
    Rows,
    arrays_on_host,
    parts_of,
    relative_difference,
    with_arrays,
)
from tinytrain.train.split_batch import count_rows

BATCH_NORM = (
    "it normalises each micro-batch by itself: batch_norm='exact' gives the whole batch's "
    "normalisation; nn.GroupNorm and nn.LayerNorm do not mix rows"
)
RANDOM = (
    "it draws random numbers, and others for another split, as for another seed: right on average, "
    "and no error"
)
MIXING = "it mixes the rows of a batch"
PAIRING = "it pairs the rows of a batch with each other"
WAYS = "it calls other layers for a micro-batch than for the whole batch"
LOSS = "(loss)"
"""The name of the loss function among layers."""


@dataclass(frozen=True)
class Culprit:
    """A layer whose output for a row depends on which other rows are in the micro-batch.

    Attributes
    ----------
    name : str
        The path of the layer in the model, ``""`` for the model itself; ``"(loss)"`` for what the
        loss function computes before it calls a layer.
    layer : str
        Its class.
    difference : float
        |split - whole| / |whole| of what it computed, for the same input.
    reason : str

    Examples
    --------
    >>> import tinytrain as tt
    >>> model, loss = tt.models.MLP([2, 4, 2], batch_norm=True), tt.models.classification_loss
    >>> batch = np.arange(16, dtype=np.float32).reshape(8, 2), np.arange(8) % 2
    >>> for culprit in tt.train.verify_accumulation(model, loss, batch).culprits:
    ...     culprit.name, culprit.layer
    ('layers.1', 'BatchNorm1d')
    """

    name: str
    layer: str
    difference: float
    reason: str


def find_culprits(
    model: Module,
    loss_function: LossFunction,
    batch: Any,
    micro_batches: Sequence[Any],
    tolerance: float,
    *,
    excuse_batch_norm: bool = False,
) -> tuple[list[Culprit], float]:
    """Find all layers that mix rows, or draw random numbers for them.

    Parameters
    ----------
    model : Module
        In the mode that is to be looked at. Use it within `untouched`.
    loss_function : callable
    batch, micro_batches : nested arrays
        The whole and its parts, in order.
    tolerance : float
        What counts as rounding, relatively.
    excuse_batch_norm : bool
        Whether batch normalisation may differ, because the whole window will normalise.

    Returns
    -------
    culprits : list of Culprit
    loss_difference : float
        How far the mean loss of the micro-batches is from that of the whole batch, relatively,
        where all layers gave what they gave for the whole batch.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Linear(2, 2), tt.nn.BatchNorm1d(2))
    >>> def loss_function(model, x):
    ...     return model(x).abs().sum(), len(x)
    >>> x = np.float32([[1, 2], [3, 5], [0, 4], [2, 2]])
    >>> culprits, loss_difference = find_culprits(model, loss_function, x, [x[:2], x[2:]], 1e-4)
    >>> [culprit.name for culprit in culprits], loss_difference < 1e-4
    (['1'], True)
    """
    search = _Search(model, loss_function, tolerance, excuse_batch_norm)
    whole = search.run([batch], count_rows(batch))
    parts = search.run(micro_batches, count_rows(batch))
    return search.in_order(), relative_difference([whole], [parts])


# ---------------------------------------------------------------- the search


@dataclass
class _Call:
    """One call of a layer with the whole batch: its inputs and outputs, in host memory."""

    name: str
    inputs: list[Any]
    outputs: list[Any]
    number: int = 0  # of those that have ended


@dataclass
class _Running:
    """A layer that is running: where random numbers stood, and whether it drew any itself."""

    name: str
    random_state: Any
    drew: bool = False
    order: str = ""  # of the rows among its inputs, where several positions stand for one


class _Search:
    """Runs the model on the whole batch, then on the parts, and compares."""

    def __init__(
        self,
        model: Module,
        loss_function: LossFunction,
        tolerance: float,
        excuse_batch_norm: bool,
    ) -> None:
        self.model, self.loss_function, self.tolerance = model, loss_function, tolerance
        self.excuse_batch_norm = excuse_batch_norm
        self.layers = dict(model.named_modules())
        self.calls: list[_Call] = []
        self.culprits: dict[str, Culprit] = {}
        self.ended = 0

    def run(self, batches: Sequence[Any], total: int) -> float:
        """Run forward passes; write the first down, and compare others. Return the mean loss."""
        start = 0
        losses = []
        own = [*self.model.modules()]
        with random_states_kept(*own), no_grad(), pooled_statistics(self.model):
            for batch in batches:
                rows = Rows(start, start + count_rows(batch), total)
                start = rows.stop
                with self._recorded(rows):
                    result = self.loss_function(self.model, to_device(batch))
                losses.append(checked_loss(result))
            loss_sum, items = sum_losses(losses)
        return float("nan") if loss_sum is None else loss_sum.cpu().item() / items

    def in_order(self) -> list[Culprit]:
        """List the culprits in the order of the forward pass, inner layers before outer ones."""
        first = {call.name: call.number for call in reversed(self.calls)}
        return sorted(self.culprits.values(), key=lambda culprit: first.get(culprit.name, 0))

    @contextmanager
    def _recorded(self, rows: "Rows") -> Iterator[None]:
        """Look at each call of a layer in the block."""
        self.position, self.suspect, self.ways_part = 0, "", False
        self.running = [_Running(LOSS, self._random_state())]
        look = self._write_down if rows.are_all else self._compare
        for name, layer in self.layers.items():
            vars(layer)["forward"] = self._looking(name, layer.forward, look, rows)
        try:
            yield
        finally:
            for layer in self.layers.values():
                del vars(layer)["forward"]  # the method of the class is in sight again

    def _looking(
        self, name: str, forward: Callable[..., Any], look: Callable[..., Any], rows: "Rows"
    ) -> Callable[..., Any]:
        def forward_and_look(*inputs: Any, **settings: Any) -> Any:
            return look(name, forward, (inputs, settings), rows)

        return forward_and_look

    def _write_down(self, name: str, forward: Callable[..., Any], given: Any, rows: "Rows") -> Any:
        call = _Call(name, arrays_on_host(given), [])
        self.calls.append(call)
        inputs, settings = given
        output = forward(*inputs, **settings)
        call.outputs = arrays_on_host(output)
        self.ended += 1
        call.number = self.ended
        return output

    def _compare(self, name: str, forward: Callable[..., Any], given: Any, rows: "Rows") -> Any:
        position, self.position = self.position, self.position + 1
        inputs, settings = given
        if self.ways_part:
            return forward(*inputs, **settings)
        if position >= len(self.calls) or self.calls[position].name != name:
            self.ways_part = True
            self._blame(self.running[-1].name, float("inf"), WAYS)
            return forward(*inputs, **settings)
        call = self.calls[position]
        self._note_draws()
        parent = self.running[-1]
        before, parent.order = parent.order, ""
        inputs, settings = self._own_rows(given, call.inputs, rows)
        self.running.append(_Running(name, self._random_state(), order=parent.order))
        parent.order = before
        output = forward(*inputs, **settings)
        self._note_draws()
        output = output if self.ways_part else self._own_rows(output, call.outputs, rows)
        self.running.pop()
        self.running[-1].random_state = self._random_state()
        return output

    def _random_state(self) -> Any:
        generators = generators_of(self.model)
        own = [list(_numpy_states(vars(layer))) for layer in self.layers.values()]
        return capture_random(generators), own

    def _note_draws(self) -> None:
        """Note whether the innermost layer has drawn, outside of the layers in it."""
        state = self._random_state()
        present = self.running[-1]
        present.drew = present.drew or not same_random(present.random_state, state)
        present.random_state = state

    def _own_rows(self, found: Any, whole: list[Any], rows: "Rows") -> Any:
        """Return what was found; if it differs from the whole batch's, blame, and return that."""
        arrays, present = arrays_on_host(found), self.running[-1]
        name = present.name
        if len(arrays) != len(whole):
            self._blame(name, float("inf"), WAYS)
            self.ways_part = True
            return found
        expected: list[Any] = []
        worst = 0.0
        for array, all_rows in zip(arrays, whole, strict=True):
            if rows.pair(array.shape, all_rows.shape):
                self._blame_pairing(name, rows.between(all_rows))
            difference, own, order = rows.closest(array, all_rows)
            if difference <= self.tolerance:
                present.order = order or present.order
            elif present.order:
                difference, own, _ = rows.closest(array, all_rows, present.order)
            if array.shape == all_rows.shape and not difference <= self.tolerance:
                self.suspect = self.suspect or name  # one value for all rows: a sum, or a mean
                difference, own = 0.0, array
            worst = difference if not difference <= worst else worst  # also where it is NaN
            expected.append(own)
        if worst <= self.tolerance:
            return found
        self._blame(name, worst, RANDOM if present.drew else "")
        return with_arrays(found, iter(expected))

    def _blame_pairing(self, name: str, difference: float) -> None:
        """Blame the first layer that does it: what comes after has its pairs from there."""
        if all(culprit.reason != PAIRING for culprit in self.culprits.values()):
            self._blame(name, difference, PAIRING)

    def _blame(self, name: str, difference: float, reason: str) -> None:
        if not reason and self.suspect.startswith(f"{name}." if name else ""):
            name = self.suspect or name  # what was made of all rows in it, and used by it
        layer = self.layers.get(name)
        is_batch_norm = isinstance(layer, BatchNormBase)
        if is_batch_norm and self.excuse_batch_norm:
            return
        reason = reason or (BATCH_NORM if is_batch_norm else MIXING)
        kind = type(self.loss_function if layer is None else layer).__name__
        earlier = self.culprits.get(name)
        if earlier is None or difference > earlier.difference:
            self.culprits[name] = Culprit(name, kind, difference, reason)


def _numpy_states(value: Any) -> Iterator[Any]:
    """Yield the states of NumPy's and Python's generators among a layer's attributes."""
    if isinstance(value, np.random.Generator):  # host: a generator's kind
        yield repr(value.bit_generator.state)
    elif isinstance(value, np.random.RandomState):  # host: a generator's kind
        yield repr(value.get_state(legacy=True))
    elif isinstance(value, random.Random):
        yield repr(value.getstate())
    elif isinstance(value, dict | list | tuple):
        for part in parts_of(value).values():
            yield from _numpy_states(part)
