"""The gradient noise scale: from which batch size on larger batches hardly help.

The gradient of a batch of B items is the true gradient G plus noise, whose squared length is
tr(S) / B on average, where S is the covariance of single items' gradients. The noise scale

    B_noise = tr(S) / |G|^2

is the batch size at which the noise is as long as the gradient. Far below it, twice the batch saves
nearly half of the steps; far above it, nearly none.

Accumulation gives it for next to nothing. With micro-batches of b_j items, whose summed gradients
are s_j, and B = sum b_j, the spread between the micro-batches tells both terms without bias:

    tr(S) = (sum_j |s_j|^2 / b_j - |sum_j s_j|^2 / B) / (k - 1)
    |G|^2 = (|sum_j s_j|^2 / B - tr(S)) / B

For k micro-batches of equal size these are the two estimators of McCandlish et al. One step's
values are very noisy, and |G|^2 may come out negative; so both are averaged over steps, and divided
then.

References
----------
S. McCandlish et al., "An Empirical Model of Large-Batch Training", arXiv 1812.06162, appendix A.1.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tinytrain import backend
from tinytrain.backend import Array
from tinytrain.nn.module import Module
from tinytrain.optim.flat import FlatBuffer
from tinytrain.tensor import Tensor
from tinytrain.train.accumulation import LossFunction, accumulate_gradients
from tinytrain.train.callback import Callback
from tinytrain.train.untouched import untouched


@dataclass(frozen=True)
class GradientNoise:
    """How far the gradients of single items spread around their mean.

    Attributes
    ----------
    squared_norm : float
        |G|^2, of the mean gradient; an estimate, which may be negative.
    variance : float
        tr(S), the summed variance of one item's gradient.

    Examples
    --------
    >>> GradientNoise(squared_norm=0.5, variance=64.0).noise_scale
    128.0
    """

    squared_norm: float
    variance: float

    @property
    def noise_scale(self) -> float:
        """tr(S) / |G|^2 in items; NaN where the estimate of |G|^2 is not above 0."""
        return self.variance / self.squared_norm if self.squared_norm > 0 else math.nan


class GradientSpread:
    """Tells |G|^2 and tr(S) of one optimizer step from the growing sum of its gradients.

    It keeps a copy of the gradients, and reads them once per micro-batch. Nothing waits for a GPU.

    Parameters
    ----------
    parameters : iterable of Tensor

    Examples
    --------
    >>> import tinytrain as tt
    >>> weight = tt.ones(1, requires_grad=True)
    >>> spread = GradientSpread([weight])
    >>> for item in (1.0, 3.0):  # two micro-batches of one item each
    ...     (weight * item).sum().backward()
    ...     spread.add(items=1)
    >>> [estimate.item() for estimate in spread.estimate()]  # |G|^2 and tr(S)
    [3.0, 2.0]
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.restart()

    def restart(self) -> None:
        """Forget the step: gradients are zero again."""
        self._before: dict[int, Array] = {}
        self._counts: list[float] = []
        self._spread: Array = 0.0  # sum_j |s_j|^2 / b_j

    def add(self, items: float) -> None:
        """Take in what a micro-batch of so many items has added to the gradients."""
        squares: Array = 0.0
        for key, gradient, parts in _flat_gradients(self.parameters):
            if key not in self._before:
                self._before[key] = backend.xp_of(gradient).zeros_like(gradient)
            before = self._before[key]
            for part in parts:
                added = gradient[part] - before[part]
                squares = squares + backend.xp_of(added).dot(added, added)
                before[part] = gradient[part]
        self._spread = self._spread + squares / items
        self._counts.append(items)

    def estimate(self) -> tuple[Tensor, Tensor] | None:
        """Return |G|^2 and tr(S), on the device; None where there were fewer than two."""
        if len(self._counts) < 2 or not self._before:
            return None
        total = sum(self._counts)
        whole: Array = 0.0
        for gradient in self._before.values():
            whole = whole + backend.xp_of(gradient).dot(gradient, gradient) / total
        variance = (self._spread - whole) / (len(self._counts) - 1)
        squared_norm = (whole - variance) / total
        return Tensor(backend.as_array(squared_norm)), Tensor(backend.as_array(variance))


def _flat_gradients(parameters: Iterable[Tensor]) -> Iterator[tuple[int, Array, list[slice]]]:
    """Yield flat arrays of gradients, each with a key, and its parts that hold any."""
    buffers: dict[int, FlatBuffer] = {}
    for parameter in parameters:
        leaf = parameter.leaf_gradient
        buffer = None if leaf.owner is None else leaf.owner()
        if buffer is not None:
            buffers[id(buffer)] = buffer
        elif leaf.array is not None:
            yield id(parameter), leaf.array.reshape(-1), [slice(None)]
    for key, buffer in buffers.items():
        yield key, buffer.gradient, [part for part, _ in buffer.stretches()]


class GradientNoiseScale(Callback):
    """Writes the gradient noise scale into the log, from the micro-batches of each step.

    A record gets ``noise_scale``, in items. Steps of a single micro-batch tell nothing.

    Items that depend on each other, such as the tokens of a sequence, make a micro-batch's
    gradient noisier than as many independent ones, so that the noise scale in tokens is larger
    then: it still is the number of tokens, drawn in this way, at which noise equals gradient.

    Parameters
    ----------
    decay : float
        In 0 to 1: how much of the averages is kept from step to step; 1 averages over all steps.

    Examples
    --------
    >>> GradientNoiseScale(decay=0.99).noise.noise_scale
    nan
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in 0 to 1, got {decay}")
        self.decay = decay
        self._spread: GradientSpread | None = None
        self._sums: tuple[Tensor, Tensor] | None = None
        self._weight = 0.0

    def on_window_start(self, trainer: Any) -> None:
        """Forget what came before, such as micro-batches of a step that begins anew."""
        self._spread = None

    def on_micro_batch(self, trainer: Any, items: float) -> None:
        """Take in a micro-batch's gradients."""
        if self._spread is None:
            self._spread = GradientSpread(trainer.model.parameters())
        self._spread.add(items)

    def on_step_end(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Take the step into the averages."""
        if self._spread is None:
            return
        found = self._spread.estimate()
        self._spread.restart()
        if found is None:
            return
        if self._sums is None:
            self._sums = found
        else:
            kept = [total * self.decay for total in self._sums]
            self._sums = (kept[0] + found[0], kept[1] + found[1])
        self._weight = self._weight * self.decay + 1

    @property
    def noise(self) -> GradientNoise:
        """The averages so far; NaN before there are any. On a GPU this waits for the device."""
        if self._sums is None:
            return GradientNoise(math.nan, math.nan)
        squared_norm, variance = (total.cpu().item() / self._weight for total in self._sums)
        return GradientNoise(squared_norm, variance)

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        """Add the noise scale to a record of training."""
        if self._sums is not None:
            record["noise_scale"] = self.noise.noise_scale

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"sums": self._sums, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with saved averages."""
        sums = state["sums"]
        if sums is not None:
            first, second = (
                part if isinstance(part, Tensor) else Tensor(backend.to_device(part))
                for part in sums
            )
            sums = (first, second)
        self._sums, self._weight = sums, float(state["weight"])


def measure_noise(
    model: Module, loss_function: LossFunction, micro_batches: Iterable[Any]
) -> GradientNoise:
    """Measure the noise of the gradient at the model's present parameters.

    The more micro-batches, and the smaller, the surer. The model stays as it was.

    Parameters
    ----------
    model : Module
    loss_function : callable
        ``(model, batch) -> (sum of losses, number of items)``.
    micro_batches : iterable
        At least two that have items, of items drawn at random.

    Raises
    ------
    ValueError
        There are fewer than two.

    Examples
    --------
    >>> import numpy as np, tinytrain as tt
    >>> model = tt.nn.Linear(1, 1, bias=False)
    >>> def linear_loss(model, x):  # whose gradients are the items themselves
    ...     return model(x).sum(), len(x)
    >>> micro_batches = [np.float32([[1.0]]), np.float32([[3.0]])]
    >>> measure_noise(model, linear_loss, micro_batches)
    GradientNoise(squared_norm=3.0, variance=2.0)
    """
    with untouched(model):
        model.zero_grad()
        spread = GradientSpread(model.parameters())
        accumulate_gradients(model, loss_function, micro_batches, spread.add)
        found = spread.estimate()
    if found is None:
        raise ValueError("the noise of a gradient needs at least two micro-batches with items")
    return GradientNoise(found[0].cpu().item(), found[1].cpu().item())
